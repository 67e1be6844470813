"""The one alignment of the whole project: five landmarks to a square face crop and back.

Training crops (`aif prepare`) and runtime crops come from the functions here, so that a network never
sees another geometry in use than it saw in training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, UInt8Array

# Where the five landmarks lie in a 128 px face crop: left eye, right eye, nose, left and right mouth corner
# as seen in the image (x, y in pixels). Sizes other than 128 scale it linearly.
TEMPLATE_128: Float32Array = np.array(
    [[46.0, 62.0], [82.0, 62.0], [64.0, 84.0], [48.8, 100.6], [79.2, 100.6]], dtype=np.float32
)

# Alignment residual (see `alignment_residual`) up to which an edit has full strength and from which on none.
FRONTAL, PROFILE = 0.17, 0.27

# The same for the yaw in degrees, where it is known: beyond, the far half of the face is folded away.
FRONTAL_YAW, PROFILE_YAW = 30.0, 46.0

# Hair is coloured up to that, and from here on no more.
HAIR_GONE_YAW = 60.0


def template(size: int) -> Float32Array:
    """The landmark template of a face crop of `size` px: float32 (5, 2), x and y in pixels."""
    return TEMPLATE_128 * np.float32(size / 128.0)


def similarity_transform(landmarks: npt.ArrayLike, size: int) -> Float32Array:
    """The similarity (rotation, one scale, shift) that takes `landmarks` to the template, by least squares.

    Args:
        landmarks: (5, 2) x, y in image pixels, in the template's order.
        size: side of the face crop in pixels.

    Returns:
        float32 (2, 3): image pixel coordinates to crop pixel coordinates.

    Raises:
        ValueError: the landmarks are not (5, 2), not finite, or all in one point.

    Source: Umeyama (1991), equations 40-43, in two dimensions and without reflection.
    """
    source = np.asarray(landmarks, dtype=np.float64)
    if source.shape != (5, 2) or not np.isfinite(source).all():
        raise ValueError(f"landmarks must be five finite (x, y) points, got shape {source.shape}")
    target = template(size).astype(np.float64)
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    a, b = source - source_mean, target - target_mean
    spread = float((a**2).sum())
    if spread < 1e-6:
        raise ValueError("the five landmarks lie in one point")
    # In two dimensions the optimal rotation and scale are one complex number, <b, a> / <a, a>.
    cos = float((a * b).sum()) / spread
    sin = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / spread
    linear = np.array([[cos, -sin], [sin, cos]])
    shift = target_mean - linear @ source_mean
    return np.concatenate([linear, shift[:, None]], axis=1).astype(np.float32)


def transform_points(points: npt.ArrayLike, matrix: npt.ArrayLike) -> Float32Array:
    """Apply an affine (2, 3) `matrix` to (N, 2) points; float32 (N, 2)."""
    m = np.asarray(matrix, dtype=np.float64)
    return (np.asarray(points, dtype=np.float64) @ m[:, :2].T + m[:, 2]).astype(np.float32)


def alignment_residual(landmarks: npt.ArrayLike, matrix: npt.ArrayLike, size: int) -> float:
    """RMS distance of the aligned landmarks from the template, as a fraction of the template's eye distance.

    0 is a perfect fit; frontal faces lie below 0.15, profiles above 0.3.
    """
    goal = template(size)
    error = transform_points(landmarks, matrix) - goal
    eye_distance = float(np.linalg.norm(goal[1] - goal[0]))
    return float(np.sqrt((error**2).sum(axis=1).mean())) / eye_distance


def frontality(residual: float) -> float:
    """How strongly a face of this `alignment_residual` is to be edited: 1 = frontal, 0 = in profile.

    The decoder knows frontal faces only, and draws one over a profile.
    """
    return min(max((PROFILE - residual) / (PROFILE - FRONTAL), 0.0), 1.0)


def yaw_fade(yaw: float) -> float:
    """How strongly a face that is turned by `yaw` degrees is to be edited: 1 = frontal, 0 = in profile."""
    return min(max((PROFILE_YAW - abs(yaw)) / (PROFILE_YAW - FRONTAL_YAW), 0.0), 1.0)


def hair_fade(yaw: float) -> float:
    """The same for its hair, which can be coloured as long as a face is found at all."""
    return min(max((HAIR_GONE_YAW - abs(yaw)) / (HAIR_GONE_YAW - PROFILE_YAW), 0.0), 1.0)


def warp_crop(image_hwc: UInt8Array, matrix: npt.ArrayLike, size: int) -> UInt8Array:
    """Cut the face crop that `matrix` (image to crop, (2, 3)) describes: uint8 (size, size, channels).

    Faces larger than the crop are sampled on a finer grid and averaged down (no aliasing); beyond the
    image's edge the border pixels are repeated.
    """
    m = np.asarray(matrix, dtype=np.float64)
    scale = float(np.hypot(m[0, 0], m[1, 0]))
    factor = min(max(math.ceil(1 / max(scale, 0.01) - 1 / 3), 1), 16)
    # Pixel centres: coordinate x of the crop is factor * x + (factor - 1) / 2 on the finer grid.
    fine = m * factor
    fine[:, 2] += (factor - 1) / 2
    side = (size * factor, size * factor)
    crop = cv2.warpAffine(image_hwc, fine, side, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if factor > 1:
        crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(crop, dtype=np.uint8)


def crop_face(image_hwc: UInt8Array, landmarks: npt.ArrayLike, size: int) -> UInt8Array:
    """Align and cut one face: `similarity_transform` and `warp_crop` in one call."""
    return warp_crop(image_hwc, similarity_transform(landmarks, size), size)


def face_crops(frame_hwc_bgr: UInt8Array, matrices: Sequence[Float32Array], size: int) -> Float32Array:
    """The faces as the encoder takes them: float32 (N, 3, size, size) RGB in [0, 1]; matrices (2, 3) lead
    from frame to crop pixels, and there may be none."""
    crops = np.empty((len(matrices), 3, size, size), dtype=np.float32)
    for crop, matrix in zip(crops, matrices, strict=True):
        crop[:] = warp_crop(frame_hwc_bgr, matrix, size)[..., ::-1].transpose(2, 0, 1)
    return crops / np.float32(255)
