"""A face that was found, what finds faces, and the frames, and copies of them, that they are found in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.errors import ImageError

# Two boxes that overlap more than this (intersection over union) show one face.
SAME_FACE = 0.35


@dataclass(frozen=True)
class Detection:
    """One face.

    Attributes:
        box_xywh: float32 (4,) left, top, width, height in frame pixels; may reach beyond the frame.
        landmarks: float32 (5, 2) x, y in frame pixels, in the template's order.
        score: how sure the detector is, 0 to 1.
    """

    box_xywh: Float32Array
    landmarks: Float32Array
    score: float


class Detector(Protocol):
    """Anything that finds faces."""

    def detect(self, frame_hwc_bgr: UInt8Array) -> list[Detection]:
        """Faces in a uint8 (H, W, 3) frame, the surest first; empty where there is none."""
        ...


def check_frame(frame: npt.NDArray[np.generic]) -> None:
    """Raise ImageError unless `frame` is a non-empty uint8 (H, W, 3) array."""
    if not isinstance(frame, np.ndarray):  # cv2.imread's way of saying that there is no picture is None
        raise ImageError(
            f"A frame must be a NumPy array, not {type(frame).__name__}.",
            "cv2.imread and VideoCapture.read give None where they could not read: check the path."
            if frame is None
            else "Use cv2.imread. A Pillow image is RGB: "
            'cv2.cvtColor(numpy.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR)',
        )
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise ImageError(
            f"A frame must be uint8 (height, width, 3) in BGR order, not {frame.dtype} {frame.shape}.",
            "Grey: cv2.cvtColor(image, cv2.COLOR_GRAY2BGR). Four channels: cv2.COLOR_BGRA2BGR. 16 bit: "
            "divide by 257 first.",
        )


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
