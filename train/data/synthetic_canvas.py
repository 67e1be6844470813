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
_CIRCLE = np.stack(
    [
        np.cos(np.linspace(0, 2 * np.pi, 28, endpoint=False)),
        np.sin(np.linspace(0, 2 * np.pi, 28, endpoint=False)),
    ],
    axis=1,
)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Colour `a` with `share` of colour `b`."""
    return (
        a[0] + (b[0] - a[0]) * share,
        a[1] + (b[1] - a[1]) * share,
        a[2] + (b[2] - a[2]) * share,
    )


def darker(a: Colour, share: float) -> Colour:
    """Colour `a` with `share` of black."""
    return (a[0] * (1 - share), a[1] * (1 - share), a[2] * (1 - share))


def ellipse(x: float, y: float, width: float, height: float) -> Points:
    """The outline of an ellipse of half axes `width` and `height`."""
    outline = np.empty_like(_CIRCLE)
    np.multiply(_CIRCLE[:, 0], width, out=outline[:, 0])
    np.multiply(_CIRCLE[:, 1], height, out=outline[:, 1])
    outline[:, 0] += x
    outline[:, 1] += y
    return outline


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
