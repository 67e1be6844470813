"""What photos suffer from, applied to good ones, so that its cost can be measured.

Every disturbance is a pure function of the photo, the face's landmarks and a random generator. Sizes are in
units of the face, so that photos of any resolution suffer alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.faces.landmarks import box_from_landmarks

Change = Callable[[UInt8Array, Float32Array, np.random.Generator], tuple[UInt8Array, Float32Array]]
"""(photo, landmarks, rng) -> (disturbed photo, float32 (2, 3) from photo to disturbed pixel coordinates)."""

STAYS: Float32Array = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32)


@dataclass(frozen=True)
class Disturbance:
    """One row of a table of robustness."""

    name: str
    change: Change


def _none(photo: UInt8Array, _: Float32Array, __: np.random.Generator) -> tuple[UInt8Array, Float32Array]:
    return photo, STAYS


def _blur(
    photo: UInt8Array, landmarks: Float32Array, _: np.random.Generator, *, eyes: float
) -> tuple[UInt8Array, Float32Array]:
    """Gaussian blur whose standard deviation is `eyes` times the eye distance."""
    sigma = eyes * float(np.linalg.norm(landmarks[1] - landmarks[0]))
    return _image(cv2.GaussianBlur(photo, (0, 0), max(sigma, 0.01))), STAYS


def _noise(
    photo: UInt8Array, _: Float32Array, rng: np.random.Generator, *, levels: float
) -> tuple[UInt8Array, Float32Array]:
    """Gaussian noise of so many levels of 255, a channel and pixel apart."""
    noisy = photo + rng.normal(0, levels, photo.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), STAYS


def _jpeg(
    photo: UInt8Array, _: Float32Array, __: np.random.Generator, *, quality: int
) -> tuple[UInt8Array, Float32Array]:
    _ok, data = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return _image(cv2.imdecode(data, cv2.IMREAD_COLOR)), STAYS


def _dark(
    photo: UInt8Array, landmarks: Float32Array, rng: np.random.Generator, *, light: float
) -> tuple[UInt8Array, Float32Array]:
    """So much of the light (sRGB values scaled), and a dark picture's noise."""
    return _noise(np.rint(photo * light).astype(np.uint8), landmarks, rng, levels=4)


def _turn(
    photo: UInt8Array, landmarks: Float32Array, rng: np.random.Generator, *, degrees: float
) -> tuple[UInt8Array, Float32Array]:
    """Turned about the face, either way; what comes in from outside repeats the border."""
    centre = landmarks.mean(axis=0).tolist()
    matrix = cv2.getRotationMatrix2D(centre, degrees * (1 if rng.random() < 0.5 else -1), 1).astype(
        np.float32
    )
    turned = cv2.warpAffine(
        photo, matrix, photo.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return _image(turned), matrix


def _hide_mouth(
    photo: UInt8Array, landmarks: Float32Array, _: np.random.Generator
) -> tuple[UInt8Array, Float32Array]:
    """A grey bar over the mouth, as wide as one and a half mouths."""
    left, right = landmarks[3], landmarks[4]
    reach = 0.25 * (right - left)
    down = np.array([-reach[1], reach[0]]) * 2
    corners = np.rint([left - reach - down, right + reach - down, right + reach + down, left - reach + down])
    return _image(cv2.fillPoly(photo.copy(), [corners.astype(np.int32)], (120, 120, 120))), STAYS


def _resize(
    photo: UInt8Array, landmarks: Float32Array, _: np.random.Generator, *, face: int
) -> tuple[UInt8Array, Float32Array]:
    """The whole photo scaled until the face's box is `face` pixels wide."""
    scale = face / float(box_from_landmarks(landmarks)[2])
    size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
    resized = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    x, y = size[0] / photo.shape[1], size[1] / photo.shape[0]
    # Pixel centres: (x + 1/2) goes to scale * (x + 1/2).
    return _image(resized), np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]], dtype=np.float32)


def _image(pixels: object) -> UInt8Array:
    return np.asarray(pixels, dtype=np.uint8)


DISTURBANCES: tuple[Disturbance, ...] = (
    Disturbance("as it is", _none),
    Disturbance("blur, 0.05 eye distances", partial(_blur, eyes=0.05)),
    Disturbance("blur, 0.1 eye distances", partial(_blur, eyes=0.1)),
    Disturbance("noise, 15 levels", partial(_noise, levels=15)),
    Disturbance("noise, 30 levels", partial(_noise, levels=30)),
    Disturbance("JPEG 30", partial(_jpeg, quality=30)),
    Disturbance("JPEG 10", partial(_jpeg, quality=10)),
    Disturbance("30% of the light", partial(_dark, light=0.3)),
    Disturbance("10% of the light", partial(_dark, light=0.1)),
    Disturbance("turned by 15 degrees", partial(_turn, degrees=15)),
    Disturbance("turned by 30 degrees", partial(_turn, degrees=30)),
    Disturbance("mouth hidden", _hide_mouth),
    *(Disturbance(f"face of {size} px", partial(_resize, face=size)) for size in (40, 80, 160, 320, 800)),
)
"""The rows of the table, mildest first within each kind."""


def turned_away(landmarks: Float32Array) -> float:
    """How far a face looks to a side: the nose's distance from the middle of eyes and mouth, across the face,
    in eye distances. 0 = frontal; about 0.25 and more is a half profile."""
    across = landmarks[1] - landmarks[0]
    middle = landmarks[[0, 1, 3, 4]].mean(axis=0)
    return float(abs(np.dot(landmarks[2] - middle, across)) / max(float(np.dot(across, across)), 1e-6))
