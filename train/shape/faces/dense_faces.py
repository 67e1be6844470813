"""Dense landmarks for any faces: from the file beside packed ones, else found by a bundle's landmark
network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

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
    net: Callable[[], LandmarkNet],
    log: Callable[[str], None] = print,
) -> DenseLandmarks:
    """The dense landmarks of a dataset, row by row, with lips along the edges of each picture.

    Args:
        dataset: aligned faces.
        root: its folder, which may hold `dense.npz`; None = it has none.
        net: opens a landmark network; called only where there is no such file.
        log: gets a line now and then.

    Raises:
        DataError: the file is damaged or lacks a face, or no image can be read.
    """
    if root is not None and (root / FILE).exists():
        return _with_lips(read_dense(root, dataset), dataset, log)
    network, count = net(), len(dataset)
    points = np.zeros((count, 221, 2), dtype=np.float32)
    pose, score = np.zeros((count, 3), np.float32), np.zeros(count, np.float32)
    for start in counted(
        range(0, count, BATCH), f"landmarks, in batches of {BATCH}", -(-count // BATCH), log
    ):
        rows, crops = [], []
        for row in range(start, min(start + BATCH, count)):
            try:
                crops.append(np.ascontiguousarray(dataset.image(row)[..., ::-1]))
                rows.append(row)
            except CorruptImageError:
                continue
        if not rows:
            continue
        if len({crop.shape for crop in crops}) > 1:
            raise DataError(f"The images of {dataset.name} differ in size.", "Pack them first: aif prepare")
        found = network.in_crops(np.stack(crops))
        points[rows], pose[rows] = found.points, found.pose
        score[rows] = np.where(found.confidence >= SURE, 100.0, 0.0)
    return DenseLandmarks(points, pose, score)


def _with_lips(landmarks: DenseLandmarks, dataset: FaceDataset, log: Callable[[str], None]) -> DenseLandmarks:
    points = landmarks.points.copy()
    rows = np.flatnonzero(landmarks.sure).tolist()
    for row in counted(rows, "lips", len(rows), log):
        try:
            points[row] = along_edges(np.ascontiguousarray(dataset.image(row)[..., ::-1]), points[row])
        except CorruptImageError:
            continue
    return replace(landmarks, points=points)
