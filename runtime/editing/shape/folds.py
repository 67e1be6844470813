"""Folds that fade: wrinkles, lines beside the mouth and shadows under the eyes lighten towards bare skin.

    d = K - blur(x)             of bare skin's and the photo's log colours K and x
    r = mean(d) - median        over the channels, and over all skin
    photo' = photo * exp(a (min(r, MOST) + COLOUR (d - mean(d))))       where r > 0

a leaves out what is no skin, the nose, and what is too dark for a fold. Fine detail is a cheek's: `pores`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from aif.runtime.arrays import Float32Array, f32
from aif.runtime.editing.shape.bare_skin import BareSkin, Doubt
from aif.runtime.editing.shape.detail import detail_mask
from aif.runtime.editing.shape.gain import EPSILON, filled, lips_mask
from aif.runtime.editing.shape.hairs import beard_area
from aif.runtime.editing.shape.pores import FINE, blurred_beside
from aif.runtime.editing.shape.region import smoothstep
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.frame import Frame

# All skin may be folded.
SKIN = Doubt(first=1.0, brighter=1.0, darker=0.15)

# The most that a fold lightens by, in log units; what is darker by more than the second, from the third on at
# all, is none, but hair or a thick rim of glasses.
MOST, DARKEST = 0.4, (0.45, 0.75)

# Colours that differ by less than the first, in log units, are skin's, from the second on they are not.
STRANGE = (0.2, 0.4)

# From this depth on, in log units, a fold has fine detail of its own; so much of that goes.
FOLDED, FINER = 0.1, 0.5

# So much of bare skin's colour folds take, which are redder, or grey.
COLOUR = 0.6

# Where beards grow there is one if folds would be on the second share of that area, and none up to the first.
BEARDED = (0.33, 0.5)

# How soft the edges of that are, and of the nose, in pixels of a 128 px texture.
SOFT = 1.5


class Unfolded(NamedTuple):
    """What fading the folds of a face does: float32 (S, S, 3) gain in log units, and (S, S), 0 to 1,
    where fine detail goes."""

    gain: Float32Array
    lines: Float32Array


def unfold(skin: BareSkin, texture_chw: Float32Array, frame: Frame) -> Unfolded:
    """What it takes to fade the folds of a face of texture (3, S, S) RGB in [0, 1]."""
    texture, size = np.ascontiguousarray(texture_chw.transpose(1, 2, 0)), texture_chw.shape[-1]
    logs, mask = np.log(texture + np.float32(EPSILON)), detail_mask(frame, size)
    smooth = blurred_beside(logs, lips_mask(frame, size), FINE * size / 128)
    away = skin.under(texture, mask, SKIN) - smooth
    rise = away.mean(axis=2)
    colour = away - rise[:, :, None]
    rise -= np.median(rise[mask > 0.8])
    skin_like = (1 - smoothstep(rise, *DARKEST)) * (1 - smoothstep(np.linalg.norm(colour, axis=2), *STRANGE))
    where = mask * (1 - nose_mask(frame, size)) * skin_like
    beard, depth = beard_area(frame, size), np.clip(rise / FOLDED, 0, 1)
    share = (depth * mask * beard).sum(keepdims=True).reshape(1) / (mask * beard).sum()
    where = where * (1 - smoothstep(share, *BEARDED) * beard)
    folded = depth * where
    gain = f32(np.clip(rise, 0, MOST) * where)[:, :, None] + np.float32(COLOUR) * folded[:, :, None] * colour
    lines = cv2.GaussianBlur(folded, (0, 0), SOFT * size / 128)
    return Unfolded(f32(gain), f32(FINER * lines))


@lru_cache(maxsize=8)
def nose_mask(frame: Frame, size: int) -> Float32Array:
    """The nose, whose shadows are its shape: float32 (size, size) in [0, 1], with soft edges."""
    outline = cv2.convexHull(frame.mean[dense.NOSE] * np.float32(size))[:, 0]
    mask = f32(cv2.GaussianBlur(filled(f32(outline), size), (0, 0), SOFT * size / 128))
    mask.setflags(write=False)
    return mask
