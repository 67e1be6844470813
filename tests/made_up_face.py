"""A face of simple curves with all 221 landmarks, and pictures of it: for tests of geometry, not of
networks."""

from __future__ import annotations

import cv2
import numpy as np
from matplotlib.tri import Triangulation

from aif.runtime.editing.shape.bare_skin import SIDE, BareSkin
from aif.runtime.editing.shape.gain import EPSILON, filled
from aif.runtime.editing.shape.hairs import beard_area
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.frame import RING, Frame


def _ring(count: int, centre: tuple[float, float], radii: tuple[float, float], start: float) -> np.ndarray:
    """Points on an ellipse, clockwise as seen in the image from the angle `start` in degrees (0 = right)."""
    turn = np.radians(start + 360 * np.arange(count) / count)
    return np.array(centre) + np.array(radii) * np.stack([np.cos(turn), np.sin(turn)], axis=1)


def face_points(opening: float = 6.0) -> np.ndarray:
    """float32 (221, 2) in pixels of a 128 px crop, symmetric; the inner lips are `opening` px apart."""
    points = np.zeros((dense.COUNT, 2))
    points[dense.FACE_OVAL] = _ring(36, (64, 79), (40, 47), -90)
    points[dense.OUTER_LIP] = _ring(20, (64, 101), (15.2, 6 + opening / 2), 180)
    points[dense.INNER_LIP] = _ring(20, (64, 101), (9, opening / 2), 180)
    points[dense.LEFT_EYE] = _ring(16, (46, 62), (8, 3), 180)
    points[dense.RIGHT_EYE] = points[dense.LEFT_EYE] * (-1, 1) + (128, 0)
    points[dense.LEFT_BROW] = _ring(10, (45, 52), (11, 2.5), 180)
    points[dense.RIGHT_BROW] = points[dense.LEFT_BROW] * (-1, 1) + (128, 0)
    middle = np.stack([np.full(10, 64.0), np.linspace(58, 90, 10)], axis=1)
    points[128:138] = middle
    points[dense.NOSE_TIP] = (64, 84)
    side = np.stack([np.linspace(54, 60, 11), np.linspace(76, 90, 11)], axis=1)
    points[138:160:2], points[139:160:2] = side, side * (-1, 1) + (128, 0)
    rng = np.random.default_rng(5)
    for number in np.arange(160, 221):
        other = dense.MIRROR[number]
        if other == number:
            points[number] = (64, rng.uniform(40, 55) if number < 190 else rng.uniform(112, 118))
        elif other > number:
            angle, radius = rng.uniform(0.6 * np.pi, 1.4 * np.pi), rng.uniform(0.55, 0.9)
            points[number] = (64 + 40 * radius * np.cos(angle), 79 + 44 * radius * np.sin(angle))
            points[other] = points[number] * (-1, 1) + (128, 0)
    return points.astype(np.float32)


def made_up_frame() -> Frame:
    """A frame whose mean shape is `face_points()`."""
    mean = face_points() / 128
    outline = mean[dense.FACE_OVAL]
    centre = outline.mean(axis=0)
    vertices = np.concatenate([mean, centre + (outline - centre) * RING])
    triangles = Triangulation(vertices[:, 0], vertices[:, 1]).triangles
    return Frame(mean.astype(np.float32), triangles.astype(np.int32))


def face_picture(points: np.ndarray, size: int, scale: float = 1.0) -> np.ndarray:
    """uint8 (size, size, 3) BGR: skin, dark brows and eyes, red lips, a white inside of an open mouth."""
    rng = np.random.default_rng(0)
    image = np.full((size, size, 3), (90, 120, 60), np.uint8)
    noise = cv2.resize(rng.integers(-14, 15, (size // 4, size // 4, 1)).astype(np.float32), (size, size))

    def fill(ring: slice, colour: tuple[int, int, int]) -> None:
        place = np.round(points[ring] * scale * 16).astype(np.int32)
        cv2.fillPoly(image, [place], colour, lineType=cv2.LINE_AA, shift=4)

    fill(dense.FACE_OVAL, (140, 165, 210))
    for ring in (dense.LEFT_BROW, dense.RIGHT_BROW):
        fill(ring, (40, 50, 60))
    for ring in (dense.LEFT_EYE, dense.RIGHT_EYE):
        fill(ring, (30, 30, 30))
    fill(dense.OUTER_LIP, (70, 70, 190))
    if np.linalg.norm(points[dense.UPPER_LIP[4]] - points[dense.LOWER_LIP[4]]) > 0.5:
        fill(dense.INNER_LIP, (250, 250, 250))
    return np.clip(image + noise[:, :, None], 0, 255).astype(np.uint8)


# Where a beard grows, of a texture of 128 px, and the colour of skin.
BEARD = beard_area(made_up_frame(), 128) > 0.99
_SKIN = np.float32(np.log([0.62, 0.45, 0.36]))


def bare_skin() -> BareSkin:
    """Skin of one colour, whose brightness and light from the side vary."""
    outline = filled(made_up_frame().mean[dense.FACE_OVAL] * np.float32(128), 128)
    where = cv2.resize(outline, (SIDE, SIDE)) > 0.6
    x = np.indices((SIDE, SIDE))[1][where] / SIDE - 0.5
    components = np.stack([np.full(len(x), 0.3), 2 * x], axis=1)[:, None].repeat(3, axis=1)
    return BareSkin(where, np.tile(_SKIN, (len(x), 1)), components.astype(np.float32), 0.01)


def face_texture(
    beard: float = 0.0, light: float = 0.0, grey: bool = False, where: np.ndarray = BEARD
) -> np.ndarray:
    """A texture (3, 128, 128) of such skin, lit from the right by `light`, with a beard darker by so much."""
    x = np.indices((128, 128))[1] / 128 - 0.5
    logs = _SKIN + (light * x)[:, :, None] - (beard * where)[:, :, None]
    if grey:
        logs[where] = np.log(0.5)
    return np.float32(np.exp(logs) - EPSILON).transpose(2, 0, 1)
