"""The aligned crops of textures: what edits are composed into, and what verdicts are given on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aif.runtime.geometry import points as dense
from aif.runtime.geometry.align import similarity_transform, warp_crop
from aif.train.data.base import FaceDataset
from aif.train.data.dense import DenseLandmarks
from aif.train.data.readable import readable_crops
from aif.train.progress import counted


def make_crops(
    dataset: FaceDataset,
    landmarks: DenseLandmarks,
    rows: npt.NDArray[np.int64],
    size: int,
    *,
    folder: Path | None = None,
    log: Callable[[str], None] = print,
) -> npt.NDArray[np.uint8]:
    """Crops aligned by the five landmarks that follow from the dense ones: uint8 (N, size, size, 3) RGB.

    They are kept in a temporary file that goes away with the array, as textures are. Row by row they belong
    to `Textures` of the same rows: a texture's landmarks, times `size`, are pixels of its crop.

    Args:
        rows: faces of the dataset, those of some textures; all of them readable.
        size: side of a crop in pixels.
        folder: where the temporary file goes; None = the system's temporary folder.
        log: gets a line now and then.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        crops = np.memmap(file, dtype=np.uint8, mode="w+", shape=(len(rows), size, size, 3))
    side = dataset.image(int(rows[0])).shape[0] if len(rows) else size
    for place, (row, image) in enumerate(
        readable_crops(dataset, side, counted(rows.tolist(), "crops", len(rows), log))
    ):
        matrix = similarity_transform(dense.five_points(landmarks.points[row]), size)
        crops[place] = warp_crop(image, matrix, size)
    return crops
