"""Training samples for the face detector: faces of all sizes and turns, set into pictures without faces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.geometry.align import transform_points
from aif.train.detector.scenes import NO_FACES, Scene
from aif.train.evaluators.fitting import Samples
from aif.train.landmarks.crops import degrade
from aif.train.landmarks.occluders import occlude

STRIDE = 8
"""Pixels of the input to a cell of the network's maps."""

SMALLEST, LARGEST = 12.0, 300.0
"""Sides in pixels of the faces' boxes; their logarithm is uniform."""

SPREAD = 0.09
"""Standard deviation of a face's spot in the heat map, in units of its side."""

_MASK = 32
"""Side in pixels in which masks are drawn."""


@dataclass(frozen=True)
class DetectorBatch:
    """images uint8 (N, 3, S, S) RGB; heat float32 (N, S/8, S/8), 1 in the cell of a face's centre and less
    around it; target (N, 5, S/8, S/8): of the face that each cell is nearest to, how far its centre is from
    the cell's, x and y in cells, the logarithm of its side in cells, cosine and sine of its turn."""

    images: torch.Tensor
    heat: torch.Tensor
    target: torch.Tensor


@dataclass(frozen=True)
class Sources:
    """What samples are made of: aligned faces; whole pictures with faces, possibly none; pictures without."""

    aligned: Sequence[Scene]
    scenes: Sequence[Scene]
    others: Sequence[UInt8Array]


class DetectorSamples(Samples[Scene, DetectorBatch]):
    """Images of `size` px, a multiple of 32."""

    def __init__(self, sources: Sources, size: int, batch_size: int, seed: int) -> None:
        super().__init__(batch_size, seed)
        self._from, self._size = sources, size

    def batch(self, samples: list[Scene]) -> DetectorBatch:
        heat, target = zip(*(targets(scene.faces, self._size // STRIDE) for scene in samples), strict=True)
        images = np.stack([scene.image for scene in samples]).transpose(0, 3, 1, 2)
        arrays = (np.ascontiguousarray(images), np.stack(heat), np.stack(target))
        return DetectorBatch(*map(torch.from_numpy, arrays))

    def drawn(self, rng: np.random.Generator) -> Scene:
        canvas = _ground(self._from.others, self._size, rng)
        faces: list[Float32Array] = []
        if self._from.scenes and rng.random() < 0.35:
            scene = self._from.scenes[int(rng.integers(len(self._from.scenes)))]
            _put(canvas, scene, _side(rng), faces, rng)
        for _ in range(int(rng.integers(0, 4)) if rng.random() < 0.7 else 0):
            _put(canvas, self._no_face(rng), _side(rng), faces, rng)
        most = int(rng.choice((0, 1, 2, 4, 8), p=(0.12, 0.26, 0.26, 0.22, 0.14)))
        for side in sorted((_side(rng) for _ in range(most)), reverse=True):
            _put(canvas, self._face(rng), side, faces, rng)
        return Scene(degrade(canvas, rng), np.stack(faces) if faces else NO_FACES)

    def _face(self, rng: np.random.Generator) -> Scene:
        kind = self._from.scenes if self._from.scenes and rng.random() < 0.3 else self._from.aligned
        scene = kind[int(rng.integers(len(kind)))]
        if rng.random() > 0.08:
            return scene
        # something before it; which of these points are hidden does not matter
        x, y, side, _ = scene.faces[0]
        around = np.array([(x + dx * side, y + dy * side) for dx in (-0.35, 0.35) for dy in (-0.35, 0.35)])
        square = scene.image.shape[0] == scene.image.shape[1]
        return Scene(occlude(scene.image, around, rng)[0], scene.faces) if square else scene

    def _no_face(self, rng: np.random.Generator) -> Scene:
        """What has the outline of a pasted face: a part of another picture, or a detail of a face."""
        if rng.random() < 0.6:
            return Scene(_window(self._from.others, 128, rng), NO_FACES)
        face = self._from.aligned[int(rng.integers(len(self._from.aligned)))].image
        side = int(rng.uniform(0.15, 0.38) * face.shape[0])
        x, y = (int(v) for v in rng.integers(0, face.shape[0] - side, 2))
        detail = cv2.resize(face[y : y + side, x : x + side], (96, 96), interpolation=cv2.INTER_CUBIC)
        return Scene(np.asarray(detail, dtype=np.uint8), NO_FACES)


def targets(faces: Float32Array, cells: int) -> tuple[Float32Array, Float32Array]:
    """Heat map (cells, cells) and targets (5, cells, cells) of one image's faces; see `DetectorBatch`."""
    heat = np.zeros((cells, cells), np.float32)
    target = np.zeros((5, cells, cells), np.float32)
    places = np.arange(cells, dtype=np.float32) + np.float32(0.5)
    for *pixels, turn in faces.tolist():
        x, y, side = (pixels[0] + 0.5) / STRIDE, (pixels[1] + 0.5) / STRIDE, pixels[2] / STRIDE
        column, row = (min(cells - 1, max(0, int(v))) for v in (x, y))
        sigma = max(0.5, SPREAD * side)
        spot = np.exp(-((places - places[row]) ** 2)[:, None] / (2 * sigma**2)) * np.exp(
            -((places - places[column]) ** 2) / (2 * sigma**2)
        )
        mine = spot > heat
        heat[mine] = spot[mine]
        target[0, mine] = np.broadcast_to(x - places, heat.shape)[mine]
        target[1, mine] = np.broadcast_to((y - places)[:, None], heat.shape)[mine]
        target[2:, mine] = np.array([[math.log(side)], [math.cos(turn)], [math.sin(turn)]])
    return heat, target


def _side(rng: np.random.Generator) -> float:
    return math.exp(rng.uniform(math.log(SMALLEST), math.log(LARGEST)))


def _window(images: Sequence[UInt8Array], size: int, rng: np.random.Generator) -> UInt8Array:
    """A part of one of the images, turned and mirrored, enlarged or shrunk: (size, size, 3)."""
    image = images[int(rng.integers(len(images)))]
    height, width = image.shape[:2]
    side = max(1, min(height, width, int(size * math.exp(rng.uniform(-0.9, 0.9)))))
    x, y = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
    part = np.rot90(image[y : y + side, x : x + side], int(rng.integers(4)))[:, :: int(rng.choice((1, -1)))]
    way = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(part), (size, size), interpolation=way), np.uint8)


def _ground(images: Sequence[UInt8Array], size: int, rng: np.random.Generator) -> UInt8Array:
    """What faces are set into: a part of a picture, or colours that change slowly or quickly."""
    if rng.random() < 0.85:
        return np.array(_window(images, size, rng))
    coarse = int(rng.choice((1, 2, 4, 16, 80)))
    colours = rng.uniform(0, 255, 3) + rng.normal(0, rng.uniform(5, 60), (coarse, coarse, 3))
    clipped = np.clip(colours, 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(clipped, (size, size), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _put(
    canvas: UInt8Array, scene: Scene, side: float, faces: list[Float32Array], rng: np.random.Generator
) -> None:
    """Set a scene into the canvas, so that its first face has that side, and note its faces that are seen.

    Without a face it is the scene that is a third larger than `side`. A scene that would cover an earlier
    face is left out.
    """
    size, (height, width) = canvas.shape[0], scene.image.shape[:2]
    middle = np.array([[width - 1, height - 1]]) / 2
    anchor, scale = middle, 1.33 * side / max(height, width)
    if len(scene.faces):
        chosen = scene.faces[int(rng.integers(len(scene.faces)))]
        anchor, scale = chosen[None, :2].astype(np.float64), side / float(chosen[2])
    turn = rng.uniform(-30, 30) if rng.random() < 0.5 else rng.uniform(-180, 180)
    flip = -1.0 if rng.random() < 0.5 else 1.0
    cos, sin = scale * math.cos(math.radians(turn)), scale * math.sin(math.radians(turn))
    matrix = np.array([[flip * cos, -sin, 0.0], [flip * sin, cos, 0.0]])
    reach = 0.62 * scale * max(height, width) / 1.33
    for _ in range(6):
        place = rng.uniform(-0.1 * side, size - 1 + 0.1 * side, 2)
        matrix[:, 2] = place - matrix[:, :2] @ anchor[0]
        centre = transform_points(middle, matrix)[0]
        if all(math.dist(centre, face[:2]) > reach + 0.62 * face[2] for face in faces):
            break
    else:
        return
    _blend(canvas, scene.image, matrix, _mask(scene, rng))
    for (x, y), (_, _, own, angle) in zip(
        transform_points(scene.faces[:, :2], matrix), scene.faces, strict=True
    ):
        if 0 <= x < size and 0 <= y < size and SMALLEST * 0.7 < own * scale < LARGEST * 1.5:
            faces.append(np.array([x, y, own * scale, flip * angle + math.radians(turn)], dtype=np.float32))


def _mask(scene: Scene, rng: np.random.Generator) -> Float32Array:
    """How much of the scene is seen, 0 to 1, (32, 32) over all of it: a soft or hard shape around its middle,
    a rectangle where it is no square.
    """
    single = scene.image.shape[0] == scene.image.shape[1]
    power = float(rng.choice((2, 3, 8) if single else (8, 16)))
    places = (np.arange(_MASK, dtype=np.float32) - (_MASK - 1) / 2) / _MASK
    x, y = (np.abs(places / axis) ** power for axis in rng.uniform(0.37 if single else 0.46, 0.52, 2))
    away = (x + y[:, None]) ** np.float32(1 / power)
    soft = float(rng.uniform(0.01, 0.3)) if rng.random() < 0.8 else 0.01
    return np.asarray(np.clip((1 - away) / soft, 0, 1), dtype=np.float32)


def _blend(canvas: UInt8Array, image: UInt8Array, matrix: np.ndarray, mask: Float32Array) -> None:
    """Set an image into the canvas by the (2, 3) way from its pixels to there, as far as `mask` says."""
    height, width = image.shape[:2]
    scale = math.hypot(*matrix[:, 0])
    if scale < 0.6:  # or else pixels would be left out
        small = tuple(max(2, round(scale * v)) for v in (width, height))
        image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        matrix = matrix @ np.array([[width / small[0], 0, 0], [0, height / small[1], 0], [0, 0, 1.0]])
        height, width = image.shape[:2]
    corners = transform_points([[0, 0], [width, 0], [0, height], [width, height]], matrix)
    low = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(corners.max(axis=0)) + 1, canvas.shape[0]).astype(int)
    if (high <= low).any():
        return
    local = matrix - np.array([[0, 0, low[0]], [0, 0, low[1]]])
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    patch = cv2.warpAffine(image, local, size, borderMode=cv2.BORDER_REPLICATE)
    of_mask = local @ np.array([[width / _MASK, 0, 0], [0, height / _MASK, 0], [0, 0, 1.0]])
    alpha = cv2.warpAffine(mask, of_mask, size)
    part = canvas[low[1] : high[1], low[0] : high[0]]
    part[:] = cv2.blendLinear(patch, np.ascontiguousarray(part), alpha, 1 - alpha)
