"""Detail: an edit softens or deepens what lines, folds and pores the photo itself has.

    band_k = blur(L, SIGMAS[k-1]) - blur(L, SIGMAS[k])       of the log colours L; nothing blurred for k = 0
    photo' = photo * exp(sum_k a_k band_k)        a_k = exp(d_k(y') - d_k(y)) - 1, of decoded log amplitudes d

Where folds run is the person's own; by how much a smile deepens them, or youth smooths them, is what the
decoder knows. Deepening is bounded: it would amplify noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array, f32
from aif.runtime.editing.shape.gain import EPSILON, gain_mask
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.frame import Frame

# How far each band reaches, in pixels of a 128 px crop.
SIGMAS = (1.0, 2.0, 4.0)

# The sides of detail maps are this share of the texture's.
SHARE = 4

# Bands deepen by at most this share of their amplitude, and soften by at most that one.
DEEPEST, SOFTEST = 0.15, 0.75

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
    return f32(-limit * np.expm1(-np.abs(change / limit)))


@dataclass(frozen=True)
class Detail:
    """What an edit makes of a picture's bands, on a coarse grid over the picture.

    Attributes:
        gain: float32 (gh, gw, 3) BGR in log units, of all bands but the finest.
        base: float32 (gh, gw, 3) log colours without the finest band.
        amount: float32 (gh, gw, 3) what is added of the finest band, alike in all channels.
    """

    gain: Float32Array
    base: Float32Array
    amount: Float32Array

    @classmethod
    def of(cls, box_hwc_bgr: UInt8Array, scale: float, step: int, amounts: Float32Array) -> Detail:
        """Of a picture uint8 (H, W, 3): `scale` of its pixels to one of a 128 px crop, `step` to a point of
        the grid; amounts (gh, gw, 3) from `amplified`, of each band."""
        coarse = coarse_logs(box_hwc_bgr, step, (amounts.shape[1], amounts.shape[0]))
        levels = [f32(cv2.GaussianBlur(coarse, (0, 0), sigma * scale / step)) for sigma in SIGMAS]
        finest, *others = (f32(cv2.merge([each] * 3)) for each in cv2.split(amounts))
        gain = np.zeros_like(finest)
        for amount, (fine, rough) in zip(others, pairwise(levels), strict=True):
            gain += amount * folds(fine - rough)
        return cls(gain, levels[0], finest)


def coarse_logs(box_hwc_bgr: UInt8Array, step: int, size: tuple[int, int]) -> Float32Array:
    """Log colours of a picture uint8 (H, W, 3) on a grid of `size` (width, height) points, `step` pixels
    apart."""
    (height, width), (columns, rows) = box_hwc_bgr.shape[:2], size
    below, beside = rows * step - height, columns * step - width
    whole = cv2.copyMakeBorder(box_hwc_bgr, 0, below, 0, beside, cv2.BORDER_REPLICATE)
    return f32(cv2.LUT(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), LOGS))


def folds(band: Float32Array) -> Float32Array:
    """What of a band is more than grain."""
    found = np.clip(band, -EDGE, EDGE)
    found -= np.clip(band, -GRAIN, GRAIN)
    return f32(found)


# log(255 (x + e)) of the levels 255 x.
LOGS = np.log(np.arange(256, dtype=np.float32) + np.float32(255 * EPSILON))
