"""Draws one synthetic face: traits and attributes in, picture and landmarks out.

Everything is laid out in the units of the 128 px template: x to the right, y down, the eyes at about
(46, 62) and (82, 62). Parts lie at different depths (`z`), so that turning the head shifts the nose against
the outline. The picture is painted at twice the size and averaged down.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.geometry.align import similarity_transform, template, transform_points
from aif.train.data import synthetic_parts as parts
from aif.train.data.synthetic_canvas import Canvas, Colour, mix

ATTRIBUTES = ("Smiling", "Eyeglasses", "Blond_Hair", "Wearing_Hat", "Mouth_Slightly_Open", "Bangs", "Male")
TRAITS = 80
"""How many uniform numbers describe a face apart from its attributes."""
DRAWING_VERSION = 1
"""Goes up whenever the same numbers would give another picture."""

SKIN: tuple[Colour, ...] = (
    *((255, 226, 202), (245, 205, 175), (228, 180, 143)),
    *((198, 143, 104), (152, 102, 70), (104, 68, 48)),
)
DARK_HAIR: tuple[Colour, ...] = ((28, 24, 26), (58, 38, 28), (96, 58, 34), (132, 58, 30))
BLOND_HAIR: tuple[Colour, ...] = ((226, 186, 98), (246, 218, 142))
IRIS: tuple[Colour, ...] = ((70, 44, 28), (104, 70, 36), (72, 104, 58), (62, 106, 150), (98, 112, 122))
CLOTHES: tuple[Colour, ...] = ((52, 70, 112), (128, 46, 52), (58, 98, 76), (232, 228, 220), (52, 52, 58))


# The traits of a face that are a number between two ends, in the order in which they are read.
RANGES: dict[str, float | tuple[float, float]] = {
    "width": (38.5, 43.5),  # half the width of the head
    "chin": (118.0, 124.0),  # its y
    "jaw": (0.0, 0.35),  # 0 = pointed, 1 = square
    "eye": (0.88, 1.14),  # size, 1 on average
    "gaze": 1.4,
    "brow": (10.0, 13.0),  # height over the eyes
    "nose": (0.8, 1.2),
    "mouth": (12.5, 15.5),  # half its width, closed and unsmiling
    "lips": (0.8, 1.25),
    "mood": (-0.3, 1.6),  # how far the corners of an unsmiling mouth hang (positive) or rise
    "grin": (4.2, 6.2),  # how far a smile lifts them
    "gape": (4.5, 7.5),  # how far an open mouth opens
    "parting": 12.0,
    "fringe": (49.0, 54.0),
    "volume": (5.0, 10.0),
    "frames": (0.0, 1.0),
    "frame_colour": (0.0, 1.0),
    "hat": (0.0, 1.0),
    "hat_colour": (0.0, 1.0),
}
"""Ends, or the largest distance from 0 where the middle is more likely; in units of the template."""


def draw_face(
    traits: npt.NDArray[np.float64], present: Mapping[str, bool], size: int, paint: bool = True
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Draw a face.

    Args:
        traits: (TRAITS,) numbers in [0, 1): everything but the attributes.
        present: which of ATTRIBUTES the face has.
        size: side of the picture in pixels.
        paint: False leaves the picture empty, for its landmarks alone.

    Returns:
        uint8 (size, size, 3) RGB, and the landmarks in its pixels, float32 (5, 2).
    """
    t = _Traits(traits)
    yaw, pitch = t.spread(0.30), t.spread(0.16)
    eye_gap, eye_height, nose_tip, mouth_height = t.spread(2.0), t.spread(1.5), t.spread(2.0), t.spread(2.5)
    turn, grow, right, down = t.spread(0.05), 1 + t.spread(0.03), t.spread(1.5), t.spread(1.5)
    skin, dark, blond = t.shade(SKIN), t.shade(DARK_HAIR), t.shade(BLOND_HAIR)
    look = parts.Look(
        skin=skin,
        hair=blond if present["Blond_Hair"] else dark,
        iris=t.shade(IRIS),
        clothes=t.pick(CLOTHES),
        **{
            name: t.spread(ends) if isinstance(ends, float) else t.between(*ends)
            for name, ends in RANGES.items()
        },
    )
    head = parts.Head(
        look=look,
        left_eye=(46.0 - eye_gap, 62.0 + eye_height),
        right_eye=(82.0 + eye_gap, 62.0 + eye_height),
        nose=(64.0, 84.0 + nose_tip),
        mouth=(64.0, 100.6 + mouth_height),
        present=present,
    )
    canvas = Canvas(size * 2, yaw, pitch)
    # Aligned by the closed, unsmiling face, so that no attribute moves the rest of the picture.
    neutral = canvas.project_landmarks(head.landmarks(neutral=True))
    matrix = similarity_transform(neutral, 128).astype(np.float64)
    cos, sin = grow * math.cos(turn), grow * math.sin(turn)
    centre = template(128).mean(axis=0)
    wobble = np.array([[cos, -sin], [sin, cos]])
    matrix = wobble @ matrix
    matrix[:, 2] += centre - wobble @ centre + (right, down)
    canvas.place(matrix)
    projected = canvas.project_landmarks(head.landmarks(neutral=False))
    landmarks = transform_points(projected, matrix) * np.float32(size / 128)
    if not paint:
        return np.empty((0, 0, 3), dtype=np.uint8), landmarks
    _background(canvas, t)
    parts.paint(canvas, head)
    picture = cv2.resize(canvas.pixels, (size, size), interpolation=cv2.INTER_AREA)
    return _light(np.asarray(picture, dtype=np.uint8), t), landmarks


class _Traits:
    """Reads the traits one after the other, in the ranges asked for."""

    def __init__(self, traits: npt.NDArray[np.float64]) -> None:
        self._rest = iter(traits.tolist())

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * float(next(self._rest))

    def spread(self, most: float) -> float:
        """Around 0, at most `most` away; the middle is more likely than the ends."""
        return most * (float(next(self._rest)) + float(next(self._rest)) - 1.0)

    def shade(self, scale: tuple[Colour, ...]) -> Colour:
        """A colour anywhere along a scale of colours."""
        place = float(next(self._rest)) * (len(scale) - 1)
        low = min(int(place), len(scale) - 2)
        return mix(scale[low], scale[low + 1], place - low)

    def pick(self, colours: tuple[Colour, ...]) -> Colour:
        return colours[int(float(next(self._rest)) * len(colours))]

    def many(self, count: int) -> npt.NDArray[np.float32]:
        return np.array([next(self._rest) for _ in range(count)], dtype=np.float32)


def _background(canvas: Canvas, t: _Traits) -> None:
    """A soft patchwork of related colours."""
    tint = np.array([t.between(50, 225) for _ in range(3)], dtype=np.float32)
    tint += (tint.mean() - tint) * 0.35  # not too gaudy
    patches = np.clip(tint + (t.many(12).reshape(2, 2, 3) - 0.5) * 90, 0, 255)
    side = canvas.pixels.shape[0]
    # A 2 x 2 picture enlarged smoothly: colour gradients in both directions.
    small = cv2.resize(patches, (8, 8), interpolation=cv2.INTER_LINEAR)
    cv2.resize(small.astype(np.uint8), (side, side), dst=canvas.pixels, interpolation=cv2.INTER_LINEAR)


def _light(picture: npt.NDArray[np.uint8], t: _Traits) -> npt.NDArray[np.uint8]:
    """Light from one side, warmer or colder, over the whole picture."""
    size = picture.shape[0]
    level, slope = t.between(0.82, 1.08), t.between(0.0, 0.22)
    angle, warmth = t.between(0.0, 2 * math.pi), t.spread(0.06)
    ramp = np.linspace(-1.0, 1.0, size, dtype=np.float32)
    field = level + slope * (math.cos(angle) * ramp[None, :] + math.sin(angle) * ramp[:, None])
    light = cv2.merge([field * (1 + warmth), field, field * (1 - warmth)]).astype(np.float32, copy=False)
    lit = cv2.multiply(picture, light, dtype=cv2.CV_8U)  # rounds, and stops at 255
    return np.asarray(lit, dtype=np.uint8)
