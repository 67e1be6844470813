"""Hairs of beards and brows: where an edit darkens skin because hair grows there, it does so hair by hair.

    g' = g + d (THIN - DENSE h),        d = how much the gain g darkens, h = strands in the texture frame

A tint alone is a stain, however right its shape is. The strands are short strokes, drawn once: outward under
the nose, downward on chin and jaw, along the brows.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, UInt8Array, f32
from aif.runtime.editing.shape.gain import EPSILON, LUMA, gain_mask
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.frame import Frame
from aif.runtime.geometry.mesh import NO_MAP

# Sides of the pictures of strands in pixels; one is used with at most so many pixels to one of the photo.
SIDES, FINEST = (1024, 512, 256, 128), 1.5

# Between hairs less is darkened, by this share; where a hair is, so many times as much.
THIN, DENSE = 0.5, 3.0

# Hairs of a texture that was covered with them.
HAIRS = 95_000

# Hairs lean outward by so many degrees from straight down (beard: at and beyond so far from the middle, in
# units of the crop's side) or straight up (brows: at their inner and outer end), and differ by so many.
MOUSTACHE, CHIN, SPAN = 55.0, 15.0, 0.1
BROW = (15.0, 100.0)
VARIED = 14.0

# Lengths of hairs in units of the crop's side.
LENGTHS = (0.01, 0.03)

# What darkens by less than this, in log units, is hair by a share.
SURE = 0.03

# The edge of `beard_area` is this soft, in units of the crop's side.
SOFT = 0.015

# Brows grow up to so many times their own size.
BROW_GROWN = 1.4

# Brows that are darker than the skin by so much, in log units, are dark; hairs of fair and grey people are at
# least this share as dark.
DARK_BROWS, FAIR = 0.3, 0.5

# A beard is so many times as dark as a gain may make skin, where brows are dark and the skin is bare: what is
# darker than most of it by the second, in log units, is hair already.
GROWN, COVERED = 2.0, 0.7

# Brows that are darker than the skin by less than this tell no colour; a channel darkens by these shares of
# what all do at the least and at the most.
NO_BROWS, LEAST, MOST = 0.1, 0.7, 1.35

Points = npt.NDArray[np.float64]


@lru_cache(maxsize=8)
def strands(frame: Frame) -> tuple[Float32Array, ...]:
    """THIN - DENSE h in the texture frame, float32 (side, side) for each of `SIDES`; 0 where no beard and no
    brow grows."""
    side = SIDES[0]
    rng = np.random.default_rng(0)
    canvas = np.zeros((side, side), dtype=np.uint8)
    _draw_beard(canvas, frame, rng)
    where = _beard(frame, side)
    for ring, outward in ((dense.LEFT_BROW, -1), (dense.RIGHT_BROW, 1)):
        _draw_brow(canvas, frame.mean[ring].astype(np.float64), outward, rng)
        where = np.maximum(where, frame.mask(side, ring, blur=1.2, grow=BROW_GROWN))
    hairs = canvas.astype(np.float32) / np.float32(255)
    finest = where * (np.float32(THIN) - np.float32(DENSE) * hairs)
    return tuple(f32(cv2.resize(finest, (each, each), interpolation=cv2.INTER_AREA)) for each in SIDES)


def strands_at(frame: Frame, scale: float) -> Float32Array:
    """Those for a photo with `scale` of its pixels to a pixel of a 128 px crop."""
    levels = strands(frame)
    return next((each for each in levels if len(each) <= FINEST * 128 * scale), levels[-1])


class OwnHair(NamedTuple):
    """What hairs of a person's face are like, as the brows tell.

    Attributes:
        share: how dark, FAIR to 1.
        colour: float32 (3,) RGB, what each channel darkens by, as a share of what all do, up to `depth`; what
            is darker than the brows has no more of their colour.
        depth: how much darker than the skin the brows are, in log units.
        bare: float32 (S, S) how far skin is as light as most of it, 0 to 1, not hair already.
    """

    share: float
    colour: Float32Array
    depth: float
    bare: Float32Array

    @classmethod
    def of(cls, texture_chw: Float32Array, frame: Frame) -> OwnHair:
        """Of a texture (3, S, S) RGB in [0, 1]: brows against skin."""
        logs, size = np.log(texture_chw + np.float32(EPSILON)), texture_chw.shape[-1]
        light = np.log(np.tensordot(LUMA, texture_chw, 1) + np.float32(EPSILON))
        left, right = (frame.mask(size, ring) > 0.5 for ring in (dense.LEFT_BROW, dense.RIGHT_BROW))
        brows, skin = left | right, gain_mask(frame, size) > 0.8
        shade = np.median(light[skin]) - light
        darker = float(shade[brows].mean())
        by = np.median(logs[:, skin], axis=1) - logs[:, brows].mean(axis=1)
        colour = by / by.mean() if by.mean() > NO_BROWS else np.ones(3)
        share = float(np.clip(darker / DARK_BROWS, FAIR, 1))
        bare = np.clip(1 - shade / COVERED, 0, 1)
        depth = max(float(by.mean()), NO_BROWS)
        return cls(share, f32(np.clip(colour, LEAST, MOST)), depth, f32(bare))

    def tint(self, gain_hwc: Float32Array, hairs: Float32Array, beard: Float32Array) -> Float32Array:
        """A gain (S, S, 3) RGB whose darkening has this colour, as far as it is hair or stubble: `hairs`
        (S, S), 0 to 1; and is as deep as dark brows allow, as far as it is a beard: `beard`, alike."""
        darker = np.minimum(gain_hwc.mean(axis=2, keepdims=True), 0)
        darker = darker * (1 + np.float32((GROWN - 1) * self.share) * (beard * self.bare)[:, :, None])
        own = np.minimum(-darker, np.float32(self.depth))
        # Light of skin and of hair over a share of it add up: some hair on light skin is hardly coloured.
        covered = (1 - np.exp(-own)) / np.float32(1 - np.exp(-self.depth))
        mixed = np.log1p(covered * np.expm1(-self.depth * self.colour))
        mixed *= own / np.maximum(-mixed.mean(axis=2, keepdims=True), 1e-6)
        coloured = f32(darker + own + mixed)
        return f32(gain_hwc + hairs[:, :, None] * np.minimum(-darker / SURE, 1) * (coloured - gain_hwc))


def shaven(gain_hwc: Float32Array, share_hw: Float32Array, frame: Frame) -> Float32Array:
    """A gain (S, S, 3) without a share (S, S), 0 to 1, of what it darkens where beards grow."""
    share = (share_hw * beard_area(frame, len(gain_hwc)))[:, :, None]
    return f32(gain_hwc - share * np.minimum(gain_hwc, 0))


def hairs_in(texture_hw2: Float32Array, hairs: Float32Array) -> Float32Array:
    """The strands of `strands_at` at each pixel of a picture, float32 (H, W), given its place in the texture,
    (H, W, 2), in units of the side."""
    side = len(hairs)
    where = texture_hw2 * np.float32(side) + np.float32((side / SIDES[0] - 1) / 2)
    return f32(cv2.remap(hairs, where, NO_MAP, cv2.INTER_LINEAR, borderValue=(0.0,)))


@lru_cache(maxsize=8)
def beard_area(frame: Frame, size: int) -> Float32Array:
    """Where a beard grows, with soft edges: float32 (size, size) in [0, 1]."""
    mask = f32(cv2.GaussianBlur(_beard(frame, size), (0, 0), SOFT * size))
    mask = f32(mask * (1 - frame.mask(size, dense.OUTER_LIP, blur=0.6)))
    mask.setflags(write=False)
    return mask


def _beard(frame: Frame, side: int) -> Float32Array:
    """Where a beard grows: the face below the nose, without lips."""
    face = np.zeros((side, side), dtype=np.uint8)
    cv2.fillPoly(face, [np.round(frame.mean[dense.FACE_OVAL] * side).astype(np.int32)], 255)
    face[: round((_nose(frame) - 0.008) * side)] = 0
    skin = cv2.GaussianBlur(face.astype(np.float32) / 255, (0, 0), side / 150)
    return f32(skin * (1 - frame.mask(side, dense.OUTER_LIP, blur=0.6)))


def _nose(frame: Frame) -> float:
    return float(frame.mean[dense.NOSE, 1].max())


def _draw_beard(canvas: UInt8Array, frame: Frame, rng: np.random.Generator) -> None:
    outline = frame.mean[dense.FACE_OVAL].astype(np.float64)
    middle = frame.mean[[dense.LEFT_MOUTH, dense.RIGHT_MOUTH]].mean(axis=0)
    low, high = np.array([outline[:, 0].min(), _nose(frame) - 0.01]), outline.max(axis=0)
    starts = rng.uniform(low, high, (round(HAIRS * np.prod(high - low)), 2))
    lean = np.where(starts[:, 1] > middle[1], CHIN, MOUSTACHE)
    angles = np.clip((starts[:, 0] - middle[0]) / SPAN, -1, 1) * lean
    _draw(canvas, starts, angles, rng)


def _draw_brow(canvas: UInt8Array, ring: Points, outward: int, rng: np.random.Generator) -> None:
    low, high = ring.min(axis=0), ring.max(axis=0)
    reach = (high - low) * (BROW_GROWN - 1)
    starts = rng.uniform(low - reach, high + reach, (round(HAIRS * np.prod(high - low + 2 * reach)), 2))
    along = (starts[:, 0] - low[0]) / (high[0] - low[0])
    along = np.clip(along if outward > 0 else 1 - along, 0, 1)
    angles = 180 - outward * np.interp(along, (0, 1), BROW)
    _draw(canvas, starts, angles, rng)


def _draw(canvas: UInt8Array, starts: Points, angles: Points, rng: np.random.Generator) -> None:
    """Strokes that begin at `starts` (N, 2), in units of the side, turned from straight down to the right by
    angles in degrees."""
    turned = np.radians(angles + rng.normal(0, VARIED, len(angles)))
    along = np.stack([np.sin(turned), np.cos(turned)], axis=1) * rng.uniform(*LENGTHS, (len(angles), 1))
    ends = np.round(np.stack([starts, starts + along], axis=1) * len(canvas) * 16).astype(int)
    for (first, last), shade in zip(ends.tolist(), rng.integers(128, 256, len(ends)).tolist(), strict=True):
        cv2.line(canvas, first, last, shade, 1, cv2.LINE_AA, 4)
