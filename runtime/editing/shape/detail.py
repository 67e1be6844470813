"""Detail: an edit softens or deepens what lines, folds and pores the photo itself has.

    band_k = blur(L, SIGMAS[k-1]) - blur(L, SIGMAS[k])       of the log colours L; nothing blurred for k = 0
    photo' = photo * exp(sum_k a_k band_k)        a_k = exp(d_k(y') - d_k(y)) - 1, of decoded log amplitudes d

Where folds run is the person's own; by how much a smile deepens them, or youth smooths them, is what the
decoder knows. Deepening is bounded: it would amplify noise.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.editing.shape.gain import EPSILON, gain_mask
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.frame import Frame

# How far each band reaches, in pixels of a 128 px crop.
SIGMAS = (1.0, 2.0, 4.0)

# The sides of detail maps are this share of the texture's.
SHARE = 4

# Bands deepen by at most this share of their amplitude, and soften by at most that one.
DEEPEST, SOFTEST = 0.15, 0.75

# Amounts below this are none.
NO_AMOUNT = 1e-3

# Contrasts up to the first, in log units, are the skin's grain, which stays; what is beyond the second is the
# edge of something else.
GRAIN, EDGE = 0.08, 0.5


@lru_cache(maxsize=8)
def detail_mask(frame: Frame, size: int) -> Float32Array:
    """Where detail may change: float32 (size, size) in [0, 1]; the skin, without brows, eyes and lips, whose
    outlines are no detail."""
    skin = gain_mask(frame, size)
    for ring, grow in ((dense.LEFT_BROW, 1.3), (dense.RIGHT_BROW, 1.3), (dense.OUTER_LIP, 1.05)):
        skin = skin * (1 - frame.mask(size, ring, blur=1.5, grow=grow))
    skin.setflags(write=False)
    return skin


def amplified(change: Float32Array) -> Float32Array:
    """What is added of each band, -0.75 to 0.15, for changes of log amplitude."""
    limit = np.where(change > 0, np.float32(DEEPEST), np.float32(-SOFTEST))
    return np.asarray(-limit * np.expm1(-np.abs(change / limit)), dtype=np.float32)


def change_detail(
    factor_hwc: Float32Array, box_hwc_bgr: UInt8Array, scale: float, amounts: Float32Array
) -> None:
    """Multiply what a picture's bands change to into the factors that it will be multiplied with, in place.

    Args:
        factor_hwc: float32 (H, W, 3).
        box_hwc_bgr: uint8 (H, W, 3) the picture.
        scale: pixels of the picture to a pixel of a 128 px crop.
        amounts: float32 (h, w, 3) from `amplified`, over the picture at any size.
    """
    height, width = box_hwc_bgr.shape[:2]
    step = max(1, round(scale))
    small = (-(-width // step), -(-height // step))
    amount = _f32(cv2.resize(amounts, small, interpolation=cv2.INTER_LINEAR))
    strongest = cv2.transform(np.abs(amount), np.ones((1, len(SIGMAS)), np.float32))
    x, y, across, down = cv2.boundingRect((strongest >= NO_AMOUNT).astype(np.uint8))
    if not across:
        return
    coarse = cv2.LUT(cv2.resize(box_hwc_bgr, small, interpolation=cv2.INTER_AREA), _LOGS)
    blurred = [_f32(cv2.GaussianBlur(coarse, (0, 0), sigma * scale / step)) for sigma in SIGMAS]
    wide = np.zeros_like(blurred[0])
    for k in range(1, len(SIGMAS)):
        wide += amount[:, :, k, None] * _folds(blurred[k - 1] - blurred[k])
    left, top = x * step, y * step
    right, bottom = min((x + across) * step, width), min((y + down) * step, height)

    def upsampled(each: Float32Array) -> Float32Array:
        part = np.ascontiguousarray(each[y : y + down, x : x + across])
        full = cv2.resize(part, (across * step, down * step), interpolation=cv2.INTER_LINEAR)
        return _f32(full[: bottom - top, : right - left])

    own = _f32(cv2.LUT(box_hwc_bgr[top:bottom, left:right], _LOGS))
    finest = _folds(own - upsampled(blurred[0])) * upsampled(np.repeat(amount[:, :, :1], 3, axis=2))
    factor_hwc[top:bottom, left:right] *= cv2.exp(finest + upsampled(wide))


def _folds(band: Float32Array) -> Float32Array:
    """What of a band is more than grain."""
    return _f32(np.clip(band, -EDGE, EDGE) - np.clip(band, -GRAIN, GRAIN))


def _f32(array: npt.NDArray[Any]) -> Float32Array:
    return np.asarray(array, dtype=np.float32)


_LOGS = np.log(np.arange(256, dtype=np.float32) / np.float32(255) + np.float32(EPSILON))
