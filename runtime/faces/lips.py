"""Outer lips along the photo's own edges, where lips and skin differ in colour.

The landmark network, as its teacher, knows lips of the usual thickness. Many are thinner, those of a smile
most of all, and an edit that shut such a mouth would give it lips of skin. On lines from the inner lip
outwards the colours of this face's lips and skin are told apart by a linear discriminant; where the lip ends
on all lines together is a smooth path, not far from where lips usually end.
"""

from __future__ import annotations

import cv2
import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array, f32
from aif.runtime.geometry.mesh import NO_MAP
from aif.runtime.geometry.points import INNER_LIP, LEFT_MOUTH, OUTER_LIP, RIGHT_MOUTH

# Mouths are looked at in so many pixels at the most; those below so many stay as they are, and those from so
# many on are changed in full, if they are as far from the picture's border as the last share of their width.
WIDEST, NARROWEST, WIDE, INSIDE = 96.0, 14.0, 20.0, 0.15

# Along a line: 0 = the inner lip, 1 = the outer lip as the network has it. What certainly is lip, and skin.
LINE = np.linspace(0.0, 1.8, 37, dtype=np.float32)
LIP, SKIN = (0.1, 0.5), (1.35, 1.8)

# Where the boundary may be, where it is most often, and how far from there it usually is; what a step between
# neighbouring lines costs, and how much of all else counts.
NEAREST, FARTHEST = 0.45, 1.2
USUAL, SPREAD = 0.85, 0.25
STEP, CERTAINTY = 60.0, 2.0

# Beyond this a colour's distance from lip or skin does not count: a highlight, a tooth, a hair.
FAR = 1.5

# How well lips and skin are told apart, in standard deviations: up to the first the network is believed, from
# the second on the photo.
UNSURE, SURE = 1.0, 2.5

# Numbers in the ring: lines that are looked along; others near the corners lie between their neighbours.
_UPPER, _LOWER = np.arange(2, 9), np.arange(12, 19)
_CORNERS, _BESIDE, _INWARDS = [0, 10, 10, 0], [1, 9, 11, 19], [2, 8, 12, 18]
_LEVELS = np.flatnonzero((NEAREST <= LINE) & (FARTHEST >= LINE))
_KNOWN = LIP[0] <= LINE
_EPSILON = 0.03


def along_edges(image_hwc_bgr: UInt8Array, points: Float32Array) -> Float32Array:
    """The landmarks with their outer lips where the photo has them.

    Args:
        image_hwc_bgr: uint8 (H, W, 3).
        points: float32 (221, 2) in pixels of the image.

    Returns:
        float32 (221, 2); `points` itself where the mouth is too small or not in the image.
    """
    outer, inner = points[OUTER_LIP], points[INNER_LIP]
    width = float(np.linalg.norm(points[RIGHT_MOUTH] - points[LEFT_MOUTH]))
    reach = inner[:, None] + LINE[None, :, None] * (outer - inner)[:, None]
    low, high = np.floor(reach.min(axis=(0, 1))) - 1, np.ceil(reach.max(axis=(0, 1))) + 2
    shape = np.array(image_hwc_bgr.shape[1::-1])
    room = float(min(low.min(), (shape - high).min()))
    if not (width >= NARROWEST and room >= 0):  # NaN is neither
        return points
    change = min((width - NARROWEST) / (WIDE - NARROWEST), room / (INSIDE * width), 1.0)
    (left, top), (right, bottom) = low.astype(int), high.astype(int)
    shrink = min(1.0, WIDEST / width)
    size = [max(1, round(shrink * side)) for side in (right - left, bottom - top)]
    box = cv2.resize(image_hwc_bgr[top:bottom, left:right], size, interpolation=cv2.INTER_AREA)
    where = f32((reach - low + 0.5) * (np.array(size) / (right - left, bottom - top)) - 0.5)
    colours = np.log(f32(cv2.remap(box, where, NO_MAP, cv2.INTER_LINEAR)) / 255 + _EPSILON)
    share = np.ones(len(outer), dtype=np.float32)
    for lip in (_UPPER, _LOWER):
        share[lip] = _boundary(colours[lip])
    share[_BESIDE] = (share[_CORNERS] + share[_INWARDS]) / 2
    found = points.copy()
    found[OUTER_LIP] = inner + (1 + change * (share - 1))[:, None] * (outer - inner)
    return found


def _boundary(colours: Float32Array) -> Float32Array:
    """Where on each of K neighbouring lines the lip ends, (K,), of log colours (K, T, 3)."""
    lip, skin = ((low <= LINE) & (high >= LINE) for low, high in (LIP, SKIN))
    around = cv2.blur(colours[:, skin].mean(axis=1), (1, 3), borderType=cv2.BORDER_REPLICATE)
    own = colours - around[:, None]
    lips, skins = own[:, lip].reshape(-1, 3), own[:, skin].reshape(-1, 3)
    mean = lips.mean(axis=0)
    within = np.cov(np.concatenate([lips - mean, skins]).T) + 1e-4 * np.eye(3)
    axis = np.linalg.solve(within, mean)
    distance = float(mean @ axis)
    sure = np.clip((np.sqrt(max(distance, 0)) - UNSURE) / (SURE - UNSURE), 0, 1)
    if sure == 0:
        return np.ones(len(colours), dtype=np.float32)
    likeness = own @ axis / distance  # 1 = lip, 0 = skin
    as_lip, as_skin = (np.minimum((likeness - goal) ** 2, FAR) for goal in (1, 0))
    inside = np.cumsum(as_lip * _KNOWN, axis=1)[:, _LEVELS]
    outside = np.cumsum(as_skin[:, ::-1], axis=1)[:, ::-1][:, _LEVELS + 1]
    cost = inside + outside + ((LINE[_LEVELS] - USUAL) / SPREAD) ** 2
    return np.asarray(1 + sure * (_mean_path(cost) - 1), dtype=np.float32)


def _mean_path(cost: Float32Array) -> Float32Array:
    """Where on each of K lines the lip ends, of costs (K, L): the mean of all paths through the levels, with
    probabilities exp(-cost), by the forward-backward algorithm. A best path would jump from frame to frame.
    """
    levels = LINE[_LEVELS]
    step = np.exp(-STEP * np.abs(levels[:, None] - levels))
    own = np.exp(np.float32(CERTAINTY) * (cost.min(axis=1, keepdims=True) - cost))
    forward, backward = own.copy(), np.ones_like(own)
    for k in range(1, len(own)):
        forward[k] *= forward[k - 1] @ step / forward[k - 1].sum()
        backward[-k - 1] = step @ (backward[-k] * own[-k]) / backward[-k].sum()
    chance = forward * backward
    return np.asarray(chance @ levels / chance.sum(axis=1), dtype=np.float32)
