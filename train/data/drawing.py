"""Draws one synthetic face, in the units of the 128 px template: eyes at about (46, 62) and (82, 62)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.geometry.align import transform_points

ATTRIBUTES = ("Smiling", "Eyeglasses", "Blond_Hair", "Wearing_Hat", "Mouth_Slightly_Open", "Bangs", "Male")
DRAWING_VERSION = 2
"""Goes up whenever the same numbers would give another picture."""

Colour = npt.NDArray[np.float64]
Points = npt.NDArray[np.float64]

SKIN = np.array([[255, 226, 202], [228, 180, 143], [152, 102, 70], [104, 68, 48]], dtype=float)
DARK_HAIR = np.array([[28, 24, 26], [58, 38, 28], [96, 58, 34], [132, 58, 30]], dtype=float)
BLOND_HAIR = np.array([[226, 186, 98], [246, 218, 142]], dtype=float)
IRIS = np.array([[70, 44, 28], [72, 104, 58], [62, 106, 150]], dtype=float)
CLOTHES = np.array([[52, 70, 112], [128, 46, 52], [58, 98, 76], [232, 228, 220]], dtype=float)
HATS = np.array([[176, 40, 48], [36, 64, 140], [34, 110, 84], [98, 52, 128]], dtype=float)
WHITE, BLACK = np.array([250.0, 248, 244]), np.array([20.0, 18, 20])
MALE_LIP, FEMALE_LIP = np.array([176.0, 84, 80]), np.array([200.0, 46, 66])
THROAT = np.array([74.0, 18, 26])
FINE = 4  # OpenCV takes coordinates in sixteenths of a pixel

_ANGLES = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_HALF = np.linspace(0, np.pi, 17)
_ARCH = np.stack([-np.cos(_HALF), -np.sin(_HALF)], axis=1)
_ROW = np.linspace(-1.0, 1.0, 13)


def draw_face(
    rng: np.random.Generator, present: Mapping[str, bool], size: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Draw a face: uint8 (size, size, 3) RGB, and its five landmarks in pixels, float32 (5, 2).

    present: which of ATTRIBUTES the face has; everything else comes from `rng`, the same whatever they are.
    """
    look = _look(rng, present)
    cos, sin = look.grow * math.cos(look.turn), look.grow * math.sin(look.turn)
    matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]])
    matrix[:, 2] = np.array([64.0, 80.0]) + look.shift - matrix[:, :2] @ (64.0, 80.0)
    half, lift, _ = _mouth_shape(look, present)
    corners = [(64 - half, look.mouth - lift), (64 + half, look.mouth - lift)]
    points = np.array([(64 - look.gap, look.eye), (64 + look.gap, look.eye), (64, look.nose), *corners])
    canvas = _Canvas(rng, size, matrix)
    _paint(canvas, look, present)
    picture = cv2.resize(canvas.pixels, (size, size), interpolation=cv2.INTER_AREA)
    level, slope, angle = rng.uniform((0.82, 0.0, 0.0), (1.08, 0.2, 2 * math.pi))
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    light = level + slope * (math.cos(angle) * ramp[None] + math.sin(angle) * ramp[:, None])
    lit = cv2.multiply(picture, cv2.merge([light.astype(np.float32)] * 3), dtype=cv2.CV_8U)
    return np.asarray(lit, dtype=np.uint8), transform_points(points, matrix) * np.float32(size / 128)


def _look(rng: np.random.Generator, present: Mapping[str, bool]) -> SimpleNamespace:
    """Everything about a face that varies beside its attributes: lengths in template units, and colours."""
    dark, blond = _shade(DARK_HAIR, rng), _shade(BLOND_HAIR, rng)
    return SimpleNamespace(
        turn=rng.uniform(-0.05, 0.05),
        grow=rng.uniform(0.96, 1.04),
        shift=rng.uniform(-1.5, 1.5, 2),
        width=rng.uniform(38.5, 43.5),
        chin=rng.uniform(118, 124),
        gap=rng.uniform(16.5, 19.5),
        eye=rng.uniform(61, 63),
        iris_size=rng.uniform(3.2, 4.2),
        gaze=rng.uniform(-1.2, 1.2),
        brow=rng.uniform(10, 13),
        nose=rng.uniform(82.5, 85.5),
        mouth=rng.uniform(98.5, 102.5),
        mouth_half=rng.uniform(12.5, 15.5),
        mood=rng.uniform(-1.5, 0.3),
        grin=rng.uniform(4.2, 6.2),
        gape=rng.uniform(5, 8),
        top=rng.uniform(5, 9),
        fringe=rng.uniform(48, 53),
        skin=_shade(SKIN, rng),
        iris=_shade(IRIS, rng),
        clothes=_shade(CLOTHES, rng),
        hat=_shade(HATS, rng),
        square=rng.random() < 0.5,
        hair=blond if present["Blond_Hair"] else dark,
    )


def _mouth_shape(look: SimpleNamespace, present: Mapping[str, bool]) -> tuple[float, float, float]:
    """Half the width of the mouth, how far its corners are lifted, and how far it opens."""
    gape = look.gape if present["Mouth_Slightly_Open"] else 0.0
    if present["Smiling"]:
        return look.mouth_half * 1.28, look.grin, gape
    return look.mouth_half * (0.8 if gape else 1.0), look.mood, gape


def _paint(canvas: _Canvas, look: SimpleNamespace, present: Mapping[str, bool]) -> None:
    """The head over the background, from the back of the hair to the hat."""
    male, skin, width = present["Male"], look.skin, look.width
    ends = [(64.0 - width - 5, 70.0 if male else 126.0), (64.0 + width + 5, 70.0 if male else 126.0)]
    canvas.between(_arch(64, look.eye, width + 5, look.eye - look.top), np.array(ends), look.hair)
    canvas.fill(_ellipse(64, 142, 52 if male else 44, 26), look.clothes)
    canvas.fill(_ellipse(64, 112, 19 if male else 14, 24), _dark(skin, 0.15))
    jaw = (0.8 if male else 0.66) * width
    chin = [(64 - width, look.eye), (64 - jaw, 106), (64, look.chin), (64 + jaw, 106), (64 + width, look.eye)]
    canvas.between(_arch(64, look.eye, width, 44), _smooth(chin), skin)
    bridge = [(60, look.eye + 6), (58, look.nose), (64, look.nose + 3), (69, look.nose)]
    canvas.line(bridge, _dark(skin, 0.3), 1.6)
    _mouth(canvas, look, present)
    for side in (-1, 1):
        _eye(canvas, look, present, 64 + side * look.gap, side)
    crown = _arch(64, look.eye - 4, width + 2, look.eye - 6 - look.top)
    canvas.between(crown, _curve(64, width - 4, look.eye - 6, 24), look.hair)
    if present["Bangs"]:
        fringe = _curve(64, width - 7, look.fringe - 6, look.fringe)
        fringe[::2, 1] -= 5
        canvas.between(_curve(64, width - 4, 34, 14), fringe, look.hair)
        for x, y in fringe[3:-3:2]:
            canvas.line([(64 + 0.6 * (x - 64), 24), (x, y)], _dark(look.hair, 0.3), 1.2)
    if present["Eyeglasses"]:
        _glasses(canvas, look)
    if present["Wearing_Hat"]:
        canvas.between(_arch(64, 36, width + 6, 46), _curve(64, width + 6, 36, 32), look.hat)
        brim = width + (16 if look.square else 8)
        canvas.between(_curve(64, brim, 38, 30), _curve(64, brim, 40, 40), _dark(look.hat, 0.35))


def _glasses(canvas: _Canvas, look: SimpleNamespace) -> None:
    for side in (-1, 1):
        x, y = 64 + side * look.gap, look.eye
        rim = _ellipse(x, y + 1, 13, 11)
        if look.square:
            rim = rim.clip((x - 11.5, y - 8), (x + 11.5, y + 10))
        canvas.line(np.concatenate([rim, rim[:1]]), BLACK, 2.6)
        canvas.line([(x + side * 12, y), (64 + side * look.width, y - 3)], BLACK, 2.4)
    canvas.line([(64 - look.gap + 12, look.eye), (64 + look.gap - 12, look.eye)], BLACK, 2.4)


def _mouth(canvas: _Canvas, look: SimpleNamespace, present: Mapping[str, bool]) -> None:
    half, lift, gape = _mouth_shape(look, present)
    ends, middle = look.mouth - lift, look.mouth + (2.0 if present["Smiling"] else 0.0)
    red, share, thick = (MALE_LIP, 0.45, 0.8) if present["Male"] else (FEMALE_LIP, 0.8, 1.2)
    lip = look.skin + (red - look.skin) * share
    upper, lower = (middle - 2.6 * thick, middle + gape + 3.4 * thick)
    canvas.between(_curve(64, half + 1, ends, upper), _curve(64, half + 1, ends, lower), lip)
    if gape:
        top = _curve(64, half - 1, ends, middle)
        canvas.between(top, _curve(64, half - 1, ends, middle + gape), THROAT)
        canvas.between(
            _curve(64, 0.8 * half, ends, middle), _curve(64, 0.8 * half, ends, middle + 0.5 * gape), WHITE
        )
    else:
        canvas.line(_curve(64, half, ends, middle), _dark(lip, 0.45), 1.3)
    for side in (-1, 1) if present["Smiling"] else ():
        cheek = [(half - 3, ends - 12), (half + 4, ends - 6), (half + 4, ends + 2)]
        canvas.line([(64 + side * x, y) for x, y in cheek], _dark(look.skin, 0.25), 1.4)


def _eye(canvas: _Canvas, look: SimpleNamespace, present: Mapping[str, bool], x: float, side: int) -> None:
    y, male = look.eye, present["Male"]
    lower = 2.4 if present["Smiling"] else 4.2
    upper = _curve(x, 8.2, y + 0.4, y - 5)
    canvas.between(upper, _curve(x, 8.2, y + 0.4, y + lower), WHITE)
    canvas.fill(_ellipse(x + look.gaze, y - 0.9, look.iris_size, look.iris_size), look.iris)
    canvas.fill(_ellipse(x + look.gaze, y - 0.9, look.iris_size / 2, look.iris_size / 2), BLACK)
    canvas.line(upper, _dark(look.skin, 0.75), 1.2 if male else 2.2)
    if not male:
        canvas.line([(x + side * 6, y - 2.2), (x + side * 11, y - 4.4)], BLACK, 1.6)
    brow = _curve(x + side, 10.5, y - look.brow + 1.6, y - look.brow - 1.2)
    canvas.line(brow, _dark(look.hair, 0.4), 3.4 if male else 1.8)


class _Canvas:
    """Pixels at twice the size, and the affine from template units to them; a soft background at first."""

    def __init__(self, rng: np.random.Generator, size: int, matrix: npt.NDArray[np.float64]) -> None:
        patches = (rng.uniform(60, 215, 3) + rng.uniform(-40, 40, (2, 2, 3))).astype(np.float32)
        background = cv2.resize(patches, (2 * size, 2 * size), interpolation=cv2.INTER_LINEAR)
        self.pixels = np.asarray(background).astype(np.uint8)
        self._scale = 2 * size / 128
        fine = self._scale * (1 << FINE)
        self._linear = np.ascontiguousarray(matrix[:, :2].T * fine)
        self._offset = (matrix[:, 2] + 0.5) * fine - (1 << FINE) / 2

    def _pixels(self, points: Points | Sequence[tuple[float, float]]) -> npt.NDArray[np.int32]:
        return np.rint(np.asarray(points) @ self._linear + self._offset).astype(np.int32)

    def fill(self, points: Points, colour: Colour) -> None:
        cv2.fillPoly(self.pixels, [self._pixels(points)], colour.tolist(), cv2.LINE_AA, FINE)

    def between(self, upper: Points, lower: Points, colour: Colour) -> None:
        """Fill what lies between two curves that both run from left to right."""
        self.fill(np.concatenate([upper, lower[::-1]]), colour)

    def line(self, points: Points | Sequence[tuple[float, float]], colour: Colour, width: float) -> None:
        thick = max(1, round(width * self._scale))
        cv2.polylines(self.pixels, [self._pixels(points)], False, colour.tolist(), thick, cv2.LINE_AA, FINE)


def _shade(scale: npt.NDArray[np.float64], rng: np.random.Generator) -> Colour:
    """A colour anywhere along a scale of colours."""
    place = rng.uniform(0, len(scale) - 1)
    return np.array([np.interp(place, range(len(scale)), channel) for channel in scale.T])


def _dark(colour: Colour, share: float) -> Colour:
    return colour * (1 - share)


def _ellipse(x: float, y: float, width: float, height: float) -> Points:
    return _CIRCLE * (width, height) + (x, y)


def _arch(x: float, y: float, width: float, height: float) -> Points:
    """Half an ellipse upwards from y, left to right."""
    return _ARCH * (width, height) + (x, y)


def _curve(x: float, half: float, ends: float, middle: float) -> Points:
    """A parabola from (x - half, ends) over (x, middle) to (x + half, ends), 13 points."""
    return np.stack([_ROW * half + x, (1 - _ROW**2) * (middle - ends) + ends], axis=1)


def _smooth(points: list[tuple[float, float]]) -> Points:
    """The corners cut twice (Chaikin, 1974), the ends kept."""
    path = np.array(points, dtype=float)
    for _ in range(2):
        cut = np.stack([0.75 * path[:-1] + 0.25 * path[1:], 0.25 * path[:-1] + 0.75 * path[1:]], axis=1)
        path = np.concatenate([path[:1], cut.reshape(-1, 2), path[-1:]])
    return path
