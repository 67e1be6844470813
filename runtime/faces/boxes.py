"""Boxes around faces, and copies of a frame that are searched for them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, UInt8Array

# Two boxes that overlap more than this (intersection over union) show one face.
SAME_FACE = 0.35


def overlap(one_xywh: Float32Array, other_xywh: Float32Array) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    low = np.maximum(one_xywh[:2], other_xywh[:2])
    high = np.minimum(one_xywh[:2] + one_xywh[2:], other_xywh[:2] + other_xywh[2:])
    common = float(np.prod(np.maximum(high - low, 0)))
    union = float(np.prod(one_xywh[2:]) + np.prod(other_xywh[2:])) - common
    return common / union if union > 0 else 0.0


def turned_copy(frame_hwc: UInt8Array, degrees: float) -> tuple[UInt8Array, npt.NDArray[np.float64]]:
    """The whole frame turned anticlockwise, and the (2, 3) way back from copy to frame pixels."""
    height, width = frame_hwc.shape[:2]
    middle = ((width - 1) / 2, (height - 1) / 2)
    matrix = np.asarray(cv2.getRotationMatrix2D(middle, degrees, 1.0), dtype=np.float64)
    reach = np.abs(matrix[:, :2]) @ (width, height)
    size = (max(1, round(reach[0])), max(1, round(reach[1])))
    matrix[:, 2] += (np.array(size) - (width, height)) / 2
    copy = cv2.warpAffine(frame_hwc, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(copy, dtype=np.uint8), np.asarray(cv2.invertAffineTransform(matrix), np.float64)


def shrunk(frame: UInt8Array, scale: float) -> UInt8Array:
    """The frame, smaller by `scale`; as it is from 1 on."""
    if scale >= 1:
        return frame
    size = tuple(max(1, round(side * scale)) for side in (frame.shape[1], frame.shape[0]))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
