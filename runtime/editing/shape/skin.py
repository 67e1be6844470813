"""The skin's own colours in a photo, which edits of it keep to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from aif.runtime.arrays import Float32Array, f32
from aif.runtime.editing.shape.gain import EPSILON, gain_mask, lips_mask
from aif.runtime.editing.shape.hairs import beard_area
from aif.runtime.editing.shape.region import smoothstep
from aif.runtime.geometry.frame import Frame

# Colours that less than this share of the skin has are none of it.
RARE = 0.15

# A change of the skin's colours stays at this share.
COLOURS = 0.7

# Skin that is brighter than most by so much, in log units, and paler, is a highlight.
SHINE = 0.2

# Where so much of what a beard would cover is like a highlight, it is none; from the second share on, a white
# beard.
WHITE_BEARD = (0.25, 0.5)


class OwnSkin(NamedTuple):
    """The skin of a face, of its texture.

    Attributes:
        mask: float32 (S, S, 1) in [0, 1], where skin is: the face without eyes, lips and hairline.
        colour: float32 (S, S, 3) log R, G, B less their mean.
        rarest: float32 (2, 3) the least and the most of `colour` that is not rare.
        usual: float32 (3,) the middle of `colour`.
        above: float32 (S, S, 1) how much brighter than most of it each pixel is, in log units, 0 or more.
        shine: float32 (S, S, 1) how far each is a highlight, 0 to 1.
    """

    mask: Float32Array
    colour: Float32Array
    rarest: Float32Array
    usual: Float32Array
    above: Float32Array
    shine: Float32Array

    @classmethod
    def of(cls, texture_chw: Float32Array, frame: Frame) -> OwnSkin:
        """Of a texture (3, S, S) RGB in [0, 1]."""
        size = texture_chw.shape[-1]
        mask = gain_mask(frame, size) * (1 - lips_mask(frame, size))
        logs = np.log(texture_chw.transpose(1, 2, 0) + np.float32(EPSILON))
        light = logs.mean(axis=2, keepdims=True)
        colour = logs - light
        skin = colour[mask > 0.5]
        usual = np.median(skin, axis=0)
        above = np.maximum(light - np.median(light[mask > 0.5]), 0)
        pale = np.clip(1 - (colour @ usual) / max(float(usual @ usual), 1e-6), 0, 1)
        shine = pale * np.minimum(above[:, :, 0] / np.float32(SHINE), 1)
        beard = beard_area(frame, size)
        white = smoothstep((beard * shine).sum(keepdims=True) / beard.sum(), *WHITE_BEARD)
        shine = shine * (1 - white * beard)
        rarest = np.quantile(skin, (RARE, 1 - RARE), axis=0)
        return cls(
            *(f32(part) for part in (mask[:, :, None], colour, rarest, usual, above, shine[:, :, None]))
        )

    def keeps_colours(self, gain_hwc: Float32Array, tone_hw: Float32Array) -> Float32Array:
        """A gain (S, S, 3) that gives the skin no colour which it has nowhere: an expression that took the
        red of lips off the skin beside them would leave it green, and age, which brings grey beards to some,
        a chin. What all of the skin changes by stays at the share `tone` (S, S), 0 to 1."""
        change = gain_hwc - gain_hwc.mean(axis=2, keepdims=True)
        whole = tone_hw[:, :, None] * np.median(change[self.mask[:, :, 0] > 0.5], axis=0)
        low, high = np.minimum(self.rarest[0], self.colour), np.maximum(self.rarest[1], self.colour)
        limited = np.clip(self.colour + np.float32(COLOURS) * (change - whole), low, high) - self.colour
        limited += whole - limited.mean(axis=2, keepdims=True)
        return f32(gain_hwc + self.mask * (limited - change))

    def under_highlights(self, gain_hwc: Float32Array) -> Float32Array:
        """A gain (S, S, 3) that darkens highlights to the colour of the skin under them: white that is only
        multiplied turns grey."""
        darker = np.maximum(-gain_hwc.mean(axis=2, keepdims=True), 0)
        reached = np.minimum(darker / np.maximum(self.above, SHINE), 1)
        return f32(gain_hwc + self.mask * self.shine * reached * self.usual)
