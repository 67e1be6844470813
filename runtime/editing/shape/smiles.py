"""Expressions leave a mouth about as wide as people's, without a smile and with one.

A movement that was learnt for effect narrows mouths further, which looks pursed, or widens them further, to
a grin. What is too much is given back, in full on the lips and less and less around them.
"""

from __future__ import annotations

import numpy as np

from aif.runtime.arrays import Float32Array, f32
from aif.runtime.geometry import points as dense

# People whose mouth is w eye distances wide when they smile have one of the first plus the second times w
# when they do not: 594 people of CelebA with three photos of each kind or more.
WIDTH, SLOPE = 0.59, 0.21

# People whose mouth is w eye distances wide when they do not smile have one of the first plus the second
# times w when they do (866 people, frontal); the first with their standard deviation, 0.06.
SMILE, SMILE_SLOPE = 0.71 + 0.06, 0.31

# Eye distances above and below the line between the corners of the mouth that are the lips, and over which
# skin around them follows less and less (standard deviation).
LIPS, AROUND = 0.12, 0.18


# An expression that changes by this, as the decoder's values go, gives back what is too much in full.
CHANGED = 0.3


def naturally_wide(points: Float32Array, moves: Float32Array) -> Float32Array:
    """The movements (221, 2) of an edit of an expression, with the mouth as wide as it should be; landmarks
    (221, 2) before it in the same units."""
    left, right = (points[ring].mean(axis=0) for ring in (dense.LEFT_EYE, dense.RIGHT_EYE))
    eyes = float(np.linalg.norm(right - left))
    after = points + moves
    corners = after[dense.RIGHT_MOUTH] - after[dense.LEFT_MOUTH]
    was = float(np.linalg.norm(points[dense.RIGHT_MOUTH] - points[dense.LEFT_MOUTH]))
    wide = float(np.linalg.norm(corners))
    least, most = min(was, WIDTH * eyes + SLOPE * was), max(was, SMILE * eyes + SMILE_SLOPE * was)
    lacking = min(max(wide, least), most) - wide
    if lacking == 0 or wide < LIPS * eyes:
        return moves
    axis = corners / wide
    away = after - (after[dense.RIGHT_MOUTH] + after[dense.LEFT_MOUTH]) / 2
    along, across = away @ axis, away @ np.array([-axis[1], axis[0]])
    beside = np.maximum(np.abs(along) - wide / 2, 0), np.maximum(np.abs(across) - LIPS * eyes, 0)
    follows = np.exp(-(beside[0] ** 2 + beside[1] ** 2) / (2 * (AROUND * eyes) ** 2))
    share = np.clip(along / (wide / 2), -1, 1) * follows
    return f32(moves + (share * lacking / 2)[:, None] * axis)
