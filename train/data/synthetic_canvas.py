"""A small drawing surface: smooth filled shapes and lines, turned with the head."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

Colour = tuple[float, float, float]
"""Red, green, blue, 0 to 255."""
Points = npt.NDArray[np.float64]
"""(N, 2) x, y in template units."""

PIVOT = np.array([64.0, 76.0])
LANDMARK_DEPTHS = np.array([26.0, 26.0, 42.0, 28.0, 28.0])
_SHIFT = 4  # OpenCV takes coordinates in sixteenths of a pixel
_FINE = 1 << _SHIFT
_ANGLES = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_T = np.linspace(-1.0, 1.0, 13)
_HALF = np.linspace(0.0, np.pi, 17)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Colour `a` with `share` of colour `b`."""
    red, green, blue = (x + (y - x) * share for x, y in zip(a, b, strict=True))
    return red, green, blue


def darker(a: Colour, share: float) -> Colour:
    """Colour `a` with `share` of black."""
    return (a[0] * (1 - share), a[1] * (1 - share), a[2] * (1 - share))


def ellipse(x: float, y: float, width: float, height: float) -> Points:
    """The outline of an ellipse of half axes `width` and `height`."""
    return _CIRCLE * (width, height) + (x, y)


def arch(x: float, y: float, width: float, height: float) -> Points:
    """Half an ellipse of half axes `width` and `height`, upwards from y, left to right."""
    return np.stack([x - width * np.cos(_HALF), y - height * np.sin(_HALF)], axis=1)


def curve(x: float, half: float, ends: float, middle: float) -> Points:
    """A parabola from (x - half, ends) over (x, middle) to (x + half, ends)."""
    return np.stack([_T * half + x, (1 - _T**2) * (middle - ends) + ends], axis=1)


class Canvas:
    """Pixels, and the way from template units to them: turn of the head, alignment, size."""

    def __init__(self, side: int, yaw: float, pitch: float) -> None:
        self.pixels = np.zeros((side, side, 3), dtype=np.uint8)
        self._stretch = np.array([math.cos(yaw), math.cos(pitch)])
        self._parallax = np.array([math.sin(yaw), math.sin(pitch)])
        self._scale = side / 128
        self.place(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))

    def place(self, matrix: npt.NDArray[np.float64]) -> None:
        """Set the affine (2, 3) that aligns the turned head to the template."""
        # Template coordinates have pixel centres at whole numbers, at every size. The picture is averaged
        # down by 2 afterwards, which moves pixel centres by half a fine pixel.
        fine = self._scale * _FINE
        self._linear = np.ascontiguousarray((matrix[:, :2] * self._stretch).T * fine)
        self._towards = matrix[:, :2] @ self._parallax * fine
        offset = matrix[:, :2] @ (PIVOT - self._stretch * PIVOT) + matrix[:, 2]
        self._offset = offset * fine + 0.5 * _FINE + 0.5  # the last half makes truncation a rounding

    def project_landmarks(self, points: Points) -> Points:
        """Turn the five landmarks with the head: (5, 2) in template units, not aligned yet."""
        turned: Points = PIVOT + (points - PIVOT) * self._stretch + LANDMARK_DEPTHS[:, None] * self._parallax
        return turned

    def _pixels(self, points: Points, z: float) -> npt.NDArray[np.int32]:
        places: Points = points @ self._linear
        places += self._offset + z * self._towards
        return places.astype(np.int32)

    def fill(self, points: Points, colour: Colour, z: float) -> None:
        """Fill a closed shape at depth `z` (0 = the head's outline, positive = towards the viewer)."""
        cv2.fillPoly(self.pixels, [self._pixels(points, z)], colour, cv2.LINE_AA, _SHIFT)

    def between(self, upper: Points, lower: Points, colour: Colour, z: float) -> None:
        """Fill what lies between two curves that both run from left to right."""
        self.fill(np.concatenate([upper, lower[::-1]]), colour, z)

    def line(
        self, points: Points | Sequence[tuple[float, float]], colour: Colour, width: float, z: float
    ) -> None:
        """Draw an open line of `width` template units."""
        thickness = max(1, round(width * self._scale))
        path = self._pixels(np.asarray(points, dtype=np.float64), z)
        cv2.polylines(self.pixels, [path], False, colour, thickness, cv2.LINE_AA, _SHIFT)

    def ring(self, points: Points, colour: Colour, width: float, z: float) -> None:
        """Draw a closed line."""
        self.line(np.concatenate([points, points[:1]]), colour, width, z)
