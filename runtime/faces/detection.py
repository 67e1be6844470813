"""A face that was found, what finds faces, and the frames that they are found in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.errors import ImageError


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
            "Grey images: cv2.cvtColor(image, cv2.COLOR_GRAY2BGR). 16 bit: divide by 257 first.",
        )
