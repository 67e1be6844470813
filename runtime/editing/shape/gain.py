"""Tint and shade: by what factor an edit multiplies the photo's own skin, lips, brows and beard.

    g = log(t' + e) - log(t + e)            of the decoded textures t (as the face is) and t' (as wanted)
    photo' = (photo + e) exp(g) - e

g is limited, softly, and kept off teeth and eyes, which have no colour to gain, and off everything but the
face.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.frame import Frame

# What is added to brightness (0 to 1) before the logarithm: below it, differences are noise.
EPSILON = 0.06

# The largest gain either way, in log units, approached along a hyperbolic tangent.
LIMIT = 0.45

# Mean colourfulness (channel spread, 0 to 1) up to which a picture counts as grey.
GREY_SPREAD = 2 / 255

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # red, green, blue


# The face's outline is shrunk by these factors below the mouth and above the eyes, and softened by so many
# pixels of a 128 px texture: where some have hair and others skin, an attribute that goes with hair would
# light up or darken the forehead.
JAW, FOREHEAD, EDGE = 0.97, 0.8, 3.5


def is_grey(image_chw: Float32Array) -> bool:
    """Whether a picture (3, H, W) RGB in [0, 1] has no colours; its edit should have none, either."""
    return bool((image_chw.max(axis=0) - image_chw.min(axis=0)).mean() <= GREY_SPREAD)


def greyed(images_nchw: Float32Array, which: npt.NDArray[np.bool_]) -> Float32Array:
    """The images (N, 3, H, W) RGB, those of `which` (N,) as luminance."""
    if not which.any():
        return images_nchw
    result = images_nchw.copy()
    result[which] = np.tensordot(images_nchw[which], LUMA, axes=(1, 0))[:, None]
    return result


def log_gain(source_nchw: Float32Array, target_nchw: Float32Array, frame: Frame) -> Float32Array:
    """Bounded gains: float32 (N, 3, S, S) in log units, of decoded textures (N, 3, S, S) in [0, 1]."""
    offset = np.float32(EPSILON)
    gain = np.log((target_nchw + offset) / (source_nchw + offset))
    return bounded(gain) * gain_mask(frame, source_nchw.shape[-1])


def bounded(gain: Float32Array) -> Float32Array:
    """The soft limit."""
    return np.asarray(LIMIT * np.tanh(gain / np.float32(LIMIT)), dtype=np.float32)


@lru_cache(maxsize=8)
def gain_mask(frame: Frame, size: int) -> Float32Array:
    """Where the photo may gain colour: float32 (size, size) in [0, 1]; the face without eyes, teeth and
    hairline."""
    outline = frame.mean[dense.FACE_OVAL] * np.float32(size)
    centre = outline.mean(axis=0)
    eyes, mouth = (float(frame.mean[ring, 1].mean()) * size for ring in (dense.LEFT_EYE, dense.OUTER_LIP))
    above = ((mouth - outline[:, 1:]) / (mouth - eyes)).clip(0, 1)
    inner = centre + (outline - centre) * (JAW + (FOREHEAD - JAW) * above)
    face = np.zeros((size, size), dtype=np.float32)
    cv2.fillPoly(face, [np.round(inner * 16).astype(np.int32)], 1.0, shift=4)
    face = np.asarray(cv2.GaussianBlur(face, (0, 0), EDGE * size / 128), dtype=np.float32)
    for ring in (dense.LEFT_EYE, dense.RIGHT_EYE, dense.INNER_LIP):
        face = face * (1 - frame.mask(size, ring, blur=0.8))
    face.setflags(write=False)
    return face


def upsampled_factor(gain_hwc: Float32Array, shape: tuple[int, int]) -> Float32Array:
    """exp(gain) at another size: float32 (h, w, C)."""
    factor = cv2.exp(gain_hwc)
    return np.asarray(cv2.resize(factor, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)
