"""Faces as the shape-and-appearance model sees them: a texture, landmarks, and what of the texture counts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aif.runtime.errors import DataError
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.frame import Frame
from aif.train.data.base import FaceDataset
from aif.train.data.dense import DenseLandmarks
from aif.train.data.readable import readable_crops
from aif.train.progress import counted
from aif.train.shape.faces.mean_shape import OPEN, aligned

# Faces turned further than this, in degrees, show too little of one half.
MOST_YAW = 35.0


@dataclass(frozen=True)
class Textures:
    """N faces.

    Attributes:
        images: uint8 (N, S, S, 3) RGB textures, possibly in a file of their own.
        points: float32 (N, 221, 2) landmarks in units of the crop's side.
        labels: uint8 (N, A).
        rows: int64 (N,) which faces of the dataset these are.
        attributes: names of the labels' columns.
        frame: the frame they are in.
        people: int64 (N,) numbers of the people, or None where unknown.
    """

    images: npt.NDArray[np.uint8]
    points: npt.NDArray[np.float32]
    labels: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.int64]
    attributes: tuple[str, ...]
    frame: Frame
    people: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.points)

    @property
    def size(self) -> int:
        """Side of a texture in pixels."""
        return int(self.images.shape[1])

    def open_mouths(self) -> npt.NDArray[np.bool_]:
        """Whose mouths are open far enough for their inside to be seen: bool (N,)."""
        return dense.mouth_opening(self.points) > OPEN

    def people_of(self, index: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
        """The people's numbers of some faces (n,), if known."""
        return None if self.people is None else self.people[index]

    def weights(self, index: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """How much each texture pixel of some faces counts in losses: float32 (n, S, S).

        0 where the face is folded away, and inside a mouth that is shut.
        """
        return np.stack([self.frame.visibility(self.points[row], self.size) for row in index])


def make_textures(
    dataset: FaceDataset,
    landmarks: DenseLandmarks,
    frame: Frame,
    size: int,
    *,
    rows: npt.NDArray[np.int64] | None = None,
    folder: Path | None = None,
    log: Callable[[str], None] = print,
) -> Textures:
    """Cut the textures of the faces whose landmarks are sure and whose yaw is moderate.

    The textures are kept in a temporary file that goes away with the arrays (45,000 of 128 px take 2.2 GB).

    Args:
        rows: faces to choose among; None = all.
        folder: where the temporary file goes; None = the system's temporary folder.
        log: gets a line now and then.

    Raises:
        DataError: no such face, or too many images cannot be read.
    """
    every = np.arange(len(dataset)) if rows is None else np.asarray(rows)
    kept = every[landmarks.sure[every] & (np.abs(landmarks.pose[every, 0]) <= MOST_YAW)]
    if not len(kept):
        raise DataError(
            f"{dataset.name} has no face with sure landmarks that looks ahead.", "Use other faces."
        )
    with tempfile.TemporaryFile(dir=folder) as file:
        images = np.memmap(file, dtype=np.uint8, mode="w+", shape=(len(kept), size, size, 3))
    found = []
    side, chosen = dataset.image(int(kept[0])).shape[0], counted(kept.tolist(), "textures", len(kept), log)
    for place, (row, image) in enumerate(readable_crops(dataset, side, chosen)):
        images[place] = frame.normalise(image, landmarks.points[row], size)
        found.append(row)
    taken = np.array(found, dtype=np.int64)
    return Textures(
        images[: len(taken)],
        aligned(landmarks.points[taken], size),
        dataset.labels[taken],
        taken,
        tuple(dataset.attributes),
        frame,
        None if dataset.identities is None else dataset.identities[taken],
    )
