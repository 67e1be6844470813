"""Five landmarks and a face probability from a face box, by a small network that comes in the bundle.

The training of that network cuts its crops with `landmark_crop`, and starts its second pass from
`box_from_landmarks`: both stand here once, with fixed constants, so that training and use see the same.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from aif.runtime.align import Float32Array, UInt8Array, similarity_transform, warp_crop

# Side of the square crop around a face box, in units of the box's larger side.
CROP_SCALE = 1.5

# The usual box of a frontal face in the 128 px template: a square of this side around this centre (x, y).
# It is the median box of OpenCV's frontal Haar cascades on aligned faces; YuNet's boxes are as high and
# somewhat narrower.
TEMPLATE_BOX_CENTRE = (64.0, 74.0)
TEMPLATE_BOX_SIDE = 96.0


def landmark_crop(
    frame_hwc: UInt8Array, box_xywh: npt.ArrayLike, size: int, angle: float = 0.0
) -> tuple[UInt8Array, Float32Array]:
    """Cut the square around a face box that the landmark network looks at.

    The square has the box's centre and `CROP_SCALE` times its larger side. Beyond the frame's edge the border
    pixels are repeated. A point at `p` in the crop lies at the fraction `p / size` of the crop's side,
    which is what the network gives.

    Args:
        frame_hwc: uint8 (H, W, C), any channel order.
        box_xywh: left, top, width and height in frame pixels; may reach beyond the frame.
        size: side of the crop in pixels.
        angle: how far the face is turned clockwise as seen in the frame, in radians; the crop is turned
            back by it.

    Returns:
        uint8 (size, size, C) crop, and float32 (2, 3): frame pixel coordinates to crop pixel coordinates.

    Raises:
        ValueError: the box is empty or not finite.
    """
    x, y, width, height = (float(v) for v in np.asarray(box_xywh, dtype=np.float64).reshape(4))
    side = CROP_SCALE * max(width, height)
    if not all(map(math.isfinite, (x, y, width, height, angle))) or min(width, height) <= 0:
        raise ValueError(f"a face box needs a finite place and a positive size, got {(x, y, width, height)}")
    scale = size / side
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    centre_x, centre_y = x + width / 2, y + height / 2
    matrix = np.array(
        [
            [cos, sin, size / 2 - cos * centre_x - sin * centre_y],
            [-sin, cos, size / 2 + sin * centre_x - cos * centre_y],
        ],
        dtype=np.float32,
    )
    return warp_crop(frame_hwc, matrix, size), matrix


def box_from_landmarks(landmarks: npt.ArrayLike) -> Float32Array:
    """The box that a face detector would draw around five landmarks: float32 (4,) left, top, width, height.

    The landmarks are fitted to the 128 px template by a similarity; the box is an upright square around the
    place of `TEMPLATE_BOX_CENTRE`, its side the fitted length of `TEMPLATE_BOX_SIDE`.

    Args:
        landmarks: (5, 2) x, y in pixels, in the template's order.

    Raises:
        ValueError: the landmarks are not five finite points, or all lie in one point.
    """
    matrix = similarity_transform(landmarks, 128).astype(np.float64)
    linear = matrix[:, :2]
    centre = np.linalg.solve(linear, np.asarray(TEMPLATE_BOX_CENTRE) - matrix[:, 2])
    side = TEMPLATE_BOX_SIDE / math.hypot(linear[0, 0], linear[1, 0])
    return np.array([centre[0] - side / 2, centre[1] - side / 2, side, side], dtype=np.float32)


def landmark_angle(landmarks: npt.ArrayLike) -> float:
    """How far a face is turned clockwise as seen in the image, in radians, from the fit to the template.

    Raises:
        ValueError: the landmarks are not five finite points, or all lie in one point.
    """
    matrix = similarity_transform(landmarks, 128)
    return -math.atan2(float(matrix[1, 0]), float(matrix[0, 0]))
