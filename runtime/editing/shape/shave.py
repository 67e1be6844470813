"""Beards that go: the photo's skin takes the place of the hair.

    a             where the photo x differs from bare skin K as hair does
    photo' = photo * exp(a (K - blur(x)))               and fine detail as a cheek's: `pores`

An average gain would leave a shadow of every beard that is darker than most.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from aif.runtime.arrays import Float32Array, f32
from aif.runtime.editing.shape.bare_skin import BareSkin, Doubt
from aif.runtime.editing.shape.gain import EPSILON, gain_mask, lips_mask
from aif.runtime.editing.shape.hairs import beard_area
from aif.runtime.editing.shape.pores import FINE, blurred_beside
from aif.runtime.editing.shape.region import smoothstep
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.frame import Frame

# Where a beard may grow.
BEARD = Doubt(first=0.18, brighter=0.58, darker=0.025)

# Skin is hair where it is darker than it should be by more than this, or less colourful by this share; from
# the second on in full.
DARK, PALE = (0.02, 0.14), (0.3, 0.7)

# Shares of the beard's area that are like hair: up to the first those are shadows, from the second on there
# is a beard.
SHADOWS = (0.14, 0.3)

# Under a beard the skin is no brighter than all but this share of the face.
BRIGHT = 0.1

# So far around the lower end of the nose shaving begins, in units of the crop's side.
NOSTRILS = 0.008

# How soft the edges of hair are, in pixels of a 128 px texture, and those of what has single hairs, which is
# full of them where 1 / SPARSE of it is hair.
SOFT, AROUND, SPARSE = 1.2, 3.0, 1.6

# Colours of skin that are less than this, squared, tell nothing.
GREY = 0.02


class Shaved(NamedTuple):
    """What shaving a face does: float32 (S, S, 3) gain in log units where `hair` (S, S), 0 to 1, is 1, and
    (S, S), 0 to 1, where fine detail is that of hair."""

    gain: Float32Array
    hair: Float32Array
    strands: Float32Array


def shave(skin: BareSkin, texture_chw: Float32Array, frame: Frame) -> Shaved:
    """What it takes to shave a face of texture (3, S, S) RGB in [0, 1]."""
    texture, size = np.ascontiguousarray(texture_chw.transpose(1, 2, 0)), texture_chw.shape[-1]
    logs, lips, face = np.log(texture + np.float32(EPSILON)), lips_mask(frame, size), gain_mask(frame, size)
    beard = beard_area(frame, size)
    bare, area = skin.under(texture, beard, BEARD), beard * _height(frame, size, face)
    brightest = np.quantile(logs.mean(axis=2)[(face > 0.8) & (area < 0.1)], 1 - BRIGHT).astype(np.float32)
    bare -= np.maximum(bare.mean(axis=2, keepdims=True) - brightest, 0)
    gain = bare - blurred_beside(logs, lips, FINE * size / 128)
    hair = f32(cv2.GaussianBlur(_like_hair(gain, bare), (0, 0), SOFT * size / 128)) * area
    hair *= smoothstep(hair.sum(keepdims=True).reshape(1) / area.sum(), *SHADOWS)
    around = f32(cv2.GaussianBlur(hair, (0, 0), AROUND * size / 128))
    return Shaved(f32(gain), hair, f32(np.minimum(SPARSE * around, area)))


def _height(frame: Frame, size: int, face_hw: Float32Array) -> Float32Array:
    """How much is shaved at each height of a face (S, S), 0 to 1: from below the nostrils, which are dark,
    too; and at the chin on to the outline, for at the sides of the face the background would be lit."""
    rows = np.arange(size, dtype=np.float32)[:, None] / np.float32(size)
    mouth, chin = frame.mean[dense.OUTER_LIP, 1].max(), frame.mean[dense.FACE_OVAL, 1].max()
    nose = float(frame.mean[dense.NOSE, 1].max())
    below = smoothstep(rows, nose - NOSTRILS, nose + NOSTRILS)
    return below * np.maximum(face_hw, smoothstep(rows, float(mouth), float(mouth + chin) / 2))


def _like_hair(gain_hwc: Float32Array, bare_hwc: Float32Array) -> Float32Array:
    """How far each pixel is like hair, 0 to 1, where the bare skin's log colours (S, S, 3) would take that
    gain: darker, or grey."""
    colour = bare_hwc - bare_hwc.mean(axis=2, keepdims=True)
    lost = gain_hwc - gain_hwc.mean(axis=2, keepdims=True)
    pale = (lost * colour).sum(axis=2) / np.maximum((colour * colour).sum(axis=2), GREY)
    return np.maximum(smoothstep(gain_hwc.mean(axis=2), *DARK), smoothstep(pale, *PALE))
