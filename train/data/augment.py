"""Small random changes of a face crop, done in the one resampling that brings it to the training size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import UInt8Array
from aif.runtime.geometry.align import warp_crop


@dataclass(frozen=True)
class Augmentation:
    """What may change from one showing of a face to the next. The zeros change nothing."""

    flip: bool = True
    """Mirror left and right with probability 1/2."""
    rotation: float = 0.0
    """Standard deviation of the rotation about the centre, in degrees."""
    scale: float = 0.0
    """Standard deviation of the size's logarithm: 0.02 is about 2 % larger or smaller."""
    shift: float = 0.0
    """Standard deviation of the shift along each axis, as a fraction of the side."""


def resize_crop(image_hwc: UInt8Array, size: int) -> UInt8Array:
    """Bring a square crop to `size` px: area averaging when shrinking, cubic when growing."""
    side = image_hwc.shape[0]
    if image_hwc.shape[:2] == (size, size):
        return image_hwc
    how = cv2.INTER_AREA if size < side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image_hwc, (size, size), interpolation=how), dtype=np.uint8)


def jitter_matrix(
    side: int, size: int, *, degrees: float, scale: float, shift: tuple[float, float], flip: bool
) -> npt.NDArray[np.float64]:
    """Affine (2, 3) from a crop of `side` px to one of `size` px, in pixel-centre coordinates.

    The face is mirrored (`flip`), turned by `degrees` (positive: clockwise as seen), enlarged by the factor
    `scale` about the centre, then moved by `shift` (x, y as fractions of the side). Changing nothing gives
    exactly the geometry of `resize_crop`.
    """
    factor = scale * size / side
    cos = factor * math.cos(math.radians(degrees))
    sin = factor * math.sin(math.radians(degrees))
    mirror = -1.0 if flip else 1.0
    linear = np.array([[cos * mirror, -sin], [sin * mirror, cos]])
    target = np.array([(size - 1) / 2 + shift[0] * size, (size - 1) / 2 + shift[1] * size])
    offset = target - linear @ np.full(2, (side - 1) / 2)
    return np.concatenate([linear, offset[:, None]], axis=1)


def augment_crop(
    image_hwc: UInt8Array, size: int, augmentation: Augmentation, rng: np.random.Generator
) -> UInt8Array:
    """One random showing of a square crop at `size` px; uint8 (size, size, 3).

    Draws the same number of random values whatever the settings, so that turning one kind of change off
    leaves the others as they were.
    """
    flip = bool(rng.random() < 0.5) and augmentation.flip
    turn, grow, right, down = np.clip(rng.standard_normal(4), -3.0, 3.0)
    if not (augmentation.rotation or augmentation.scale or augmentation.shift):
        crop = resize_crop(image_hwc, size)
        return np.asarray(cv2.flip(crop, 1), dtype=np.uint8) if flip else crop
    matrix = jitter_matrix(
        image_hwc.shape[0],
        size,
        degrees=float(turn) * augmentation.rotation,
        scale=math.exp(float(grow) * augmentation.scale),
        shift=(float(right) * augmentation.shift, float(down) * augmentation.shift),
        flip=flip,
    )
    return warp_crop(image_hwc, matrix, size)
