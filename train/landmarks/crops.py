"""What happens to crops for the landmark network: surroundings, photographic faults, what is no face."""

from __future__ import annotations

import math

import cv2
import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.faces.landmarks import landmark_crop
from aif.train.data import faults

WIDE, CLOSE = 0.9, 0.3
"""Margins around an image, in units of its side: the widest crops of first and second passes stay inside."""


def extend(
    image: UInt8Array, rng: np.random.Generator, vary: bool, mirrored: bool = True, margin: float = WIDE
) -> tuple[UInt8Array, Float32Array]:
    """Surroundings for an aligned face crop, which ends around the head: (larger image, shift of points).

    With `vary`, a random strip of each edge is cut first, so that the seam does not tell where the face is,
    and the fill varies. Mirrored borders show further faces, so crops that must not show one go without.
    """
    height, width = image.shape[:2]
    left = right = top = bottom = 0
    fill = 0.0
    if vary:
        left, right = (int(v * width) for v in rng.uniform(0, 0.2, 2))
        top, bottom = int(rng.uniform(0, 0.2) * height), int(rng.uniform(0, 0.06) * height)
        fill = rng.random()
    part = np.ascontiguousarray(image[top : height - bottom, left : width - right])
    pad = round(margin * max(height, width))
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


def no_face(image: UInt8Array, box: Float32Array, size: int, rng: np.random.Generator) -> UInt8Array:
    """A crop of `size` px that shows no whole upright face: a detail, one far off centre, turned by 65
    degrees or more, or scrambled.

    image uint8 (H, W, 3), aligned face crop; box float32 (4,) left, top, width, height of its face in pixels.
    """
    kind = rng.random()
    canvas, offset = extend(image, rng, True, mirrored=False)
    side, angle = float(box[2]), float(rng.uniform(-0.4, 0.4))
    centre = box[:2] + offset + side / 2
    if kind < 0.3:  # a detail: one eye, a cheek, hair, background
        new = side * math.exp(rng.uniform(math.log(0.12), math.log(0.5)))
        centre = centre + rng.uniform(-0.65, 0.65, 2) * side
        if new > 0.4 * side and np.abs(centre - offset - box[:2] - side / 2).max() < 0.25 * side:
            new *= 0.5
    elif kind < 0.5:  # far off centre
        direction = rng.uniform(0, 2 * math.pi)
        new = side * rng.uniform(0.6, 1.3)
        centre = centre + rng.uniform(0.6, 0.9) * max(side, new) * np.array(
            [math.cos(direction), math.sin(direction)]
        )
    else:  # on the side or upside down, or cut into shuffled tiles
        new = side * rng.uniform(0.7, 1.4)
        if kind < 0.88:
            centre = centre + rng.uniform(-0.2, 0.2, 2) * side
            angle = float(rng.uniform(65, 295)) * math.pi / 180
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
    """Photographic faults, each now and then: low resolution, blur, motion, grey, light, JPEG, noise."""
    fault = rng.random()
    if fault < 0.2:
        crop = faults.low_resolution(crop, float(rng.uniform(0.3, 0.9)))
    elif fault < 0.35:
        crop = faults.blur(crop, float(rng.uniform(0.3, 1.5)))
    elif fault < 0.43:
        kernel = np.zeros((7, 7), dtype=np.float32)
        angle, reach = rng.uniform(0, math.pi), rng.uniform(1, 3)
        step = (round(reach * math.cos(angle)), round(reach * math.sin(angle)))
        cv2.line(kernel, (3 - step[0], 3 - step[1]), (3 + step[0], 3 + step[1]), 1.0, 1)
        crop = np.asarray(cv2.filter2D(crop, -1, kernel / kernel.sum()), dtype=np.uint8)
    if rng.random() < 0.12:
        crop = faults.grey(crop)
    if rng.random() < 0.8:
        dark = rng.random() < 0.12
        levels = np.arange(256, dtype=np.float32)[:, None] / 255
        gain = np.exp((rng.uniform(-1.8, -0.6) if dark else rng.uniform(-0.3, 0.3)) + rng.normal(0, 0.06, 3))
        offset = rng.uniform(0, 0.03) if dark else rng.uniform(-0.1, 0.1)
        crop = faults.tones(crop, levels ** np.exp(rng.uniform(-0.4, 0.4)) * gain + offset)
    if rng.random() < 0.2:
        crop = faults.jpeg(crop, int(rng.integers(20, 80)))
    if rng.random() < 0.2:
        crop = faults.noise(crop, float(rng.uniform(2, 12)), rng)
    return crop
