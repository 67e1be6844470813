"""Dense landmarks of packed faces: `dense.npz` beside the shards, row by row for a dataset."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aif.runtime.errors import DataError
from aif.runtime.geometry.points import COUNT
from aif.train.data.base import FaceDataset, first_shape

FILE = "dense.npz"

DENSE_SIDE = 128
"""Side in pixels of the crops that the points of `dense.npz` belong to."""

DOUBTFUL = 8.0
"""Faces with a lower score may have wrong points."""

_FIXED_POINT = np.float32(1 / 32)


@dataclass(frozen=True)
class DenseLandmarks:
    """Dense landmarks of the faces of a dataset, in its order.

    Attributes:
        points: float32 (N, 221, 2), x and y in pixels of the dataset's images, pixel centres at integers.
        pose: float32 (N, 3), yaw, pitch and roll in degrees.
        score: float32 (N,), the finder's own certainty; below `DOUBTFUL` the points may be wrong.
    """

    points: npt.NDArray[np.float32]
    pose: npt.NDArray[np.float32]
    score: npt.NDArray[np.float32]

    @property
    def sure(self) -> npt.NDArray[np.bool_]:
        """bool (N,): whose points may be trusted."""
        return self.score >= DOUBTFUL


def read_dense(root: Path, dataset: FaceDataset) -> DenseLandmarks:
    """The dense landmarks of all faces of `dataset` (packed faces), row by row, from `root/dense.npz`.

    That holds `files` (names as in labels.csv), `points_x32` and `mean_x32` (their sum is 32 times pixel x,
    y of a 128 px crop), `score` and `yaw_pitch_roll`.
    Raises DataError where it is missing, damaged, of another shape, or lacks a face of the dataset.
    """
    path = root / FILE
    try:
        with np.load(path, allow_pickle=False) as file:
            keys = ("files", "points_x32", "mean_x32", "score", "yaw_pitch_roll")
            arrays = {name: file[name] for name in keys}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read: {error}",
            "It has to be beside labels.csv, with the dense landmarks of all faces.",
        ) from error
    files, offsets, mean = arrays["files"], arrays["points_x32"], arrays["mean_x32"]
    count = len(files)
    shapes = {"points_x32": (count, COUNT, 2), "mean_x32": (COUNT, 2), "score": (count,)}
    for name, shape in (shapes | {"yaw_pitch_roll": (count, 3)}).items():
        if arrays[name].shape != shape:
            raise DataError(f"{path}: {name} is {arrays[name].shape}, where {shape} is needed.")
    places = {str(name): row for row, name in enumerate(files)}
    names = [dataset.file_name(index).rpartition(":")[2] for index in range(len(dataset))]
    lacking = [name for name in names if name not in places]
    if lacking:
        raise DataError(
            f"{path} has no landmarks of {len(lacking)} of {len(names)} faces, {lacking[0]} first."
        )
    rows = np.array([places[name] for name in names], dtype=np.intp)
    points = (offsets[rows].astype(np.float32) + mean.astype(np.float32)) * _FIXED_POINT
    found = first_shape(dataset)
    if found is None:
        raise DataError(f"The first images of {dataset.name} cannot be read.", "Check the files.")
    if found[0] != DENSE_SIDE:
        points = (points + np.float32(0.5)) * np.float32(found[0] / DENSE_SIDE) - np.float32(0.5)
    return DenseLandmarks(
        points, arrays["yaw_pitch_roll"][rows].astype(np.float32), arrays["score"][rows].astype(np.float32)
    )
