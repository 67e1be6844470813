"""What detectors take for faces and is none, for the landmark network to learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.errors import AifError, DataError
from aif.runtime.faces.detection import overlap, shrunk
from aif.runtime.faces.detectors.opencv import cascade
from aif.runtime.faces.landmarks import box_from_landmarks, landmark_crop
from aif.runtime.fetch import yunet_path
from aif.runtime.geometry.points import five_points
from aif.runtime.image.io import read_image
from aif.train.data.base import CorruptImageError, FaceDataset
from aif.train.data.dense import DenseLandmarks

SIDE = 144
"""Side of a cut-out in pixels, three times that of the box in its middle."""

SEARCHED = 400
"""Longer side in pixels of the pictures that are searched."""

EACH = 4
"""At the most so many boxes of a picture are taken of each detector."""


def others_in_faces(dataset: FaceDataset, dense: DenseLandmarks, indices: Sequence[int]) -> list[UInt8Array]:
    """Cut-outs, RGB uint8 (144, 144, 3), around false alarms in the images `indices` of aligned faces.

    Left out is what overlaps with the face's box by more than a fifth (intersection over union).
    """
    found: list[UInt8Array] = []
    for index in indices:
        try:
            image = dataset.image(index)
        except CorruptImageError:
            continue
        true = box_from_landmarks(five_points(dense.points[index]))
        wrong = [box for box in _haar_boxes(image) if overlap(box, true) < 0.2]
        found += [_cut_out(image, box) for box in wrong[:EACH]]
    return found


def others_in_pictures(folder: Path) -> list[UInt8Array]:
    """Cut-outs, RGB uint8 (144, 144, 3), of pictures without faces: around what Haar cascades and, where its
    file is at hand, YuNet take for faces at their loosest settings, and around four places at random. Errors
    as `pictures_in`.
    """
    rng = np.random.default_rng(0)
    yunet = yunet_path()
    found: list[UInt8Array] = []
    for image in pictures_in(folder, SEARCHED):
        boxes = [*_haar_boxes(image)[:EACH], *_random_boxes(image, rng)]
        if yunet is not None:
            size = (image.shape[1], image.shape[0])
            bgr = np.ascontiguousarray(image[:, :, ::-1])
            rows = cv2.FaceDetectorYN.create(str(yunet), "", size, 0.1, 0.3, EACH).detect(bgr)[1]
            boxes += [row[:4] for row in (() if rows is None else rows) if (row[2:4] > 8).all()]
        found += [_cut_out(image, box) for box in boxes]
    return found


def pictures_in(folder: Path, longest: int) -> Iterator[UInt8Array]:
    """The pictures in `folder` and its sub-folders, RGB uint8, shrunk to a longer side of `longest` px.

    Raises DataError at the end where no file there can be read.
    """
    some = False
    for path in sorted(filter(Path.is_file, folder.rglob("*"))):
        try:
            image = read_image(path).pixels_hwc_bgr
        except AifError:
            continue
        some = True
        yield np.ascontiguousarray(shrunk(image, longest / max(image.shape[:2]))[..., ::-1])
    if not some:
        raise DataError(f"{folder} has no picture that can be read.", "Name a folder of pictures.")


@cache
def _frontal() -> cv2.CascadeClassifier:
    return cascade("frontalface_default")


def _haar_boxes(image_rgb: UInt8Array) -> list[Float32Array]:
    """What OpenCV's frontal cascade takes for faces at its loosest setting."""
    grey = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    boxes = _frontal().detectMultiScale(grey, 1.05, 0)
    return list(np.asarray(boxes, dtype=np.float32).reshape(-1, 4))


def _random_boxes(image: UInt8Array, rng: np.random.Generator) -> list[Float32Array]:
    """Squares of a tenth to half of the picture's shorter side."""
    height, width = image.shape[:2]
    boxes = []
    for _ in range(EACH):
        side = min(height, width) * rng.uniform(0.1, 0.5)
        place = rng.uniform(0, 1, 2) * (width - side, height - side)
        boxes.append(np.array([*place, side, side], dtype=np.float32))
    return boxes


def _cut_out(image: UInt8Array, box: Float32Array) -> UInt8Array:
    side = np.float32(2 * max(box[2:]))  # of the crop: 1.5 times as large
    middle = box[:2] + box[2:] / 2
    return landmark_crop(image, np.array([*(middle - side / 2), side, side]), SIDE)[0]
