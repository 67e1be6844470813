"""The colour of hair: its own statistics, moved towards those of people who have the wanted colour.

Lightness and chroma are moved as a whole and the contrast of the strands is scaled:

    T(h)_c = (h_c + e) exp(d_c + (k - 1) (l - mean l)) - e,        photo' = photo + a (T(h) - h)

l is log luminance; d_c brings the mean lightness (relative to the skin's) and the mean colour ratios to the
wanted ones, k the standard deviation of l. So strands and highlights stay the photo's own. a is the matte,
decided by the photo's own colours at its soft edge; h is the photo where all is hair, and the hair's colour
nearby where a pixel is partly something else: what is beside the hair neither glows nor turns black with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, UInt8Array, f32
from aif.runtime.bundle.manifest import HairColour, Manifest
from aif.runtime.editing.edit_path import FaceView
from aif.runtime.editing.shape.gain import EPSILON, is_grey
from aif.runtime.editing.shape.region import smoothstep
from aif.runtime.editing.shape.strays import without_strays
from aif.runtime.faces.matte import MatteNet, photo_matte
from aif.runtime.geometry.align import face_crops, transform_points
from aif.runtime.geometry.blocks import ROWS

# Side of the crop in which hair is measured.
SIDE = 128

# A crop with less hair than this share has none to colour: of 227 portraits (CelebA-HQ) none, of 15 of bald
# people 4, of 25 with a hat 11, most of them without hair in sight.
LEAST_HAIR = 0.012

# Hair from this matte on is sure to be hair, for statistics.
SURE = 0.8

# The colours decide where the matte nearby is beyond the first, in full from the second on, and where it is
# below the last, in full up to the third.
REACHED, EDGE, SURELY, WHOLE = 0.1, 0.3, 0.75, 0.95

# Up to this matte a pixel is partly something else.
PARTLY = 0.7

# On the way from the colour beyond to the hair's, hair begins here.
SHADED = 0.2

# What is hair for certain and what is none have colours of their own nearby: means at this side in pixels,
# over so many of them.
HAIR, NONE, COARSE, NEARBY = 0.9, 0.1, 160, 5.0

# Up to the first distance of the two colours, in log units, they tell nothing, from the second on what is no
# hair, and from the third on what is hair.
ALIKE, APART, FAR_APART = 0.25, 0.6, 1.2

# The strands' contrast is scaled by no more than this, and to no less than that share.
MOST_CONTRAST, LEAST_CONTRAST = 1.35, 0.4

# Hair becomes lighter by so much at most, in log units: black hair has too few levels of grey for more. Its
# highlights end so far above the mean.
LIGHTEST, HIGHLIGHT = 1.3, 0.6

# Skin for comparison: a circle on nose and cheeks of the 128 px template (x, y, radius).
SKIN = (64.0, 82.0, 17.0)

# Faces that are turned by the first angle at most are looked at as they are aligned; from the second on, in
# degrees, with less scale by this share, and so many sides further back.
FRONTAL, TURNED, WIDER, BACK = 20.0, 40.0, 0.25, 0.08

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


def hair_colour(
    crop_chw: Float32Array, matte: Float32Array, skin: tuple[float, float, float] = SKIN
) -> HairColour | None:
    """The statistics of the hair in a crop (3, S, S) RGB in [0, 1] with its matte; None if there is none.

    skin: where skin is to compare with, of a crop of 128 px.
    """
    sure = matte >= SURE
    if sure.mean() < LEAST_HAIR:
        return None
    logs = np.log(crop_chw[::-1] + np.float32(EPSILON))
    lightness = np.log(np.tensordot(_LUMA, crop_chw[::-1], 1) + np.float32(EPSILON))
    circle = np.zeros(matte.shape, dtype=np.uint8)
    x, y, radius = (round(value * len(matte) / 128) for value in skin)
    cv2.circle(circle, (x, y), max(radius, 1), 1, -1)
    on_skin = float(np.median(lightness[circle > 0]))
    blue, green, red = (channel[sure] for channel in logs)
    own = lightness[sure]
    # Medians: what is taken for hair and is none, a wall of its colour for instance, has a colour of its own.
    return HairColour(
        lightness=float(np.median(own)) - on_skin,
        red=float(np.median(red - green)),
        blue=float(np.median(blue - green)),
        contrast=float(own.std()),
    )


def own_hair(
    image_hwc_bgr: UInt8Array, net: MatteNet, view: FaceView
) -> tuple[Float32Array, Float32Array, HairColour | None]:
    """The crop (3, S, S) RGB in [0, 1] of `hair_view`, its matte (S, S), statistics of its hair."""
    matrix, skin = hair_view(view, net.input_size)
    crop = face_crops(image_hwc_bgr, [matrix], net.input_size)
    matte = net.matte(crop)[0]
    return crop[0], matte, hair_colour(crop[0], matte, skin)


def hair_view(view: FaceView, size: int) -> tuple[Float32Array, tuple[float, float, float]]:
    """Where the matte network looks: float32 (2, 3), photo to crop pixels, and the crop's `SKIN`.

    A turned face is aligned too large, as its eyes are nearer to each other, and its hair is behind it. So
    the crop is wider there, and further back.
    """
    turned = float(smoothstep(np.array(abs(view.yaw), np.float32), FRONTAL, TURNED))
    scale, back = 1 - WIDER * turned, math.copysign(BACK * turned * size, view.yaw)
    matrix = view.matrix * np.float32(scale * size / view.size)
    away = np.array([(1 - scale) * (size - 1) / 2 + back, (1 - scale) * (size - 1) / 2])
    matrix[:, 2] += away
    x, y, radius = SKIN
    x, y = (scale * np.array([x, y]) + away * 128 / size).tolist()
    return matrix, (x, y, scale * radius)


def apply_hair(image_hwc_bgr: UInt8Array, net: MatteNet, view: FaceView, change: HairChange) -> None:
    """Colour the hair of one face, in place; nothing happens where none is seen."""
    crop, near, own = own_hair(image_hwc_bgr, net, view)
    matrix, _ = hair_view(view, net.input_size)
    if own is None:
        return
    if is_grey(crop):
        colour = change.colour.model_copy(update={"red": own.red, "blue": own.blue})
        change = HairChange(colour, change.share)
    found, (left, top, width, height) = photo_matte(net, image_hwc_bgr, matrix, near)
    if not width:
        return
    part = image_hwc_bgr[top : top + height, left : left + width]
    matte, hair = decided(part, found)
    if view.points is not None:
        place = matrix.astype(np.float64)
        place[:, 2] += place[:, :2] @ (left, top)
        matte = without_strays(matte, near, transform_points(view.points, matrix), place)
    part[:] = recoloured(part, matte, hair, own, change)


def decided(box_bgr: UInt8Array, matte: Float32Array) -> tuple[Float32Array, Float32Array]:
    """The matte (h, w) of a box uint8 (h, w, 3), decided by the photo's colours at its soft edge; and the log
    colours (h, w, 3) of the hair nearby.

    A soft edge reaches over the wall behind the hair and leaves out strands over the skin.
    """
    scale = COARSE / max(matte.shape)
    size = tuple(max(1, round(side * scale)) for side in matte.shape[::-1])
    coarse = cv2.resize(matte, size, interpolation=cv2.INTER_AREA)
    logs = _logs(cv2.resize(box_bgr, size, interpolation=cv2.INTER_AREA))
    near = smoothstep(f32(cv2.dilate(coarse, np.ones((3, 3), np.uint8))), REACHED, EDGE)
    # Where nothing is certain, what is nearest to it.
    surest, least = min(HAIR, float(coarse.max())), max(NONE, float(coarse.min()))
    hair, beyond = (_nearby(logs, which.astype(np.float32)) for which in (coarse >= surest, coarse <= least))
    size = matte.shape[::-1]
    hair, beyond, near = (
        f32(cv2.resize(each, size, interpolation=cv2.INTER_LINEAR)) for each in (hair, beyond, near)
    )
    bands = [slice(top, top + ROWS) for top in range(0, len(matte), ROWS)]
    parts = [_decided(box_bgr[at], matte[at], near[at], hair[at], beyond[at]) for at in bands]
    return np.concatenate(parts), hair


def _decided(
    box_bgr: UInt8Array, matte: Float32Array, near: Float32Array, hair: Float32Array, beyond: Float32Array
) -> Float32Array:
    """The same for a part of the box; `near`: where the edge is; `hair`, `beyond`: log colours of these."""
    way = hair - beyond
    apart = np.sqrt(_summed(way * way))
    along = _summed((_logs(box_bgr) - beyond) * way) / np.maximum(apart, np.float32(ALIKE)) ** 2
    edge = near * (1 - smoothstep(matte, SURELY, WHOLE))
    less = edge * smoothstep(apart, ALIKE, APART) * (along.clip(0, 1) - matte)
    # Skin in the shade of hair lies between the two, and is none.
    hairy = ((along - np.float32(SHADED)) / np.float32(1 - SHADED)).clip(0, 1)
    more = edge * smoothstep(apart, APART, FAR_APART) * (hairy - matte)
    return f32(matte + np.minimum(less, 0) + np.maximum(more, 0))


def _summed(image_hwc: Float32Array) -> Float32Array:
    """The sum of the three channels, (h, w)."""
    return f32(cv2.transform(image_hwc, np.ones((1, 3), np.float32)))


def _nearby(logs: Float32Array, weight: Float32Array) -> Float32Array:
    """Weighted means around each pixel, (h, w, 3); far from any weight those of all pixels."""
    few = np.float32(1e-3)
    overall = np.array(cv2.mean(logs, (weight > 0).astype(np.uint8))[:3], dtype=np.float32)
    spread = cv2.GaussianBlur(weight, (0, 0), NEARBY)[:, :, None] + few
    blurred = cv2.GaussianBlur(logs * weight[:, :, None], (0, 0), NEARBY)
    return f32((blurred + few * overall) / spread)


def _logs(box_bgr: npt.NDArray[Any]) -> Float32Array:
    return f32(cv2.log(box_bgr.astype(np.float32) / np.float32(255) + np.float32(EPSILON)))


def recoloured(
    box_bgr: UInt8Array, matte: Float32Array, hair: Float32Array, own: HairColour, change: HairChange
) -> UInt8Array:
    """A box uint8 (h, w, 3) whose hair has `own` statistics, with the change in it; matte (h, w) and hair
    (h, w, 3) as of `decided`."""
    x, y, width, height = cv2.boundingRect((matte > 0).astype(np.uint8))
    result, columns = box_bgr.copy(), slice(x, x + width)
    mean = float((_lightness(box_bgr / np.float32(255)) * matte).sum() / max(float(matte.sum()), 1e-6))
    for top in range(y, y + height, ROWS):
        band = slice(top, min(top + ROWS, y + height)), columns
        part, share = box_bgr[band] / np.float32(255), matte[band][:, :, None]
        whole = smoothstep(share, PARTLY, 1)
        seen = _logs(box_bgr[band])
        seen = f32(seen + (1 - whole) * (hair[band] - seen))
        made = part + share * (_coloured(seen, mean, own, change) - (cv2.exp(seen) - np.float32(EPSILON)))
        result[band] = (255 * made).round().clip(0, 255)
    return result


def _coloured(logs: Float32Array, mean_lightness: float, own: HairColour, change: HairChange) -> Float32Array:
    """Hair of log colours (h, w, 3) in the wanted colour, (h, w, 3) in [0, 1]; the mean lightness is that of
    all hair."""
    wanted, share = change.colour, change.share
    lightness = _lightness(cv2.exp(logs) - np.float32(EPSILON))
    above = lightness - np.float32(mean_lightness)
    lighter = min(share * (wanted.lightness - own.lightness), LIGHTEST)
    # Beyond 1 hair becomes lighter or darker yet, but no other colour: what is greyer than grey is violet.
    # Strands differ in chroma as the wanted colour allows: white and black hair hardly at all; and coloured
    # noise of dark ones would be amplified.
    varied = min(share, 1) * (1 - min(_chroma(wanted) / max(_chroma(own), 1e-3), 1))
    varied = 1 - (1 - varied) * float(np.exp(-max(lighter, 0)))
    colour = np.zeros_like(logs)
    for channel, name in ((0, "blue"), (2, "red")):
        mean, goal = getattr(own, name), getattr(wanted, name)
        differs = logs[:, :, channel] - logs[:, :, 1] - np.float32(mean)
        colour[:, :, channel] = min(share, 1) * (goal - mean) - np.float32(varied) * differs
    ratio = min(max(wanted.contrast / max(own.contrast, 1e-3), LEAST_CONTRAST), MOST_CONTRAST)
    strands = np.float32(ratio) * above
    if lighter > 0:
        strands = np.where(strands > 0, HIGHLIGHT * np.tanh(strands / np.float32(HIGHLIGHT)), strands)
    light = lighter + share * (strands - above)
    # What the colours alone do to the lightness is taken back.
    shifted = _lightness(np.maximum(cv2.exp(logs + colour) - np.float32(EPSILON), 0))
    gain = colour + (light + lightness - shifted)[:, :, None]
    return f32(cv2.exp(f32(logs + gain)) - np.float32(EPSILON)).clip(0, 1)


def _lightness(pixels_hwc: npt.NDArray[Any]) -> Float32Array:
    """Log luminance (h, w) of blue, green, red in [0, 1]."""
    return f32(cv2.log(cv2.transform(f32(pixels_hwc), _LUMA[None]) + np.float32(EPSILON)))


def _chroma(colour: HairColour) -> float:
    """How far a colour is from grey, in log units."""
    return float(np.hypot(colour.red, colour.blue))
