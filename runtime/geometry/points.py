"""The 221 dense landmarks: which of them outline what, and the five landmarks that follow from them.

"left" and "right" are as seen in the image. Rings begin at the corner (lips, eyes) or at the forehead (face
oval) and run clockwise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, f32

COUNT = 221

FACE_OVAL, OUTER_LIP, INNER_LIP = slice(0, 36), slice(36, 56), slice(56, 76)
LEFT_EYE, RIGHT_EYE = slice(76, 92), slice(92, 108)
LEFT_BROW, RIGHT_BROW = slice(108, 118), slice(118, 128)
NOSE, SKIN = slice(128, 160), slice(160, 221)

# Upper and lower inner lip without the corners, both from left to right: partners touch where a mouth is
# shut.
UPPER_LIP = np.arange(57, 66)
LOWER_LIP = np.arange(67, 76)[::-1]

# Each landmark of the inner lips has its partner of the outer ones so many before it.
INNER_TO_OUTER = INNER_LIP.start - OUTER_LIP.start

NOSE_TIP, LEFT_MOUTH, RIGHT_MOUTH = 133, 36, 46

# Left and right corner of the left eye, of the right one: no expression moves them.
EYE_CORNERS = (76, 84, 92, 100)


def _pairs(start: int, stop: int) -> list[int]:
    """Neighbours change places: (start, start + 1), (start + 2, start + 3), ..."""
    return [number ^ 1 if start % 2 == 0 else ((number - 1) ^ 1) + 1 for number in range(start, stop)]


# Which landmark of the face takes each place when the image is mirrored.
MIRROR: npt.NDArray[np.intp] = np.array(
    [
        *(0, *range(35, 0, -1)),
        *(*range(46, 35, -1), *range(55, 46, -1)),
        *(*range(66, 55, -1), *range(75, 66, -1)),
        *(*range(92, 108), *range(76, 92)),
        *(*range(118, 128), *range(108, 118)),
        *(*range(128, 138), *_pairs(138, 160)),
        *(*_pairs(160, 164), 164, *_pairs(165, 169), 169, *_pairs(170, 194), 194, *_pairs(195, 221)),
    ]
)


def five_points(points: npt.ArrayLike) -> Float32Array:
    """The template's five landmarks of dense ones: float32 (..., 5, 2) of (..., 221, 2), in the same units.

    Eyes are the centres of their rings; nose tip and mouth corners are landmarks of the 221.
    """
    p = np.asarray(points, dtype=np.float32)
    eyes = (p[..., LEFT_EYE, :].mean(axis=-2), p[..., RIGHT_EYE, :].mean(axis=-2))
    others = (p[..., number, :] for number in (NOSE_TIP, LEFT_MOUTH, RIGHT_MOUTH))
    return np.stack([*eyes, *others], axis=-2)


def head_still(moves: Float32Array) -> Float32Array:
    """Movements (..., 221, 2) without the head's own: the corners of the eyes stay, on average.

    Landmarks are learnt in crops that are aligned by mouth and nose, too, where a smile shifts the eyes.
    """
    return f32(moves - moves[..., list(EYE_CORNERS), :].mean(axis=-2, keepdims=True))


def mouth_opening(points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """How far the middle of the inner lower lip lies below that of the upper one, in the points' units: (...)
    of (..., 221, 2); below 0 where lips cross."""
    return np.asarray(lip_gaps(points)[..., len(UPPER_LIP) // 2])


def lip_gaps(points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The same of all pairs of points of the inner lips, from corner to corner: (..., 9)."""
    p = np.asarray(points, dtype=np.float64)
    across = p[..., RIGHT_MOUTH, :] - p[..., LEFT_MOUTH, :]
    across = across / np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)
    between = p[..., LOWER_LIP, :] - p[..., UPPER_LIP, :]
    return np.asarray(between[..., 1] * across[..., None, 0] - between[..., 0] * across[..., None, 1])
