"""Dense landmarks of any faces, found as they are found in use: by a bundle's landmark network."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from aif.runtime.arrays import UInt8Array
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import DataError
from aif.runtime.faces.landmarks import LandmarkNet
from aif.train.data.base import CorruptImageError, FaceDataset
from aif.train.data.dense import DenseLandmarks
from aif.train.progress import counted

# Faces are looked at in batches of this many.
BATCH = 64

# A probability of a face from which on found landmarks are sure enough to train on.
SURE = 0.8

# So many times the faces that are wanted are looked at, for of some the network is not sure.
SPARE = 1.1


def dense_landmarks(
    dataset: FaceDataset,
    log: Callable[[str], None] = print,
    *,
    faces: int | None = None,
    seed: int = 0,
    net: LandmarkNet | None = None,
) -> DenseLandmarks:
    """The dense landmarks of a dataset, row by row, as `net` or the embedded bundle's network finds them.

    Where no more than so many `faces` are wanted, it looks at somewhat more of them, drawn at random; the
    score of all others is 0.

    A `dense.npz` beside the faces is not read: landmarks that lie a little elsewhere in training than in use
    let `z` tell of the attributes again.

    Raises:
        DataError: the images differ in size.
    """
    net, count = net or LandmarkNet(Bundle.open()), len(dataset)
    points = np.zeros((count, 221, 2), dtype=np.float32)
    pose, score = np.zeros((count, 3), np.float32), np.zeros(count, np.float32)
    drawn = np.random.default_rng(seed).permutation(count)[: None if faces is None else round(SPARE * faces)]
    batches = [np.sort(drawn)[start : start + BATCH].tolist() for start in range(0, len(drawn), BATCH)]
    for batch in counted(batches, f"landmarks, in batches of {BATCH}", len(batches), log):
        images = dict(_readable(dataset, batch))
        if not images:
            continue
        if len({image.shape for image in images.values()}) > 1:
            raise DataError(f"The images of {dataset.name} differ in size.", "Pack them first: aif prepare")
        found, rows = net.in_crops(np.stack(list(images.values()))), list(images)
        points[rows], pose[rows] = found.points, found.pose
        score[rows] = np.where(found.confidence >= SURE, 100.0, 0.0)
    return DenseLandmarks(points, pose, score)


def _readable(dataset: FaceDataset, rows: Iterable[int]) -> Iterator[tuple[int, UInt8Array]]:
    """Rows and images uint8 (H, W, 3) BGR, those that can be read."""
    for row in rows:
        with contextlib.suppress(CorruptImageError):
            yield row, np.ascontiguousarray(dataset.image(row)[..., ::-1])
