"""Dense landmarks for any faces: from the file beside packed ones, else found by a bundle's landmark
network."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from aif.runtime.arrays import UInt8Array
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import DataError
from aif.runtime.faces.landmarks import LandmarkNet
from aif.runtime.faces.lips import along_edges
from aif.train.data.base import CorruptImageError, FaceDataset
from aif.train.data.dense import FILE, DenseLandmarks, read_dense
from aif.train.progress import counted

# Faces are looked at in batches of this many.
BATCH = 64

# A probability of a face from which on found landmarks are sure enough to train on.
SURE = 0.8


def dense_landmarks(
    dataset: FaceDataset,
    root: Path | None,
    log: Callable[[str], None] = print,
    net: LandmarkNet | None = None,
) -> DenseLandmarks:
    """The dense landmarks of a dataset, row by row, with lips along the edges of each picture.

    They are those of `dense.npz` in its folder `root`; without it `net`, or the embedded bundle's network,
    finds them.

    Raises:
        DataError: the file is damaged or lacks a face, or no image can be read.
    """
    if root is not None and (root / FILE).exists():
        return _with_lips(read_dense(root, dataset), dataset, log)
    net, count = net or LandmarkNet(Bundle.open()), len(dataset)
    points = np.zeros((count, 221, 2), dtype=np.float32)
    pose, score = np.zeros((count, 3), np.float32), np.zeros(count, np.float32)
    starts = range(0, count, BATCH)
    for start in counted(starts, f"landmarks, in batches of {BATCH}", len(starts), log):
        images = dict(_readable(dataset, range(start, min(start + BATCH, count))))
        if not images:
            continue
        if len({image.shape for image in images.values()}) > 1:
            raise DataError(f"The images of {dataset.name} differ in size.", "Pack them first: aif prepare")
        found, rows = net.in_crops(np.stack(list(images.values()))), list(images)
        points[rows], pose[rows] = found.points, found.pose
        score[rows] = np.where(found.confidence >= SURE, 100.0, 0.0)
    return DenseLandmarks(points, pose, score)


def _with_lips(landmarks: DenseLandmarks, dataset: FaceDataset, log: Callable[[str], None]) -> DenseLandmarks:
    points, rows = landmarks.points.copy(), np.flatnonzero(landmarks.sure).tolist()
    for row, image in _readable(dataset, counted(rows, "lips", len(rows), log)):
        points[row] = along_edges(image, points[row])
    return replace(landmarks, points=points)


def _readable(dataset: FaceDataset, rows: Iterable[int]) -> Iterator[tuple[int, UInt8Array]]:
    """Rows and images uint8 (H, W, 3) BGR, those that can be read."""
    for row in rows:
        with contextlib.suppress(CorruptImageError):
            yield row, np.ascontiguousarray(dataset.image(row)[..., ::-1])
