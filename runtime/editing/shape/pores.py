"""Pores: skin where hair or folds were gets fine detail like a cheek's.

photo' = photo * exp(a (cheek - fine))      fine = L - blur(L, FINE) of the log colours L, without lips
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, UInt8Array, f32
from aif.runtime.editing.shape.detail import LOGS, coarse_logs
from aif.runtime.editing.shape.gain import lips_mask
from aif.runtime.editing.shape.warp import Warp
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.blocks import Block, upsampled
from aif.runtime.geometry.frame import Frame
from aif.runtime.geometry.mesh import NO_MAP

# What is finer than a blur of so many pixels of a 128 px crop.
FINE = 1.0

# Side of the tile in pixels of a 128 px crop, and the least and the greatest of the picture that it has then,
# a power of 2.
TILE, SIDES = 12.0, (4, 256)

# Contrasts beyond so many times the median are no pores.
DEEPEST = 3.0

# A cheek that shows less than this share of the other one is not looked at.
SHOWN = 0.6

# Where on the way from the eye to the corner of the mouth it is taken from.
CHEEK = 0.6


@dataclass(frozen=True)
class Pores:
    """The fine detail of a cheek, and where in a picture it goes.

    Attributes:
        amount: float32 (gh, gw, 3) on a coarse grid over the picture, alike in all channels, 0 to 1.
        base: float32 (gh, gw, 3) log colours without fine detail.
        tile: float32 (n, n, 3) fine detail like the plainer cheek's, in log units, `TILE` wide.
    """

    amount: Float32Array
    base: Float32Array
    tile: Float32Array

    @classmethod
    def of(cls, box_bgr: UInt8Array, warp: Warp, amount: Float32Array, frame: Frame) -> Pores:
        """Of a face's box uint8 (H, W, 3), as it is moved; the amount (gh, gw)."""
        scale, lips = warp.place.scale, warp.over_box(lips_mask(frame, 128))
        logs = coarse_logs(box_bgr, warp.step, (amount.shape[1], amount.shape[0]))
        base = blurred_beside(logs, lips, FINE * scale / warp.step)
        cheeks = [
            cv2.LUT(box_bgr[block], LOGS) - upsampled(base, warp.step, block)
            for block in cheeks_of(warp, (box_bgr.shape[0], box_bgr.shape[1]))
        ]
        plain = min(cheeks, key=lambda cheek: float(np.abs(cheek).mean()))
        return cls(f32(cv2.merge([amount] * 3)), base, like(plain))

    def change(self, logs: Float32Array, warp: Warp, block: Block) -> Float32Array:
        """What a block's log colours (h, w, 3) change by."""
        where = upsampled(warp.texture_grid, warp.step, block) * np.float32(128 / TILE * len(self.tile))
        pores = cv2.remap(self.tile, where, NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        fine = logs - upsampled(self.base, warp.step, block)
        return f32(upsampled(self.amount, warp.step, block) * (pores - fine))


def blurred_beside(logs_hwc: Float32Array, lips_hw: Float32Array, sigma: float) -> Float32Array:
    """Log colours (H, W, 3), blurred without those of lips (H, W), 0 to 1."""
    skin = f32(1.001 - lips_hw)
    weighted = cv2.GaussianBlur(logs_hwc * skin[:, :, None], (0, 0), sigma)
    return f32(weighted / cv2.GaussianBlur(skin, (0, 0), sigma)[:, :, None])


def like(cheek_hwc: Float32Array) -> Float32Array:
    """A tile (n, n, 3) of noise with the power spectrum of fine detail (h, w, 3), alike in all directions."""
    side = 2 ** round(np.log2(np.clip(min(cheek_hwc.shape[:2]), *SIDES)))
    deepest = np.float32(DEEPEST * np.median(np.abs(cheek_hwc)))
    square = cv2.resize(np.clip(cheek_hwc, -deepest, deepest), (side, side), interpolation=cv2.INTER_LINEAR)
    found, (noise, rings, counts) = np.abs(np.fft.rfft2(square, axes=(0, 1))), _noise(side)
    means = [np.bincount(rings.ravel(), channel.ravel()) / counts for channel in found.transpose(2, 0, 1)]
    spectrum = np.stack(means, axis=1)[rings]
    return f32(np.fft.irfft2(noise[:, :, None] * spectrum, (side, side), (0, 1)))


@lru_cache(maxsize=8)
def _noise(side: int) -> tuple[npt.NDArray[np.complex128], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The spectrum of white noise of so many pixels a side, 1 its mean amplitude; where in it each frequency
    is, and how often."""
    noise = np.fft.rfft2(np.random.default_rng(0).standard_normal((side, side)))
    frequencies = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]) * side
    rings = frequencies.round().astype(np.intp)
    # The mean of the amplitudes of noise is sqrt(pi) / 2 of their root mean square.
    return noise / (side * np.sqrt(np.pi) / 2), rings, np.bincount(rings.ravel())


def cheeks_of(warp: Warp, shape: tuple[int, int]) -> list[Block]:
    """A square of the box, of `shape` (height, width), on each cheek, between the eye and the corner of the
    mouth; without one that is turned away or cut off by the box, if the other is not."""
    points = warp.moved - np.array(warp.place.box[:2], dtype=np.float32)
    half, found = max(TILE * warp.place.scale / 2, 2.0), []
    for eye, corner in ((dense.LEFT_EYE, dense.LEFT_MOUTH), (dense.RIGHT_EYE, dense.RIGHT_MOUTH)):
        above = points[eye].mean(axis=0)
        middle = above + np.float32(CHEEK) * (points[corner] - above)
        low = np.clip(np.round(middle[::-1] - half), 0, np.array(shape) - 2).astype(int)
        high = np.clip(np.round(middle[::-1] + half), low + 2, shape).astype(int)
        shown = float(np.linalg.norm(middle - points[dense.NOSE_TIP])) * float((high - low).min())
        found.append((shown, (slice(low[0], high[0]), slice(low[1], high[1]))))
    most = max(shown for shown, _ in found)
    return [block for shown, block in found if shown > SHOWN * most]
