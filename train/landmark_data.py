"""Training samples for the landmark network: box crops of faces, and of things that are no face.

A sample is a pure function of (dataset, seed, sample number). The geometry is the runtime's own: a face's box
is `box_from_landmarks`, disturbed as detectors' boxes are, and the crop is `landmark_crop`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from aif.runtime.align import Float32Array, UInt8Array, transform_points
from aif.runtime.detect import overlap
from aif.runtime.errors import DataError
from aif.runtime.landmarks import box_from_landmarks, landmark_crop
from aif.train.data.base import CorruptImageError, FaceDataset

log = logging.getLogger(__name__)

MIRRORED_ORDER = (1, 0, 2, 4, 3)  # which landmark takes each place when the image is mirrored
PAD = 0.9  # margin added around an image, in units of its side: the widest crop stays inside


@dataclass(frozen=True)
class BoxJitter:
    """How far a box may lie from the ideal one, each drawn uniformly (scale: its logarithm)."""

    angle: float
    """Largest turn in radians, either way."""
    scale: tuple[float, float]
    """Smallest and largest box side relative to the ideal one."""
    shift: float
    """Largest shift along x and y in units of the ideal box side."""


# First passes start from a detector's box, second passes from the landmarks of the first.
DETECTOR_BOX = BoxJitter(angle=math.radians(35), scale=(0.7, 1.5), shift=0.15)
REFINED_BOX = BoxJitter(angle=math.radians(9), scale=(0.9, 1.1), shift=0.05)


@dataclass(frozen=True)
class LandmarkBatch:
    """Box crops with what they show.

    Attributes:
        images: uint8 (N, 3, S, S) RGB.
        points: float32 (N, 5, 2), x and y as fractions of the crop side; zeros where there is no face.
        face: float32 (N,), 1 = a face, 0 = none.
    """

    images: torch.Tensor
    points: torch.Tensor
    face: torch.Tensor


class LandmarkSamples(Dataset[LandmarkBatch]):
    """Item k is batch k.

    Args:
        dataset: faces with landmarks.
        size: side of the crops in pixels.
        batch_size: samples in a batch.
        seed: of every random choice, >= 0.
        negatives: share of samples without a face.
        false_boxes: (index, box) of detections that are no face, see `harvest_false_boxes`; may be empty.
        train: False gives clean crops with the jitter of `DETECTOR_BOX` alone, for measuring.

    Raises:
        DataError: the dataset is empty or has no landmarks.
    """

    def __init__(
        self,
        dataset: FaceDataset,
        size: int,
        batch_size: int,
        seed: int,
        *,
        negatives: float = 0.3,
        false_boxes: Sequence[tuple[int, Float32Array]] = (),
        train: bool = True,
    ) -> None:
        if len(dataset) == 0 or dataset.landmarks is None:
            raise DataError(
                f"{dataset.name} has no faces with landmarks.",
                "Use packed faces, as `aif prepare` writes them.",
            )
        self._dataset, self._landmarks = dataset, dataset.landmarks
        self._size, self._batch_size, self._seed = size, batch_size, seed
        self._negatives, self._false_boxes, self._train = negatives, list(false_boxes), train

    def __getitem__(self, step: int) -> LandmarkBatch:
        first = step * self._batch_size
        samples = [self.sample(first + offset) for offset in range(self._batch_size)]
        images = np.ascontiguousarray(np.stack([crop for crop, _ in samples]).transpose(0, 3, 1, 2))
        nowhere = np.zeros((5, 2), dtype=np.float32)
        points = np.stack([nowhere if p is None else p for _, p in samples])
        face = np.array([p is not None for _, p in samples], dtype=np.float32)
        return LandmarkBatch(*map(torch.from_numpy, (images, points, face)))

    def sample(self, number: int) -> tuple[UInt8Array, Float32Array | None]:
        """Crop (S, S, 3) RGB and the five points as fractions of its side, or None without a face."""
        rng = np.random.default_rng([self._seed, number])
        is_face = rng.random() >= self._negatives
        if not is_face and self._false_boxes and rng.random() < 0.4:
            index, box = self._false_boxes[int(rng.integers(len(self._false_boxes)))]
            image, _ = self._read(index, rng)
            crop, _ = landmark_crop(
                image, _shaken(box, REFINED_BOX, rng), self._size, float(rng.normal(0, 0.1))
            )
            return self._finish(crop, None, rng)
        image, landmarks = self._read(int(rng.integers(len(self._dataset))), rng)
        if self._train and rng.random() < 0.5:
            landmarks = landmarks[list(MIRRORED_ORDER)] * (-1, 1) + (image.shape[1] - 1, 0)
            image = np.ascontiguousarray(image[:, ::-1])
        box = box_from_landmarks(landmarks)
        if not is_face:
            return self._finish(_no_face(image, box, self._size, rng), None, rng)
        refined = self._train and rng.random() < 0.35
        jitter = REFINED_BOX if refined else DETECTOR_BOX
        angle = float(rng.uniform(-jitter.angle, jitter.angle))
        canvas, offset = extend(image, rng, self._train)
        box[:2] += offset
        crop, matrix = landmark_crop(canvas, _shaken(box, jitter, rng), self._size, angle)
        points = transform_points(landmarks + offset, matrix) / np.float32(self._size)
        return self._finish(crop, points, rng)

    def _read(self, index: int, rng: np.random.Generator) -> tuple[UInt8Array, Float32Array]:
        """The image at `index`, or another one where it cannot be read."""
        for _ in range(20):
            try:
                return self._dataset.image(index), self._landmarks[index]
            except CorruptImageError as error:
                log.warning("cannot read %s; another face takes its place", error.name)
                index = int(rng.integers(len(self._dataset)))
        raise DataError(f"20 images of {self._dataset.name} in a row cannot be read.", "Check the files.")

    def _finish(
        self, crop: UInt8Array, points: Float32Array | None, rng: np.random.Generator
    ) -> tuple[UInt8Array, Float32Array | None]:
        return (degrade(crop, rng) if self._train else crop), points


def _shaken(box: Float32Array, jitter: BoxJitter, rng: np.random.Generator) -> Float32Array:
    side = float(max(box[2:]))
    low, high = jitter.scale
    new = side * math.exp(rng.uniform(math.log(low), math.log(high)))
    centre = box[:2] + box[2:] / 2 + rng.uniform(-jitter.shift, jitter.shift, 2) * side
    return np.array([*(centre - new / 2), new, new], dtype=np.float32)


def extend(
    image: UInt8Array, rng: np.random.Generator, vary: bool, mirrored: bool = True
) -> tuple[UInt8Array, Float32Array]:
    """Surroundings for an aligned face crop, which ends around the head: (larger image, shift of points).

    With `vary`, a random strip of each edge is cut first, so that the seam does not tell where the face is,
    and the fill is drawn among repeated, mirrored and plain borders and an enlarged, blurred copy. A mirrored
    border shows further faces, so crops that must not show one go without.
    """
    height, width = image.shape[:2]
    left = right = top = bottom = 0
    fill = 0.0
    if vary:
        left, right = (int(v * width) for v in rng.uniform(0, 0.2, 2))
        top, bottom = int(rng.uniform(0, 0.2) * height), int(rng.uniform(0, 0.06) * height)
        fill = rng.random()
    part = np.ascontiguousarray(image[top : height - bottom, left : width - right])
    pad = round(PAD * max(height, width))
    margins = (pad + top, pad + bottom, pad + left, pad + right)
    offset = np.array([pad, pad], dtype=np.float32)
    if fill < 0.5:
        canvas = cv2.copyMakeBorder(part, *margins, cv2.BORDER_REPLICATE)
    elif fill < 0.7 and mirrored:
        canvas = cv2.copyMakeBorder(part, *margins, cv2.BORDER_REFLECT_101)
    elif fill < 0.85:
        colour = [int(v) for v in rng.integers(0, 256, 3)]
        canvas = cv2.copyMakeBorder(part, *margins, cv2.BORDER_CONSTANT, value=colour)
    else:
        small = cv2.resize(image[:: int(rng.choice((1, -1)))], (24, 24), interpolation=cv2.INTER_AREA)
        canvas = cv2.resize(small, (width + 2 * pad, height + 2 * pad), interpolation=cv2.INTER_CUBIC)
        canvas[pad + top : pad + height - bottom, pad + left : pad + width - right] = part
    return np.asarray(canvas, dtype=np.uint8), offset


def _no_face(image: UInt8Array, box: Float32Array, size: int, rng: np.random.Generator) -> UInt8Array:
    """A crop that shows no whole upright face: a detail, one far off centre, upside down, or scrambled."""
    kind = rng.random()
    canvas, offset = extend(image, rng, True, mirrored=False)
    side, angle = float(box[2]), float(rng.uniform(-0.4, 0.4))
    centre = box[:2] + offset + side / 2
    if kind < 0.45:  # a detail: one eye, a cheek, hair, background
        new = side * math.exp(rng.uniform(math.log(0.12), math.log(0.5)))
        centre = centre + rng.uniform(-0.65, 0.65, 2) * side
        if new > 0.4 * side and np.abs(centre - offset - box[:2] - side / 2).max() < 0.25 * side:
            new *= 0.5
    elif kind < 0.75:  # far off centre
        direction = rng.uniform(0, 2 * math.pi)
        new = side * rng.uniform(0.6, 1.3)
        centre = centre + rng.uniform(0.6, 0.9) * max(side, new) * np.array(
            [math.cos(direction), math.sin(direction)]
        )
    else:  # on the side or upside down, or cut into shuffled tiles
        new = side * rng.uniform(0.7, 1.4)
        if kind < 0.88:
            angle += float(rng.uniform(0.5, 1.5)) * math.pi
    placed = np.array([*(centre - new / 2), new, new], dtype=np.float32)
    crop, _ = landmark_crop(canvas, placed, size, angle)
    return _scramble(crop, rng) if kind >= 0.88 else crop


def _scramble(crop: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """The crop's tiles (2x2 or 4x4) in another order."""
    count = int(rng.choice((2, 4)))
    tile = crop.shape[0] // count
    tiles = [
        crop[r * tile : (r + 1) * tile, c * tile : (c + 1) * tile] for r in range(count) for c in range(count)
    ]
    order = rng.permutation(len(tiles))
    while (order == np.arange(len(tiles))).mean() > 0.3:
        order = rng.permutation(len(tiles))
    out = crop.copy()
    for place, taken in enumerate(order):
        row, column = divmod(place, count)
        out[row * tile : (row + 1) * tile, column * tile : (column + 1) * tile] = tiles[taken]
    return out


def degrade(crop: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Photographic faults, each now and then: light, grey, blur, low resolution, JPEG, noise, cover."""
    size = crop.shape[0]
    image: npt.NDArray[Any] = crop
    if rng.random() < 0.25:
        small = int(rng.uniform(0.3, 0.9) * size)
        image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    elif rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 1.5)))
    if rng.random() < 0.15:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        image = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    if rng.random() < 0.8:
        levels = np.arange(256, dtype=np.float32)[:, None] / 255
        gamma = np.exp(rng.uniform(-0.4, 0.4))
        gain = np.exp(rng.uniform(-0.3, 0.3) + rng.normal(0, 0.06, 3))
        table = np.clip(levels**gamma * gain + rng.uniform(-0.1, 0.1), 0, 1) * 255
        image = cv2.LUT(np.ascontiguousarray(image), table.astype(np.uint8)[:, None, :])
    if rng.random() < 0.2:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 80))])
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    if rng.random() < 0.2:
        noise = rng.normal(0, rng.uniform(2, 12), image.shape).astype(np.float32)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.15:
        image = image.copy()
        width, height = (int(v) for v in rng.uniform(0.1, 0.35, 2) * size)
        x, y = int(rng.integers(size - width)), int(rng.integers(size - height))
        image[y : y + height, x : x + width] = rng.integers(0, 256, 3)
    return np.asarray(image, dtype=np.uint8)


def harvest_false_boxes(
    dataset: FaceDataset, indices: Sequence[int], *, most_per_face: int = 4
) -> list[tuple[int, Float32Array]]:
    """Boxes that OpenCV's frontal Haar cascade takes for faces, at its loosest setting, and that are none.

    Args:
        dataset: faces with landmarks.
        indices: which of them to search.
        most_per_face: at most this many boxes of one image.

    Returns:
        (index, box left, top, width, height in pixels) for each; overlaps with the true face's box of more
        than a fifth (intersection over union) are left out.
    """
    if dataset.landmarks is None:
        raise DataError(f"{dataset.name} has no landmarks.")
    haar = cv2.CascadeClassifier(
        str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml")
    )
    found: list[tuple[int, Float32Array]] = []
    for index in indices:
        try:
            grey = cv2.cvtColor(dataset.image(index), cv2.COLOR_RGB2GRAY)
        except CorruptImageError:
            continue
        true = box_from_landmarks(dataset.landmarks[index])
        boxes = np.asarray(haar.detectMultiScale(grey, 1.05, 0), dtype=np.float32).reshape(-1, 4)
        wrong = [box for box in boxes if overlap(box, true) < 0.2]
        found += [(index, box) for box in wrong[:most_per_face]]
    return found
