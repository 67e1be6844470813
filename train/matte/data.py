"""Training samples for the matte network: aligned faces with hair masks, as other cameras might show them.

Hair goes on beyond the aligned crop. So that the network may also look at a wider view (`WIDE` of the scale
and more), a part of the samples is shrunk to somewhere in the crop; what lies around is not known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch

from aif.runtime.arrays import UInt8Array
from aif.train.data import faults
from aif.train.data.augment import jitter_matrix
from aif.train.evaluators.fitting import Samples

TURN, SCALE, SHIFT = 8.0, 0.07, 0.03
"""Largest turn in degrees, largest logarithm of the scale, largest shift as a fraction of the side."""

WIDE, WIDE_SHARE = 0.55, 0.4
"""Smallest scale of the shrunk samples, and their share."""


@dataclass(frozen=True)
class MatteBatch:
    """images uint8 (N, 3, S, S) RGB; matte float32 (N, 1, S, S), 1 = hair; known, the same shape: 1 where
    the matte is known, 0 beyond the picture's edge.
    """

    images: torch.Tensor
    matte: torch.Tensor
    known: torch.Tensor


Showing = tuple[UInt8Array, UInt8Array, npt.NDArray[np.bool_]]
"""Image (S, S, 3) RGB, mask (S, S), both uint8, and where the mask is known."""


class MatteSamples(Samples[Showing, MatteBatch]):
    """Random showings of images uint8 (N, S, S, 3) RGB with masks uint8 (N, S, S), 255 = hair."""

    def __init__(self, images: UInt8Array, masks: UInt8Array, batch_size: int, seed: int) -> None:
        super().__init__(batch_size, seed)
        self._images, self._masks = images, masks

    def batch(self, samples: list[Showing]) -> MatteBatch:
        images, mattes, known = (np.stack(arrays) for arrays in zip(*samples, strict=True))
        return MatteBatch(
            torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))),
            torch.from_numpy(mattes[:, None].astype(np.float32) / np.float32(255)),
            torch.from_numpy(known[:, None].astype(np.float32)),
        )

    def drawn(self, rng: np.random.Generator) -> Showing:
        index = int(rng.integers(len(self._images)))
        image, mask, known = _moved(self._images[index], self._masks[index], rng)
        if rng.random() < 0.25:
            image = dye(image, mask, rng)
        image = degrade(recolour(image, rng), rng)
        if rng.random() < 0.1:
            image, mask = _covered(image, mask, rng)
        return image, mask, known


def _moved(image: UInt8Array, mask: UInt8Array, rng: np.random.Generator) -> Showing:
    """Mirrored half of the time, and moved by a small or a shrinking similarity; the border is repeated."""
    side = image.shape[0]
    wide = rng.random() < WIDE_SHARE
    scale = math.exp(rng.uniform(math.log(WIDE), 0.0) if wide else rng.uniform(-SCALE, SCALE))
    shift = SHIFT + max(0.0, 1 - scale) / 2
    matrix = jitter_matrix(
        side,
        side,
        degrees=float(rng.uniform(-TURN, TURN)),
        scale=scale,
        shift=(float(rng.uniform(-shift, shift)), float(rng.uniform(-shift, shift))),
        flip=bool(rng.random() < 0.5),
    )
    moved, covering = (
        np.asarray(cv2.warpAffine(x, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)
        for x in (image, mask)
    )
    whole = np.full((side, side), 255, dtype=np.uint8)
    known = np.asarray(cv2.warpAffine(whole, matrix, (side, side))) > 250
    return moved, covering, known


def dye(image: UInt8Array, mask: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Hair of another colour, so that rare ones become common; under a softened mask, whose edge is not
    learnt.
    """
    soft = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(1.0, 2.5))).astype(np.float32)[..., None] / 255
    hair = image.astype(np.float32)
    grey = hair.mean(axis=2, keepdims=True)
    hair = grey + (hair - grey) * float(rng.uniform(0, 1.6))
    hair *= np.exp(rng.uniform(-0.5, 0.9) + rng.normal(0, 0.12, 3)).astype(np.float32)
    return np.asarray(np.clip(image + soft * (hair - image), 0, 255), dtype=np.uint8)


def recolour(image: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Another camera and light: hue, saturation, gamma, contrast, brightness, white balance; or grey."""
    if rng.random() < 0.1:
        image = faults.grey(image)
    elif rng.random() < 0.6:
        levels = np.arange(256, dtype=np.float32)
        hue, saturation = (levels + rng.uniform(-10, 10)) % 256, levels * rng.uniform(0.4, 1.6)
        hsv = faults.tones(
            np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL), dtype=np.uint8),
            np.stack([hue, saturation, levels], axis=1) / 255,
        )
        image = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL), dtype=np.uint8)
    inputs = np.arange(256, dtype=np.float32)[:, None] / 255
    gain = np.exp(rng.uniform(-0.35, 0.35) + rng.normal(0, 0.08, 3))
    curve = (inputs ** np.exp(rng.uniform(-0.5, 0.5)) - 0.5) * np.exp(rng.uniform(-0.3, 0.2)) + 0.5
    return faults.tones(image, curve * gain + rng.uniform(-0.08, 0.08))


def degrade(image: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Low resolution, blur or sharpening, then JPEG and noise, each now and then."""
    kind = rng.random()
    if kind < 0.2:
        image = faults.low_resolution(image, float(rng.uniform(0.35, 0.9)))
    elif kind < 0.4:
        image = faults.blur(image, float(rng.uniform(0.3, 1.3)))
    elif kind < 0.6:  # photos may be sharper than the training set
        image = np.asarray(cv2.addWeighted(image, 1.8, faults.blur(image, 1.0), -0.8, 0), dtype=np.uint8)
    if rng.random() < 0.2:
        image = faults.jpeg(image, int(rng.integers(20, 85)))
    if rng.random() < 0.2:
        image = faults.noise(image, float(rng.uniform(2, 10)), rng)
    return image


def _covered(image: UInt8Array, mask: UInt8Array, rng: np.random.Generator) -> tuple[UInt8Array, UInt8Array]:
    """A plain rectangle over both: what hides hair is no hair."""
    size = image.shape[0]
    width, height = (int(v) for v in rng.uniform(0.1, 0.35, 2) * size)
    x, y = int(rng.integers(size - width)), int(rng.integers(size - height))
    image, mask = image.copy(), mask.copy()
    image[y : y + height, x : x + width] = rng.integers(0, 256, 3)
    mask[y : y + height, x : x + width] = 0
    return image, mask
