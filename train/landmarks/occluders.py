"""Drawn things before a face, for the landmark network to learn what hides it: hands, boards, microphones."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.geometry import points as part

FINE = 2
"""Things are drawn so many times larger than the crop, for smooth edges."""

_Point = npt.NDArray[np.floating[Any]]


def occlude(
    crop: UInt8Array, points: Float32Array, rng: np.random.Generator, other: UInt8Array | None = None
) -> tuple[UInt8Array, npt.NDArray[np.bool_]]:
    """Something before the face: a hand, a board, a microphone, a strap, a scarf, a piece of another picture.

    crop uint8 (S, S, 3) and points float32 (K, 2) in its pixels to the new crop and which points it hides:
    bool (K,). Of 221 points, every second thing lies around the mouth. `other` is any picture, RGB, of at
    least 32 px.
    """
    size = crop.shape[0]
    low, high = points.min(axis=0), points.max(axis=0)
    centre = rng.uniform(low, high)
    if rng.random() < 0.5 and len(points) == part.COUNT:
        centre = points[part.OUTER_LIP].mean(axis=0) + rng.normal(0, 0.08, 2) * (high - low)
    # how much of a pixel is hidden, and how light the thing is there
    mask, light = np.zeros((2, FINE * size, FINE * size), dtype=np.float32)
    reach, is_hand = FINE * float((high - low).max()), rng.random() < 0.45
    if is_hand:
        _hand(mask, light, FINE * centre, reach, rng)
    else:
        _thing(mask, FINE * centre, reach, FINE * points, rng)
        light[:] = mask
    mask, light = (cv2.resize(v, (size, size), interpolation=cv2.INTER_AREA) for v in (mask, light))
    cover = _skin(crop, points, rng) if is_hand else _surface(crop, rng, other)
    cover = cover * (light / np.maximum(mask, 1e-3))[:, :, None]
    behind = crop.astype(np.float32)
    if rng.random() < 0.5:  # its shadow
        place = np.array([[1, 0, rng.normal(0, 0.02) * size], [0, 1, rng.uniform(0, 0.04) * size]])
        shadow = cv2.GaussianBlur(cv2.warpAffine(mask, place, (size, size)), (0, 0), 0.02 * size)
        behind *= 1 - rng.uniform(0.1, 0.5) * shadow[:, :, None]
    if rng.random() < 0.5:
        mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.3, 1.0)))
    mixed = behind + (cover - behind) * mask[:, :, None]
    cells = np.clip(points.round().astype(int), 0, size - 1)
    return np.clip(mixed, 0, 255).astype(np.uint8), mask[cells[:, 1], cells[:, 0]] > 0.5


def _hand(
    mask: Float32Array, light: Float32Array, centre: _Point, reach: float, rng: np.random.Generator
) -> None:
    """Fingers side by side, round as the light on them tells, and often the hand and arm that they are of."""
    angle = float(rng.uniform(0, 2 * math.pi))
    width = float(rng.uniform(0.09, 0.17)) * reach
    count, spread = int(rng.choice((1, 2, 3, 4, 4, 4))), float(rng.uniform(-0.02, 0.14))
    along, across = _direction(angle), _direction(angle + math.pi / 2)
    dark = float(rng.uniform(0.55, 1.0))
    # the centre is anywhere from the palm to the fingertips
    knuckles = centre - along * width * rng.uniform(-1.5, 4)
    if rng.random() < 0.8:
        palm = knuckles - along * 1.6 * width
        wrist = knuckles - along * rng.uniform(4, 5) * width
        _limb(mask, light, [palm, wrist, wrist - along * 2 * reach], 2.8 * width, dark)
        for side in np.linspace(-0.55, 0.55, 3):
            start = knuckles + across * side * count * width
            _limb(mask, light, [start - along * 3 * width, start], 1.6 * width, dark)
        if rng.random() < 0.5:
            thumb = palm + across * rng.choice((-1, 1)) * 2 * width
            _limb(mask, light, [palm, thumb, thumb + along * rng.uniform(1, 2.5) * width], 1.1 * width, dark)
    for finger in rng.permutation(count):
        side = finger - (count - 1) / 2
        turn, bend = angle + spread * side, float(rng.normal(0, 0.15))
        start = knuckles + across * side * width
        length = rng.uniform(1.3, 2.4) * width * (1.1 - 0.12 * abs(side))
        joint = start + _direction(turn) * length
        tip = joint + _direction(turn + bend) * length * rng.uniform(0.4, 1.1)
        _limb(mask, light, [start, joint, tip], width * rng.uniform(0.85, 1.0), dark)
        if rng.random() < 0.3:  # a nail
            nail = (_pair(tip), (0.6 * width, 0.45 * width), math.degrees(turn + bend))
            cv2.ellipse(light, nail, float(rng.uniform(1.0, 1.25)), -1, cv2.LINE_AA)


def _limb(mask: Float32Array, light: Float32Array, path: list[_Point], width: float, dark: float) -> None:
    """A rounded band along a path, the darker the nearer to its edges."""
    line = [np.array(path).round().astype(np.int32)]
    cv2.polylines(mask, line, False, 1.0, max(1, round(width)), cv2.LINE_AA)
    for share in (1.0, 0.86, 0.66, 0.4):
        value = dark + (1 - dark) * (1 - share**2)
        cv2.polylines(light, line, False, value, max(1, round(share * width)), cv2.LINE_AA)


def _thing(
    mask: Float32Array, centre: _Point, reach: float, points: Float32Array, rng: np.random.Generator
) -> None:
    """A board, a strap, a blob, a ball on a stick, or what covers a face from the nose or cheeks down."""
    kind, angle = rng.random(), float(rng.uniform(0, 180))
    if kind < 0.4:  # a board; every third one a strap
        sides = rng.uniform(0.15, 0.6, 2) * reach * ((3, 0.4) if kind < 0.12 else (1.5, 1))
        corners = cv2.boxPoints((_pair(centre), sides.tolist(), angle if kind < 0.3 else angle / 9 - 10))
        cv2.fillPoly(mask, [corners.astype(np.int32)], 1.0, cv2.LINE_AA)
    elif kind < 0.6:  # a blob
        turns = np.linspace(0, 2 * math.pi, 16, endpoint=False)
        radius = reach * rng.uniform(0.1, 0.35) * np.exp(rng.normal(0, 0.2, 16))
        outline = centre + np.stack([np.cos(turns), np.sin(turns)], axis=1) * radius[:, None]
        cv2.fillPoly(mask, [outline.astype(np.int32)], 1.0, cv2.LINE_AA)
    elif kind < 0.82 or len(points) < part.COUNT:  # a microphone
        axes = rng.uniform(0.14, 0.4) * reach * rng.uniform(0.7, 1.3, 2)
        cv2.ellipse(mask, (_pair(centre), axes.tolist(), angle), 1.0, -1, cv2.LINE_AA)
        down = _direction(float(rng.normal(math.pi / 2, 0.6)))
        end = centre + down * 2 * reach
        ends = np.stack([centre, end]).round().astype(np.int32)
        cv2.polylines(mask, [ends], False, 1.0, max(1, round(float(axes.min()) * 0.5)), cv2.LINE_AA)
    else:  # a scarf or a mask
        first = int(rng.integers(8, 14))
        edge, chin = points[first : 37 - first], points[18]
        outline = edge.mean(axis=0) + (edge - edge.mean(axis=0)) * rng.uniform(1.0, 1.3)
        top = points[part.OUTER_LIP].mean(axis=0) + (chin - points[part.NOSE_TIP]) * rng.uniform(-0.7, 0.4)
        cv2.fillPoly(mask, [np.vstack([outline, top]).astype(np.int32)], 1.0, cv2.LINE_AA)


def _skin(crop: UInt8Array, points: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Skin like that around the points, now and then lighter or darker: float32 (S, S, 3)."""
    size = crop.shape[0]
    x, y = np.clip(rng.permutation(points)[:9].round().astype(int), 0, size - 1).T
    colour = np.median(crop[y, x], axis=0) * np.exp(rng.normal(0, 0.08, 3) + rng.normal(0.05, 0.25))
    grain = rng.normal(0, 3, (size, size, 1)).astype(np.float32)
    return _uneven(np.broadcast_to(colour, crop.shape), 0.1, rng) + grain


def _surface(crop: UInt8Array, rng: np.random.Generator, other: UInt8Array | None) -> Float32Array:
    """What a thing's surface shows: one colour, stripes, or a piece of another picture; float32 (S, S, 3)."""
    size, kind = crop.shape[0], rng.random()
    if kind < 0.5 and other is not None:
        side = int(rng.uniform(0.3, 1) * min(other.shape[:2]))
        top, left = (int(rng.integers(length - side + 1)) for length in other.shape[:2])
        shown = cv2.resize(
            other[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA
        )
        shown = np.rot90(shown, int(rng.integers(4)))
        return _uneven(shown, 0.05, rng)
    colour = rng.uniform(0, 255, 3) if rng.random() < 0.6 else np.full(3, 255 * rng.beta(0.6, 0.8))
    cover = np.broadcast_to(colour, crop.shape).astype(np.float32)
    if kind > 0.85:  # stripes, or a grille
        waves = np.sin(np.arange(size) * rng.uniform(0.3, 2.5)) * rng.uniform(0.1, 0.5)
        cover = cover * (1 + waves[:, None, None] * (np.sign(waves[None, :, None]) if kind > 0.92 else 1))
    return _uneven(cover, float(rng.choice((0.01, 0.15))), rng)


def _uneven(cover: npt.NDArray[Any], how_much: float, rng: np.random.Generator) -> Float32Array:
    """The same in a light that changes slowly over it."""
    coarse = np.exp(rng.normal(0, how_much, (4, 4))).astype(np.float32)
    shade = cv2.resize(coarse, cover.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(cover * shade[:, :, None], dtype=np.float32)


def _direction(angle: float) -> _Point:
    return np.array([math.cos(angle), math.sin(angle)])


def _pair(point: _Point) -> tuple[float, float]:
    return float(point[0]), float(point[1])
