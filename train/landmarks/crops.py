"""What happens to crops for the landmark network: surroundings, photographic faults, hands before a face."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.faces.landmarks import landmark_crop
from aif.runtime.geometry.points import COUNT, OUTER_LIP
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


def occlude(
    crop: UInt8Array, points: Float32Array, rng: np.random.Generator
) -> tuple[UInt8Array, npt.NDArray[np.bool_]]:
    """Something before the face: a board, a ball, or fingers in a colour of the crop itself.

    crop uint8 (S, S, 3) and points float32 (K, 2) in its pixels to the new crop and which points it hides:
    bool (K,). Every second one lies around the mouth.
    """
    size = crop.shape[0]
    mask = np.zeros((size, size), dtype=np.uint8)
    low, high = points.min(axis=0), points.max(axis=0)
    centre = rng.uniform(low, high)
    if rng.random() < 0.5 and len(points) == COUNT:
        centre = points[OUTER_LIP].mean(axis=0) + rng.normal(0, 0.08, 2) * (high - low)
    reach = float((high - low).max())
    kind = rng.random()
    if kind < 0.35:
        sides = rng.uniform(0.12, 0.5, 2) * reach * (2, 1)
        corners = cv2.boxPoints((centre.tolist(), sides.tolist(), float(rng.uniform(0, 180))))
        cv2.fillPoly(mask, [corners.astype(np.int32)], 255)
    elif kind < 0.55:
        axes = rng.uniform(0.16, 0.8, 2) * reach
        cv2.ellipse(mask, (centre.tolist(), axes.tolist(), float(rng.uniform(0, 180))), 255, -1)
    else:
        _hand(mask, centre, reach, rng)
    if rng.random() < 0.5:
        mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.4, 1.2))), dtype=np.uint8)
    alpha = mask[:, :, None].astype(np.float32) / 255
    cover = _cover(crop, points, rng, plain=kind < 0.55)
    mixed = crop + (cover - crop) * alpha
    cells = np.clip(points.round().astype(int), 0, size - 1)
    return np.clip(mixed, 0, 255).astype(np.uint8), mask[cells[:, 1], cells[:, 0]] > 127


def _hand(mask: UInt8Array, centre: npt.NDArray[np.float64], reach: float, rng: np.random.Generator) -> None:
    """Mark fingers side by side, and often the back of the hand that they point away from."""
    angle = float(rng.uniform(0, 2 * math.pi))
    along = np.array([math.cos(angle), math.sin(angle)])
    across = np.array([-along[1], along[0]])
    width = float(rng.uniform(0.06, 0.11)) * reach
    count = int(rng.integers(1, 5))
    for finger in range(count):
        start = centre + across * (finger - (count - 1) / 2) * width * 1.15
        tip = start + along * rng.uniform(3, 6) * width
        cv2.line(mask, _pixel(start), _pixel(tip), 255, max(1, round(width)), cv2.LINE_AA)
    if rng.random() < 0.7:
        palm = centre - along * 1.5 * width
        cv2.ellipse(mask, (palm.tolist(), (4.0 * width, count * 1.3 * width), math.degrees(angle)), 255, -1)


def _pixel(point: npt.NDArray[np.float64]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _cover(
    crop: UInt8Array, points: Float32Array, rng: np.random.Generator, plain: bool
) -> npt.NDArray[np.float32]:
    """Colours for what is before a face: float32 (S, S, 3), plain ones or the skin's, shaded softly."""
    size = crop.shape[0]
    if plain and rng.random() < 0.4:  # the crop itself, moved and turned over: texture without a face's place
        shift = rng.integers(size // 4, 3 * size // 4, 2)
        return np.roll(crop[::-1], tuple(shift), (0, 1)).astype(np.float32)
    x, y = np.clip(points[int(rng.integers(len(points)))].round().astype(int), 0, size - 1)
    colour = (
        rng.uniform(0, 255, 3) if plain else crop[y, x] * np.exp(rng.normal(0, 0.12, 3) + rng.normal(0, 0.2))
    )
    coarse = colour * np.exp(rng.normal(0, 0.15, (4, 4, 1))) + np.zeros(3)
    shaded = cv2.resize(coarse.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(shaded, dtype=np.float32)


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
