"""What matte networks take for hair and is none: beards, in patches; now and then a shirt or a neck."""

from __future__ import annotations

import cv2
import numpy as np

from aif.runtime.arrays import Float32Array, Float64Array, f32
from aif.runtime.editing.shape.gain import filled
from aif.runtime.editing.shape.region import smoothstep
from aif.runtime.geometry import points as dense

# Shares of the skin between nose and chin that the matte covers: up to the first there is no beard, from the
# second on there is. 175 faces without one (CelebA-HQ) have up to 0.033, 17 of 45 with one more than 0.05.
NO_BEARD, BEARD = 0.05, 0.12

# The face's outline is grown by this factor, as beards are larger than chins, and softened by so many pixels
# of a 128 px crop.
GROWN, SOFT = 1.1, 2.5

# Hair hangs together where the matte is beyond these, on average; it is looked at with so many pixels a side.
JOINED, COARSE = (0.15, 0.25, 0.35, 0.45), 160


def without_strays(
    matte: Float32Array, near: Float32Array, points: Float32Array, place: Float64Array
) -> Float32Array:
    """The matte (h, w) of a box, in [0, 1], without them; `near` (S, S) is that of an upright crop, with
    landmarks (221, 2) in its pixels, and `place` (2, 3) leads there from the box."""
    beard = beard_mask(near, points)
    if beard.any():
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        matte = matte * (1 - f32(cv2.warpAffine(beard, place, matte.shape[::-1], flags=flags)))
    return matte * from_the_head(matte, points, place)


def beard_mask(matte: Float32Array, points: Float32Array) -> Float32Array:
    """Where a beard may be, if there is one: float32 (S, S) in [0, 1], of an upright crop's matte (S, S) and
    landmarks (221, 2)."""
    outline = points[dense.FACE_OVAL]
    eyes, nose = (
        points[part, 1].mean() for part in (np.r_[dense.LEFT_EYE, dense.RIGHT_EYE], [dense.NOSE_TIP])
    )
    lips = filled(points[dense.OUTER_LIP], len(matte))
    skin = filled(_below(outline, nose, 0.8), len(matte)) * (1 - lips)
    # On both sides: hair that falls over one cheek is no beard.
    middle = np.arange(len(matte)) < outline[:, 0].mean()
    halves = (skin * middle, skin * ~middle)
    covered = min(float((matte * half).sum() / max(float(half.sum()), 1.0)) for half in halves)
    share = float(smoothstep(np.array(covered, np.float32), NO_BEARD, BEARD))
    if share == 0:
        return np.zeros_like(matte)
    grown = filled(_below(outline, eyes, GROWN), len(matte))
    return f32(share * cv2.GaussianBlur(grown, (0, 0), SOFT * len(matte) / 128))


def from_the_head(matte: Float32Array, points: Float32Array, place: Float64Array) -> Float32Array:
    """What of a matte (h, w) hangs together with something above the tip of the nose, as hair does, below a
    hat, too: float32 (h, w) in [0, 1]; arguments as of `without_strays`."""
    scale = COARSE / max(matte.shape)
    size = tuple(max(1, round(side * scale)) for side in matte.shape[::-1])
    coarse = cv2.resize(matte, size, interpolation=cv2.INTER_AREA)
    rows, columns = np.indices(coarse.shape) / scale
    height = place[1, 0] * columns + place[1, 1] * rows + place[1, 2]
    above, other = height < points[dense.NOSE_TIP, 1], np.zeros(coarse.shape, dtype=np.float32)
    for least in JOINED:  # several, or a lock whose matte is near to one would come and go in films
        _, pieces = cv2.connectedComponents((coarse > least).astype(np.uint8))
        apart = np.setdiff1d(pieces, pieces[above])
        found = np.isin(pieces, apart[apart > 0]).astype(np.float32)
        other += f32(cv2.dilate(found, np.ones((5, 5), np.uint8))) / np.float32(len(JOINED))
    if not other.any():
        return np.ones_like(matte)
    other = f32(cv2.GaussianBlur(other, (0, 0), 1.0))
    return f32(1 - cv2.resize(other, matte.shape[::-1], interpolation=cv2.INTER_LINEAR))


def _below(outline: Float32Array, height: float, scale: float) -> Float32Array:
    """What of an outline (36, 2) lies below a height, scaled about its middle."""
    middle = outline.mean(axis=0)
    scaled = middle + (outline - middle) * np.float32(scale)
    return f32(np.stack([scaled[:, 0], np.maximum(scaled[:, 1], height)], axis=1))
