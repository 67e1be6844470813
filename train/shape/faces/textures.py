"""Faces as the shape-and-appearance model sees them: textures, landmarks, and the crops that they are of."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import UInt8Array
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import ConfigError, DataError
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.align import similarity_transform, warp_crop
from aif.runtime.geometry.frame import Frame
from aif.train.data.base import FaceDataset, first_shape
from aif.train.data.dense import DenseLandmarks
from aif.train.data.readable import readable_crops
from aif.train.progress import counted
from aif.train.shape.faces.mean_shape import aligned, make_frame, open_mouths

# Faces turned further than this, in degrees, show too little of one half.
MOST_YAW = 35.0

# Fewer open mouths than this make no mean shape of their own: the embedded bundle's is taken.
ENOUGH_FOR_FRAME = 300

# Fewer faces with usable landmarks than this teach nothing.
LEAST_FACES = 50


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

    def people_of(self, index: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
        """The people's numbers of some faces (n,), if known."""
        return None if self.people is None else self.people[index]


def make_textures(
    dataset: FaceDataset,
    landmarks: DenseLandmarks,
    size: int,
    faces: int,
    seed: int,
    log: Callable[[str], None] = print,
) -> Textures:
    """Textures of `size` px of at most so many `faces`, with sure landmarks and a moderate yaw.

    Their frame is their own mean shape; the embedded bundle's where few mouths are open.

    Raises:
        DataError, ConfigError: too few such faces, or too many images cannot be read.
    """
    sure = np.flatnonzero(landmarks.sure)
    if len(sure) < LEAST_FACES:
        raise ConfigError(
            f"{dataset.name} has {len(sure)} faces with sure landmarks; {LEAST_FACES} are needed.",
            "Use real, upright, aligned faces (aif prepare), or a preset without landmarks: residual.",
        )
    rows = np.sort(np.random.default_rng(seed).permutation(sure)[:faces])
    log(f"textures of {len(rows)} faces")
    points = aligned(landmarks.points[rows], size)
    own = int(open_mouths(points).sum()) >= ENOUGH_FOR_FRAME
    frame = make_frame(points) if own else embedded_frame()
    rows = rows[np.abs(landmarks.pose[rows, 0]) <= MOST_YAW]
    if not len(rows):
        raise DataError(
            f"{dataset.name} has no face with sure landmarks that looks ahead.", "Use other faces."
        )

    def texture(image: UInt8Array, row: int) -> UInt8Array:
        return frame.normalise(image, landmarks.points[row], size)

    images, rows = _cut(dataset, rows, size, texture, "textures", log)
    return Textures(
        images,
        aligned(landmarks.points[rows], size),
        dataset.labels[rows],
        rows,
        tuple(dataset.attributes),
        frame,
        None if dataset.identities is None else dataset.identities[rows],
    )


def embedded_frame() -> Frame:
    """The mean shape of the embedded bundle."""
    frame = Bundle.open().manifest.face_frame
    assert frame is not None
    return frame


def make_crops(
    dataset: FaceDataset,
    landmarks: DenseLandmarks,
    rows: npt.NDArray[np.int64],
    size: int,
    log: Callable[[str], None] = print,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Crops aligned by the five landmarks that follow from the dense ones: uint8 (N, size, size, 3) RGB, and
    the N of the rows that can be read.

    Of the rows of some `Textures` all can; a texture's landmarks, times `size`, are pixels of its crop.
    """

    def crop(image: UInt8Array, row: int) -> UInt8Array:
        return warp_crop(image, similarity_transform(dense.five_points(landmarks.points[row]), size), size)

    return _cut(dataset, rows, size, crop, "crops", log)


def _cut(
    dataset: FaceDataset,
    rows: npt.NDArray[np.int64],
    size: int,
    cut: Callable[[UInt8Array, int], UInt8Array],
    what: str,
    log: Callable[[str], None],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """What `cut` makes of the images at `rows`, and the rows that could be read.

    It is kept in a temporary file that goes away with the array: 45,000 of 128 px take 2.2 GB.
    """
    with tempfile.TemporaryFile() as file:
        made = np.memmap(file, dtype=np.uint8, mode="w+", shape=(len(rows), size, size, 3))
    found: list[int] = []
    shape = first_shape(dataset)
    if shape is None:
        raise DataError(f"The first images of {dataset.name} cannot be read.", "Check the files.")
    for row, image in readable_crops(dataset, shape[0], counted(rows.tolist(), what, len(rows), log)):
        made[len(found)] = cut(image, row)
        found.append(row)
    return made[: len(found)], np.array(found, dtype=np.int64)
