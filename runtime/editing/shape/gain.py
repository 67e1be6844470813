"""Tint and shade: by what factor an edit multiplies the photo's own skin, lips, brows and beard.

    g = log(t' + e) - log(t + e)            of the decoded textures t (as the face is) and t' (as wanted)
    photo' = (photo + e) exp(g) - e

g is limited, softly, and kept off teeth and eyes, which have no colour to gain, and off everything but the
face. It may darken more than it brightens: all of a face may become brighter, as paler skin is, but a part
of it that did would glow. Its fine part brightens only what is darker in the photo than its surroundings: a
fold that the photo does not have would leave a bright line.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, f32
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.frame import Frame

# What is added to brightness (0 to 1) before the logarithm: below it, differences are noise.
EPSILON = 0.06

# The largest gains in log units, approached along a hyperbolic tangent: darker, all of a face brighter, and
# a part of it brighter than the rest.
DARKER, PALER, BRIGHTER = 0.45, 0.12, 0.06

# All of a face brightens by what all but this share of it does.
QUARTER = 0.25

# Gains of light smaller than this, in log units, hold no colour back.
COLOURED = 0.05

# The most that age darkens by, in log units: a mean over folds of others, more of it is a bruise.
AGED = 0.12

# What a blur of so many pixels of a 128 px texture takes away is the fine part of a gain.
FINE = 3.0

# What a blur of so many pixels of a 128 px texture leaves of a gain is broad light.
BROAD = 12.0

# The blur is made at one so-many-th of a texture's side.
COARSE = 4

# Mean colourfulness (channel spread, 0 to 1) up to which a picture counts as grey.
GREY_SPREAD = 2 / 255

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # red, green, blue

# The face's outline is shrunk by these factors below the mouth and above the eyes, and softened by so many
# pixels of a 128 px texture: where some have hair and others skin, an attribute that goes with hair would
# light up or darken the forehead.
JAW, FOREHEAD, EDGE = 0.97, 0.8, 3.5


def is_grey(image_chw: Float32Array) -> bool:
    """Whether a picture (3, H, W) RGB in [0, 1] has no colours; its edit should have none, either."""
    red, green, blue = image_chw
    most, least = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    return bool((most - least).mean() <= GREY_SPREAD)


def greyed(images_nchw: Float32Array, which: npt.NDArray[np.bool_]) -> Float32Array:
    """The images (N, 3, H, W) RGB, those of `which` (N,) as luminance."""
    if not which.any():
        return images_nchw
    result = images_nchw.copy()
    result[which] = np.tensordot(images_nchw[which], LUMA, axes=(1, 0))[:, None]
    return result


def log_gain(
    source_nchw: Float32Array, target_nchw: Float32Array, own_nchw: Float32Array, frame: Frame
) -> Float32Array:
    """Bounded gains, float32 (N, 3, S, S) in log units, of decoded textures (N, 3, S, S) in [0, 1] and the
    photos' own."""
    offset, size = np.float32(EPSILON), source_nchw.shape[-1]
    gain = np.log((target_nchw + offset) / (source_nchw + offset))
    own = np.log(own_nchw + offset).mean(axis=1)
    mask = gain_mask(frame, size)
    made = [_bounded(*each, mask) for each in zip(gain.transpose(0, 2, 3, 1), own, strict=True)]
    return f32(np.array(made).reshape(-1, size, size, 3).transpose(0, 3, 1, 2)) * mask


def _bounded(gain_hwc: Float32Array, own_hw: Float32Array, mask_hw: Float32Array) -> Float32Array:
    """One face's gain (S, S, 3), bounded by its own texture's mean log colour (S, S)."""
    sigma = FINE * len(gain_hwc) / 128
    light = gain_hwc.mean(axis=2, keepdims=True)
    coarse = cv2.GaussianBlur(light, (0, 0), sigma)[:, :, None]
    darker_by = np.maximum(cv2.GaussianBlur(own_hw, (0, 0), sigma) - own_hw, 0)[:, :, None]
    whole = np.quantile(coarse[mask_hw > 0.5], QUARTER).clip(0, PALER).astype(np.float32)
    part = coarse - whole
    limit = np.where(part > 0, np.float32(BRIGHTER), np.float32(DARKER))
    limited = whole + limit * np.tanh(part / limit) + np.minimum(light - coarse, darker_by)
    # Where light is held back, so are colours, or they would be left as stains.
    share = np.minimum((np.abs(limited) + COLOURED) / (np.abs(light) + COLOURED), 1)
    total = limited + share * (gain_hwc - light)
    return f32(DARKER * np.tanh(total / np.float32(DARKER)))


def dimmed(gain_hwc: Float32Array, light_hw: Float32Array, frame: Frame) -> Float32Array:
    """A gain (S, S, 3) whose broad light and colours stay at a share (S, S), 0 to 1; lips keep theirs, and
    beyond `gain_mask` nothing comes."""
    if light_hw.min() == 1:
        return gain_hwc
    size = len(gain_hwc)
    small = cv2.resize(gain_hwc, (size // COARSE,) * 2, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), BROAD * size / 128 / COARSE)
    broad = cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)
    skin = gain_mask(frame, size) * (1 - lips_mask(frame, size))
    return f32(gain_hwc - ((1 - light_hw) * skin)[:, :, None] * broad)


def shallow(gain_hwc: Float32Array, share_hw: Float32Array) -> Float32Array:
    """A gain (S, S, 3) that darkens little, for a share (S, S) of 0 to 1."""
    light = gain_hwc.mean(axis=2)
    less = np.where(light < -1e-6, AGED * np.tanh(light / np.float32(AGED)) / np.minimum(light, -1e-6), 1)
    return f32(gain_hwc * (1 + share_hw * (less - 1))[:, :, None])


def filled(ring: Float32Array, size: int) -> Float32Array:
    """A ring of points (N, 2) in pixels, filled with 1: float32 (size, size)."""
    area = np.zeros((size, size), dtype=np.float32)
    cv2.fillPoly(area, [np.round(ring * 16).astype(np.int32)], 1.0, shift=4)
    return area


@lru_cache(maxsize=8)
def lips_mask(frame: Frame, size: int) -> Float32Array:
    """The lips and what is between them: float32 (size, size) in [0, 1]."""
    lips = frame.mask(size, dense.OUTER_LIP, blur=1.0)
    lips.setflags(write=False)
    return lips


@lru_cache(maxsize=8)
def gain_mask(frame: Frame, size: int) -> Float32Array:
    """Where the photo may gain colour: float32 (size, size) in [0, 1]; the face without eyes, teeth and
    hairline."""
    outline = frame.mean[dense.FACE_OVAL] * np.float32(size)
    centre = outline.mean(axis=0)
    eyes, mouth = (float(frame.mean[ring, 1].mean()) * size for ring in (dense.LEFT_EYE, dense.OUTER_LIP))
    above = ((mouth - outline[:, 1:]) / (mouth - eyes)).clip(0, 1)
    inner = centre + (outline - centre) * (JAW + (FOREHEAD - JAW) * above)
    face = f32(cv2.GaussianBlur(filled(inner, size), (0, 0), EDGE * size / 128))
    for ring in (dense.LEFT_EYE, dense.RIGHT_EYE, dense.INNER_LIP):
        face = face * (1 - frame.mask(size, ring, blur=0.8))
    face.setflags(write=False)
    return face
