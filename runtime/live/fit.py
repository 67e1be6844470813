"""Pictures fitted into a place of another size or shape, and mirrored."""

from __future__ import annotations

import cv2
import numpy as np

from aif.runtime.arrays import UInt8Array


def fit_into(area_hwc_bgr: UInt8Array, picture_hwc_bgr: UInt8Array) -> None:
    """Draw a picture as large as it fits into the middle of an area, on black; the area is changed."""
    rows, columns = picture_hwc_bgr.shape[:2]
    scale = min(area_hwc_bgr.shape[0] / rows, area_hwc_bgr.shape[1] / columns)
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    left, top = (area_hwc_bgr.shape[1] - size[0]) // 2, (area_hwc_bgr.shape[0] - size[1]) // 2
    inner = area_hwc_bgr[top : top + size[1], left : left + size[0]]
    if inner.shape != area_hwc_bgr.shape:
        area_hwc_bgr[:] = 0
    if size == (columns, rows):
        inner[:] = picture_hwc_bgr
    else:
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        inner[:] = cv2.resize(picture_hwc_bgr, size, interpolation=how)


def fitted(image_hwc_bgr: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """The picture as large as it fits into (width, height), on black; itself where it has that size."""
    if image_hwc_bgr.shape[:2] == size[::-1]:
        return image_hwc_bgr
    area = np.empty((size[1], size[0], 3), dtype=np.uint8)
    fit_into(area, image_hwc_bgr)
    return area


def mirrored(image_hwc_bgr: UInt8Array) -> UInt8Array:
    """The picture as a mirror shows it."""
    return np.asarray(cv2.flip(image_hwc_bgr, 1), dtype=np.uint8)
