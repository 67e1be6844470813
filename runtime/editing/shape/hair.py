"""The colour of hair: its own statistics, moved towards those of people who have the wanted colour.

Lightness and chroma are moved as a whole and the contrast of the strands is scaled, inside the hair's matte:

    g_c = matte (d_c + (k - 1) (l - mean l)),      photo' = (photo + e) exp(g) - e

l is log luminance; d_c brings the mean lightness (relative to the skin's) and the mean colour ratios to the
wanted ones, k the standard deviation of l. So strands and highlights stay the photo's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, UInt8Array, f32
from aif.runtime.bundle.manifest import HairColour, Manifest
from aif.runtime.editing.edit_path import FaceView
from aif.runtime.editing.shape.blocks import ROWS
from aif.runtime.editing.shape.gain import EPSILON, is_grey
from aif.runtime.editing.shape.hidden import smoothstep
from aif.runtime.faces.matte import MatteNet, photo_matte, view_box
from aif.runtime.geometry.align import face_crops

# Side of the crop in which hair is measured.
SIDE = 128

# A crop with less hair than this share has none to colour.
LEAST_HAIR = 0.012

# Hair from this matte on is sure to be hair, for statistics.
SURE = 0.8

# Where the matte is below the second of these, lightness has a say, and below the first it decides.
UNSURE, CERTAIN = 0.6, 0.95

# Lightness so many standard deviations from the hair's may still be hair, from the second on it is not.
LIKE, UNLIKE = 2.0, 3.5

# What is hair for certain and what is none have colours of their own nearby: means at this side in pixels,
# over so many of them.
HAIR, NONE, COARSE, NEARBY = 0.9, 0.1, 160, 5.0

# Up to the first distance of the two colours, in log units, they do not tell, from the second on they decide.
ALIKE, APART = 0.25, 0.6

# The standard deviation of the hair's log luminance is taken to be at least this.
LEAST_CONTRAST = 0.2

# The strands' contrast is scaled by no more than this, either way.
MOST_CONTRAST = 1.35

# Skin for comparison: a circle on nose and cheeks of the 128 px template (x, y, radius).
SKIN = (64, 82, 17)

_LUMA = np.array([0.114, 0.587, 0.299], dtype=np.float32)  # blue, green, red


@dataclass(frozen=True)
class HairChange:
    """The colour to go to, and how far: share 0 = as it is, 1 = all the way."""

    colour: HairColour
    share: float

    def times(self, strength: float) -> HairChange:
        """The change at a share of its strength."""
        return self if strength == 1 else HairChange(self.colour, self.share * strength)


def hair_change(manifest: Manifest, source: Float32Array, target: Float32Array) -> HairChange | None:
    """What the attribute values (A,) ask of the hair; None where none of its colours changes.

    Colours that come count before colours that go, each by how much it changes.
    """
    names = manifest.attribute_names
    for direction in (1, -1):
        found = []
        for name, info in manifest.hair.items():
            change = float(target[names.index(name)] - source[names.index(name)]) * direction
            if change > 1e-3:
                found.append((change, info.on if direction > 0 else info.off))
        if found:
            weight = sum(change for change, _ in found)
            fields = ("lightness", "red", "blue", "contrast")
            mixed = {name: sum(w * getattr(c, name) for w, c in found) / weight for name in fields}
            return HairChange(HairColour(**mixed), min(weight, 1.5))
    return None


def hair_colour(crop_chw: Float32Array, matte: Float32Array) -> HairColour | None:
    """The statistics of the hair in a crop (3, S, S) RGB in [0, 1] with its matte; None if there is none."""
    sure = matte >= SURE
    if sure.mean() < LEAST_HAIR:
        return None
    logs = np.log(crop_chw[::-1] + np.float32(EPSILON))
    lightness = np.log(np.tensordot(_LUMA, crop_chw[::-1], 1) + np.float32(EPSILON))
    skin = np.zeros(matte.shape, dtype=np.uint8)
    x, y, radius = (round(value * len(matte) / 128) for value in SKIN)
    cv2.circle(skin, (x, y), max(radius, 1), 1, -1)
    on_skin = float(np.median(lightness[skin > 0]))
    blue, green, red = (channel[sure] for channel in logs)
    own = lightness[sure]
    # Medians: what is taken for hair and is none, a wall of its colour for instance, has a colour of its own.
    return HairColour(
        lightness=float(np.median(own)) - on_skin,
        red=float(np.median(red - green)),
        blue=float(np.median(blue - green)),
        contrast=float(own.std()),
    )


def apply_hair(image_hwc_bgr: UInt8Array, net: MatteNet, view: FaceView, change: HairChange) -> None:
    """Colour the hair of one face, in place; nothing happens where none is seen."""
    matrix = view.matrix * np.float32(net.input_size / view.size)
    crop = face_crops(image_hwc_bgr, [matrix], net.input_size)
    own = hair_colour(crop[0], net.matte(crop)[0])
    left, top, width, height = box = view_box(matrix, net.input_size, image_hwc_bgr.shape)
    if own is None or not width:
        return
    if is_grey(crop[0]):
        colour = change.colour.model_copy(update={"red": own.red, "blue": own.blue})
        change = HairChange(colour, change.share)
    part = image_hwc_bgr[top : top + height, left : left + width]
    matte = without_background(part, photo_matte(net, image_hwc_bgr, matrix, box))
    part[:] = recoloured(part, matte, own, change)


def without_background(box_bgr: UInt8Array, matte: Float32Array) -> Float32Array:
    """The matte (h, w) of a box uint8 (h, w, 3), less where the photo has the colour of what lies beyond.

    A soft edge reaches over the wall behind the hair, which would glow or turn black.
    """
    scale = COARSE / max(matte.shape)
    size = tuple(max(1, round(side * scale)) for side in matte.shape[::-1])
    coarse = cv2.resize(matte, size, interpolation=cv2.INTER_AREA)
    logs = _logs(cv2.resize(box_bgr, size, interpolation=cv2.INTER_AREA))
    hair, beyond = (
        cv2.resize(_nearby(logs, which.astype(np.float32)), matte.shape[::-1], interpolation=cv2.INTER_LINEAR)
        for which in (coarse >= HAIR, coarse <= NONE)
    )
    bands = [slice(top, top + ROWS) for top in range(0, len(matte), ROWS)]
    return np.concatenate(
        [_without_background(box_bgr[at], matte[at], f32(hair[at]), f32(beyond[at])) for at in bands]
    )


def _without_background(
    box_bgr: UInt8Array, matte: Float32Array, hair: Float32Array, beyond: Float32Array
) -> Float32Array:
    """The same for a part of the box; `hair`, `beyond`: log colours (h, w, 3) of these nearby."""
    way = hair - beyond
    apart = np.sqrt(_summed(way * way))
    along = _summed((_logs(box_bgr) - beyond) * way) / np.maximum(apart, np.float32(ALIKE)) ** 2
    unsure = smoothstep(apart, ALIKE, APART) * (1 - smoothstep(np.abs(matte - np.float32(0.5)), 0.38, 0.5))
    return np.asarray(np.minimum(matte, matte + unsure * (along.clip(0, 1) - matte)), dtype=np.float32)


def _summed(image_hwc: Float32Array) -> Float32Array:
    """The sum of the three channels, (h, w)."""
    return np.asarray(cv2.transform(image_hwc, np.ones((1, 3), np.float32)), dtype=np.float32)


def _nearby(logs: Float32Array, weight: Float32Array) -> Float32Array:
    """Weighted means around each pixel, (h, w, 3); far from any weight those of all pixels."""
    few = np.float32(1e-3)
    overall = np.array(cv2.mean(logs, (weight > 0).astype(np.uint8))[:3], dtype=np.float32)
    spread = np.asarray(cv2.GaussianBlur(weight, (0, 0), NEARBY), dtype=np.float32)[:, :, None] + few
    blurred = np.asarray(cv2.GaussianBlur(logs * weight[:, :, None], (0, 0), NEARBY), dtype=np.float32)
    return np.asarray((blurred + few * overall) / spread, dtype=np.float32)


def _logs(box_bgr: npt.NDArray[Any]) -> Float32Array:
    return np.asarray(cv2.log(box_bgr.astype(np.float32) / np.float32(255) + np.float32(EPSILON)), np.float32)


def recoloured(box_bgr: UInt8Array, matte: Float32Array, own: HairColour, change: HairChange) -> UInt8Array:
    """A box uint8 (h, w, 3) whose hair (matte, float32 (h, w)) has `own` statistics, with the change in
    it."""
    x, y, width, height = cv2.boundingRect((matte > 0).astype(np.uint8))
    result, columns = box_bgr.copy(), slice(x, x + width)
    pixels = box_bgr.astype(np.float32) / np.float32(255)
    lightness = np.asarray(
        cv2.log(cv2.transform(pixels, _LUMA[None]) + np.float32(EPSILON)), dtype=np.float32
    )
    mean = float((lightness * matte).sum() / max(float(matte.sum()), 1e-6))
    for top in range(y, y + height, ROWS):
        band = slice(top, min(top + ROWS, y + height)), columns
        result[band] = _recoloured(box_bgr[band], matte[band], lightness[band], mean, own, change)
    return result


def _recoloured(
    box_bgr: UInt8Array,
    matte: Float32Array,
    lightness: Float32Array,
    mean_lightness: float,
    own: HairColour,
    change: HairChange,
) -> UInt8Array:
    """The same for a part of the box: its own lightness (h, w) in log units, and the mean of all hair's."""
    wanted, share = change.colour, change.share
    logs, above = _logs(box_bgr), lightness - np.float32(mean_lightness)
    # Strands differ in chroma as the wanted colour allows: white and black hair hardly at all.
    muted = share * (1 - min(_chroma(wanted) / max(_chroma(own), 1e-3), 1))
    colour = np.empty_like(logs)
    for channel, name in ((0, "blue"), (2, "red")):
        mean, goal = getattr(own, name), getattr(wanted, name)
        varied = logs[:, :, channel] - logs[:, :, 1] - np.float32(mean)
        colour[:, :, channel] = share * (goal - mean) - np.float32(muted) * varied
    colour[:, :, 1] = 0
    ratio = min(max(wanted.contrast / max(own.contrast, 1e-3), 1 / MOST_CONTRAST), MOST_CONTRAST)
    matte = matte * likely_hair(matte, above / max(own.contrast, LEAST_CONTRAST))
    lighter = share * (wanted.lightness - own.lightness) + share * (ratio - 1) * above
    gain = colour + lighter[:, :, None]
    # What the colours alone do to the lightness is taken back.
    shifted = cv2.exp(logs + colour) - np.float32(EPSILON)
    gain -= (cv2.log(np.maximum(cv2.transform(shifted, _LUMA[None]), 0) + np.float32(EPSILON)) - lightness)[
        :, :, None
    ]
    result = cv2.exp(logs + matte[:, :, None] * gain) - np.float32(EPSILON)
    return np.asarray((255 * result).round().clip(0, 255), dtype=np.uint8)


def likely_hair(matte: Float32Array, deviation: Float32Array) -> Float32Array:
    """How far the matte (h, w) may be believed, in [0, 1]: at its soft edges, only what is as light as hair.

    A bright wall or a forehead that the matte touches would glow.

    Args:
        deviation: float32 (h, w) log luminance from the hair's mean, in standard deviations.
    """
    certain = smoothstep(matte, UNSURE, CERTAIN)
    alike = 1 - smoothstep(np.abs(deviation), LIKE, UNLIKE)
    return np.asarray(certain + (1 - certain) * alike, dtype=np.float32)


def _chroma(colour: HairColour) -> float:
    """How far a colour is from grey, in log units."""
    return float(np.hypot(colour.red, colour.blue))
