"""Expressions move a mouth about as far as people's move, and a nose hardly.

A movement that was learnt for effect goes beyond what people do: mouths become pursed or grins, corners hang,
lips thin out or fold, and the tip of the nose comes down with a smile. What is too much is given back, in
full where it is and less and less around it. Bounds on mouths are of CelebA's people with photos of both
kinds, near frontal, by dense landmarks; how far they reach was chosen. Lengths are shares of the distance
between the eyes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, Float64Array, f32
from aif.runtime.geometry import points as dense

# People whose mouth is w wide when they smile have one of the first plus the second times w when they do not:
# 594 people with three photos of each kind or more.
WIDTH, SLOPE = 0.59, 0.21

# People whose mouth is w wide when they do not smile have one of the first plus the second times w when they
# do (866 people); the first with their standard deviation, 0.06.
SMILE, SMILE_SLOPE = 0.71 + 0.06, 0.31

# How far the corners of a mouth are above the middle of its lips, likewise, without a smile and with one
# (1,081 people), with a standard deviation each; they may always go so far, about half of what people do.
HANGING, HANGING_SLOPE = -0.004 - 0.02, 0.22
RAISED, RAISED_SLOPE = 0.074 + 0.03, 0.43
ALWAYS = 0.035

# Shares of their thickness that lips have at the least and at the most after a change of expression: the
# upper one, the lower one (means of the same people with a smile and without, and a standard deviation).
UPPER, LOWER = (0.7, 1.38), (0.86, 1.15)

# The tip of the nose moves by so much at the most, up and down (people's by 0.002 on average); what is given
# back reaches so far.
TIP, NOSE = 0.01, 0.2

# Above and below the line between the corners of the mouth there are lips up to the first; skin around them
# follows less and less over the second (standard deviation).
LIPS, AROUND = 0.12, 0.18

# An expression that changes by this, as the decoder's values go, gives back what is too much in full, and
# with it what other edits of all of the face do to mouth and nose.
CHANGED = 0.3

_UPPER_MIDDLE, _LOWER_MIDDLE = 5, 15  # of a ring of lips

# All landmarks but the lips'.
_SKIN = np.ones(dense.COUNT)
_SKIN[dense.OUTER_LIP] = _SKIN[dense.INNER_LIP] = 0


@dataclass(frozen=True)
class _Mouth:
    """Landmarks as a mouth has them: `along` it and `across`, towards the chin, from its middle (221,); its
    own directions, the width, and the distance between the eyes; all in the landmarks' units."""

    along: Float64Array
    across: Float64Array
    axis: Float64Array
    down: Float64Array
    wide: float
    eyes: float

    @classmethod
    def of(cls, points: Float32Array | Float64Array, eyes: float) -> _Mouth:
        left, right = (points[end].astype(np.float64) for end in (dense.LEFT_MOUTH, dense.RIGHT_MOUTH))
        wide = max(float(np.linalg.norm(right - left)), 1e-6)
        axis = (right - left) / wide
        down = np.array([-axis[1], axis[0]])
        away = points - (left + right) / 2
        return cls(away @ axis, away @ down, axis, down, wide, eyes)

    @property
    def beside(self) -> Float64Array:
        """How far each landmark follows the lips, (221,): 1 on them."""
        sideways = np.maximum(np.abs(self.along) - self.wide / 2, 0)
        above = np.maximum(np.abs(self.across) - LIPS * self.eyes, 0)
        return np.asarray(np.exp(-(sideways**2 + above**2) / (2 * (AROUND * self.eyes) ** 2)))

    @property
    def corners(self) -> float:
        """How far its corners are above the middle of the lips."""
        ring = self.across[dense.INNER_LIP]
        return float(ring[_UPPER_MIDDLE] + ring[_LOWER_MIDDLE]) / 2


def natural(points: Float32Array, moves: Float32Array) -> Float32Array:
    """The movements (221, 2) of an edit of an expression, no further than people's; landmarks (221, 2) before
    it in the same units."""
    left, right = (points[ring].mean(axis=0) for ring in (dense.LEFT_EYE, dense.RIGHT_EYE))
    eyes = max(float(np.linalg.norm(right - left)), 1e-6)
    own = _Mouth.of(points, eyes)
    found = moves - _of_nose(points, moves, eyes)
    for give_back in (_width, _corners, _lips):
        mouth = _Mouth.of(points + found, eyes)
        sure = np.clip(mouth.wide / (LIPS * eyes) - 1, 0, 1)  # no mouth is so narrow
        found = found + sure * give_back(own, mouth)
    return f32(found)


def _of_nose(points: Float32Array, moves: Float32Array, eyes: float) -> Float64Array:
    """What is too much of how the tip of the nose goes up or down, and the nose with it."""
    across = points[dense.RIGHT_EYE].mean(axis=0) - points[dense.LEFT_EYE].mean(axis=0)
    down = np.array([-across[1], across[0]]) / eyes
    fall = float(moves[dense.NOSE_TIP] @ down)
    away = np.linalg.norm(points - points[dense.NOSE_TIP], axis=1)
    share = np.exp(-(away**2) / (2 * (NOSE * eyes) ** 2))
    return np.asarray((fall - np.clip(fall, -TIP * eyes, TIP * eyes)) * share[:, None] * down)


def _width(own: _Mouth, mouth: _Mouth) -> Float64Array:
    """What brings the corners to a natural distance."""
    least = min(own.wide, WIDTH * mouth.eyes + SLOPE * own.wide)
    most = max(own.wide, SMILE * mouth.eyes + SMILE_SLOPE * own.wide)
    lacking = min(max(mouth.wide, least), most) - mouth.wide
    share = np.clip(mouth.along / (mouth.wide / 2), -1, 1) * mouth.beside
    return np.asarray((share * lacking / 2)[:, None] * mouth.axis)


def _corners(own: _Mouth, mouth: _Mouth) -> Float64Array:
    """What brings the corners to a natural height above the middle of the lips."""
    eyes, was = mouth.eyes, own.corners
    least = min(HANGING * eyes + HANGING_SLOPE * was, was - ALWAYS * eyes)
    most = max(RAISED * eyes + RAISED_SLOPE * was, was + ALWAYS * eyes)
    lacking = min(max(mouth.corners, least), most) - mouth.corners
    share = np.clip(mouth.along / (mouth.wide / 2), -1, 1) ** 2 * mouth.beside
    return np.asarray(-(share * lacking)[:, None] * mouth.down)


def _lips(own: _Mouth, mouth: _Mouth) -> Float64Array:
    """What leaves lips a natural thickness: their outer edges move, and the skin beside them."""
    given = np.zeros_like(mouth.along)
    for side, inner, (least, most) in ((-1, dense.UPPER_LIP, UPPER), (1, dense.LOWER_LIP, LOWER)):
        outer = inner - dense.INNER_TO_OUTER
        was, thick = (side * (lips.across[outer] - lips.across[inner]) for lips in (own, mouth))
        was = np.maximum(was, 0)
        lacking = side * (np.clip(thick, least * was, most * was) - thick)
        given += _SKIN * _beyond(mouth, outer, lacking, side)
        given[outer] = lacking
    return np.asarray(given[:, None] * mouth.down)


def _beyond(mouth: _Mouth, outer: npt.NDArray[np.intp], moves: Float64Array, side: int) -> Float64Array:
    """How far landmarks above an upper lip (side -1) or below a lower one (1) move across, (221,), where its
    outer edge moves by `moves` (9,)."""
    order = np.argsort(mouth.along[outer])
    along, edge = mouth.along[outer][order], mouth.across[outer][order]
    ends = np.array([-1, 1]) * mouth.wide / 2  # beside the corners nothing moves
    moved = np.interp(mouth.along, [ends[0], *along, ends[1]], [0, *moves[order], 0], 0, 0)
    away = side * (mouth.across - np.interp(mouth.along, along, edge))
    share = np.exp(-(away**2) / (2 * (AROUND / 2 * mouth.eyes) ** 2)) * (away > 0)
    return np.asarray(moved * share)
