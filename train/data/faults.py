"""Faults of photos, for training samples: uint8 (H, W, 3) in and out."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import UInt8Array

_GRAIN = np.random.default_rng(0).standard_normal(1 << 20, dtype=np.float32)


def blur(image: UInt8Array, sigma: float) -> UInt8Array:
    """Gaussian blur of `sigma` pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.uint8)


def low_resolution(image: UInt8Array, share: float) -> UInt8Array:
    """Shrunk to `share` of its size and enlarged again."""
    height, width = image.shape[:2]
    small = (max(1, int(share * width)), max(1, int(share * height)))
    shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def jpeg(image: UInt8Array, quality: int) -> UInt8Array:
    """Stored as a JPEG of `quality` 1 to 100."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


def noise(image: UInt8Array, levels: float, rng: np.random.Generator) -> UInt8Array:
    """Gaussian noise with a standard deviation of `levels` of 255, a channel and pixel apart."""
    if image.size < len(_GRAIN) // 2:  # small pictures take theirs from a store, which is faster
        start = int(rng.integers(len(_GRAIN) - image.size))
        grain = _GRAIN[start : start + image.size]
    else:
        grain = rng.standard_normal(image.size, dtype=np.float32)
    noisy = image + grain.reshape(image.shape) * np.float32(levels)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def grey(image: UInt8Array) -> UInt8Array:
    """Without colour."""
    return np.asarray(
        cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), dtype=np.uint8
    )


def tones(image: UInt8Array, curves: npt.NDArray[np.floating]) -> UInt8Array:
    """Each channel along its curve: (256, 3) values in [0, 1], which are clipped."""
    table = np.rint(np.clip(curves, 0, 1) * 255).astype(np.uint8)[None]
    return np.asarray(cv2.LUT(np.ascontiguousarray(image), table), dtype=np.uint8)
