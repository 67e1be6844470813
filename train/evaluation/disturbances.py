"""What photos suffer from, applied to good ones, so that its cost can be measured.

Every disturbance is a pure function of the photo, the face's landmarks and a random generator. Sizes are in
units of the face, so that photos of any resolution suffer alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.train.data import faults

_Changed = tuple[UInt8Array, Float32Array]
Change = Callable[[UInt8Array, Float32Array, np.random.Generator], _Changed]
"""(photo, landmarks, rng) -> (disturbed photo, float32 (2, 3) from photo to disturbed pixel coordinates)."""

STAYS: Float32Array = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32)


@dataclass(frozen=True)
class Disturbance:
    """One row of a table of robustness."""

    name: str
    change: Change


def _in_place(change: Callable[[UInt8Array, float, np.random.Generator], UInt8Array]) -> Change:
    """A change that moves nothing: (photo, eye distance in pixels, rng) -> photo."""

    def apply(photo: UInt8Array, landmarks: Float32Array, rng: np.random.Generator) -> _Changed:
        return change(photo, float(np.linalg.norm(landmarks[1] - landmarks[0])), rng), STAYS

    return apply


def _blur(eyes: float) -> Change:
    """Gaussian blur whose standard deviation is `eyes` times the eye distance."""
    return _in_place(lambda photo, distance, _: faults.blur(photo, max(eyes * distance, 0.01)))


def _noise(levels: float) -> Change:
    return _in_place(lambda photo, _, rng: faults.noise(photo, levels, rng))


def _jpeg(quality: int) -> Change:
    return _in_place(lambda photo, _, __: faults.jpeg(photo, quality))


def _dark(light: float) -> Change:
    """So much of the light (sRGB values scaled), and a dark picture's noise."""
    return _in_place(lambda photo, _, rng: faults.noise(np.rint(photo * light).astype(np.uint8), 4, rng))


def _turn(degrees: float) -> Change:
    """Turned about the face, either way; what comes in from outside repeats the border."""

    def apply(photo: UInt8Array, landmarks: Float32Array, rng: np.random.Generator) -> _Changed:
        angle = degrees * (1 if rng.random() < 0.5 else -1)
        centre = landmarks.mean(axis=0).tolist()
        matrix = np.asarray(cv2.getRotationMatrix2D(centre, angle, 1), dtype=np.float32)
        turned = cv2.warpAffine(photo, matrix, photo.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(turned, dtype=np.uint8), matrix

    return apply


def _hide_mouth(photo: UInt8Array, landmarks: Float32Array, _: np.random.Generator) -> _Changed:
    """A grey bar over the mouth, as wide as one and a half mouths."""
    left, right = landmarks[3], landmarks[4]
    reach = 0.25 * (right - left)
    down = np.array([-reach[1], reach[0]]) * 2
    corners = np.rint([left - reach - down, right + reach - down, right + reach + down, left - reach + down])
    hidden = cv2.fillPoly(photo.copy(), [corners.astype(np.int32)], (120, 120, 120))
    return np.asarray(hidden, dtype=np.uint8), STAYS


def _resize(face: int) -> Change:
    """The whole photo scaled until the face's box is `face` pixels wide."""

    def apply(photo: UInt8Array, landmarks: Float32Array, _: np.random.Generator) -> _Changed:
        scale = face / float(box_from_landmarks(landmarks)[2])
        size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
        resized = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        x, y = size[0] / photo.shape[1], size[1] / photo.shape[0]
        # Pixel centres: (x + 1/2) goes to scale * (x + 1/2).
        matrix = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]], dtype=np.float32)
        return np.asarray(resized, dtype=np.uint8), matrix

    return apply


DISTURBANCES: tuple[Disturbance, ...] = (
    Disturbance("as it is", _in_place(lambda photo, _, __: photo)),
    *(Disturbance(f"blur, {eyes} eye distances", _blur(eyes)) for eyes in (0.05, 0.1)),
    *(Disturbance(f"noise, {levels} levels", _noise(levels)) for levels in (15, 30)),
    *(Disturbance(f"JPEG {quality}", _jpeg(quality)) for quality in (30, 10)),
    *(Disturbance(f"{light:.0%} of the light", _dark(light)) for light in (0.3, 0.1)),
    *(Disturbance(f"turned by {degrees} degrees", _turn(degrees)) for degrees in (15, 30)),
    Disturbance("mouth hidden", _hide_mouth),
    *(Disturbance(f"face of {size} px", _resize(size)) for size in (40, 80, 160, 320, 800)),
)
"""The rows of the table, mildest first within each kind."""


def turned_away(landmarks: Float32Array) -> float:
    """How far a face looks to a side: the nose's distance from the middle of eyes and mouth, across the face,
    in eye distances. 0 = frontal; about 0.25 and more is a half profile."""
    across = landmarks[1] - landmarks[0]
    middle = landmarks[[0, 1, 3, 4]].mean(axis=0)
    return float(abs(np.dot(landmarks[2] - middle, across)) / max(float(np.dot(across, across)), 1e-6))
