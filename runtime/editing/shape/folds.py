"""Folds that fade: wrinkles, lines beside the mouth and shadows under the eyes lighten towards bare skin.

    d = K - blur(x)                     of bare skin's and the photo's log colours K and x
    r = mean(d) - median                over the channels, and over all skin
    l = a s min(r, MOST)                where r > 0, for a share s
    u = max(p, l, min(p + l, max(r, 0) + OVER))

p is what the edit brightens by itself, and becomes u: together they would make a bright line of a shallow
fold. What brightens there also takes the colours of bare skin, for folds are redder, or grey. a leaves out
what is no skin, the nose, and what is too dark for a fold. Fine detail is a cheek's: `pores`.

With age they deepen: the face's own, and where people in whom age is plain to see have theirs (F), by what
the face lacks of those:

    g' = g - s a (DEEPER min(r, MOST) + max(0, COMMON F - OWN min(r, MOST)))
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

# With age a face's own folds deepen by this share of what they are darker than bare skin; those that people
# have count so many times, and less by this share of the face's own.
DEEPER, COMMON, OWN = 0.8, 1.4, 0.5

# So much brighter than bare skin an edit and folds that fade may make a place together, in log units.
OVER = 0.1

# A fold of this depth that brightens by as much, in log units, takes the colours of bare skin in full.
COLOURED = 0.1

# Where beards grow there is one if folds would be on the second share of that area, and none up to the first.
BEARDED = (0.33, 0.5)

# How soft the edges of that are, and of the nose, in pixels of a 128 px texture.
SOFT = 1.5


class Unfolded(NamedTuple):
    """What fading the folds of a face takes, in log units.

    Attributes:
        lack: float32 (S, S) how much darker than bare skin the face is, at least 0.
        lift: float32 (S, S) how much of that goes.
        known: float32 (S, S) where colours are those of skin, 0 to 1.
        colour: float32 (S, S, 3) what bare skin has more of each channel there, but for the light.
        lines: float32 (S, S) where fine detail goes, 0 to 1.
        where: float32 (S, S) where skin is seen that may be folded, 0 to 1.
    """

    lack: Float32Array
    lift: Float32Array
    known: Float32Array
    colour: Float32Array
    lines: Float32Array
    where: Float32Array

    def apply(self, gain_hwc: Float32Array, share_hw: Float32Array) -> Float32Array:
        """An edit's gain (S, S, 3) that fades folds, too, by a share (S, S) of 0 to 1."""
        light = gain_hwc.mean(axis=2)
        brighter, lift = np.maximum(light, 0), share_hw * self.lift
        both = np.minimum(brighter + lift, self.lack + np.float32(OVER))
        more = np.maximum(np.maximum(brighter, lift), both) - brighter
        fold = np.minimum(light + more, self.lack)
        coloured = share_hw * np.clip(fold / np.float32(COLOURED), 0, 1)
        own = self.known[:, :, None] * (gain_hwc - light[:, :, None])
        return f32(gain_hwc + more[:, :, None] + coloured[:, :, None] * (self.colour - own))

    def deepen(self, gain_hwc: Float32Array, share_hw: Float32Array, aged_hw: Float32Array) -> Float32Array:
        """An edit's gain (S, S, 3) that deepens folds, too, by a share (S, S) of 0 to 1; `aged` (S, S) are
        those of people in whom age is plain to see, in log units."""
        lacking = np.float32(COMMON) * aged_hw - np.float32(OWN) * np.minimum(self.lack, np.float32(MOST))
        darker = np.float32(DEEPER) * self.lift + self.where * np.maximum(lacking, 0)
        return f32(gain_hwc - (share_hw * darker)[:, :, None])


def rise_over(skin: BareSkin, texture_hwc: Float32Array, frame: Frame) -> tuple[Float32Array, Float32Array]:
    """How much darker than bare skin a face of texture (S, S, 3) in [0, 1] is, (S, S), 0 for most of it; and
    what bare skin has more of each channel, but for the light, (S, S, 3). In log units."""
    size, mask = len(texture_hwc), detail_mask(frame, len(texture_hwc))
    smooth = blurred_beside(
        np.log(texture_hwc + np.float32(EPSILON)), lips_mask(frame, size), FINE * size / 128
    )
    away = skin.under(texture_hwc, mask, SKIN) - smooth
    rise = away.mean(axis=2)
    return f32(rise - np.median(rise[mask > 0.8])), f32(away - rise[:, :, None])


def unfold(skin: BareSkin, texture_chw: Float32Array, frame: Frame) -> Unfolded:
    """What it takes to fade the folds of a face of texture (3, S, S) RGB in [0, 1]."""
    texture, size = np.ascontiguousarray(texture_chw.transpose(1, 2, 0)), texture_chw.shape[-1]
    mask, (rise, colour) = detail_mask(frame, size), rise_over(skin, texture, frame)
    known = mask * (1 - smoothstep(np.linalg.norm(colour, axis=2), *STRANGE)) * (1 - nose_mask(frame, size))
    where = mask * known * (1 - smoothstep(rise, *DARKEST))
    beard, depth = beard_area(frame, size), np.clip(rise / FOLDED, 0, 1)
    share = (depth * mask * beard).sum(keepdims=True).reshape(1) / (mask * beard).sum()
    where = where * (1 - smoothstep(share, *BEARDED) * beard)
    lines = cv2.GaussianBlur(depth * where, (0, 0), SOFT * size / 128)
    lack = f32(np.maximum(rise, 0))
    lift = f32(np.minimum(lack, MOST) * where)
    return Unfolded(lack, lift, f32(known), f32(known[:, :, None] * colour), f32(FINER * lines), f32(where))


@lru_cache(maxsize=8)
def nose_mask(frame: Frame, size: int) -> Float32Array:
    """The nose, whose shadows are its shape: float32 (size, size) in [0, 1], with soft edges."""
    outline = cv2.convexHull(frame.mean[dense.NOSE] * np.float32(size))[:, 0]
    mask = f32(cv2.GaussianBlur(filled(f32(outline), size), (0, 0), SOFT * size / 128))
    mask.setflags(write=False)
    return mask
