"""Make-up where people put it: on the lips, along the upper lashes, on the lids.

    g = s max(0, (w - c) . d) d     where make-up comes,    w = n + v (m - n)
    g = s max(0, (c - w) . d) -d    where it goes,          d = (m - n) / |m - n|

c is the place's own colour against the skin's, m and n are those of people with plain make-up and without, in
log units; v is the value that is wanted, and s = min(1, |v - u| / SOON), with u the encoder's. A decoder's
gain is a mean over people, most of whom wear little, and cannot know what a face wears already: red lips need
no lipstick. What of a colour is not about make-up stays where it comes: the hue of lips, the light.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, f32
from aif.runtime.bundle.attributes import AttributeInfo, MakeupPlace
from aif.runtime.editing.shape.gain import EPSILON, LUMA, gain_mask, is_grey, lips_mask
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.frame import Frame

# Lines are drawn on a canvas so many times as large as the texture.
FINER = 4

# Binary places after the point of what is drawn there.
SHIFT = 4

# The line along the lashes: how wide it is in pixels of a 128 px texture, and how dark as a share, at the
# inner corner of the eye and beyond the outer one; how far it goes on there, outward and up; its softness.
WIDTH, DARKNESS = (1.0, 2.0), (0.45, 1.0)
WING, LINE_BLUR = (1.5, -1.0), 0.45

# The shadow on a lid reaches up to this share of the way to the brow, and is so soft.
UP_TO, LID_BLUR = 0.75, 1.6

# What comes or goes does so in full where the value changes by so much.
SOON = 0.3

# A way from one colour to another whose direction has a smaller share of colour than this is light and shade.
COLOURED = 0.1

# A pixel with so much of the colour, in log units, loses it; and no more than that.
PLAIN, MOST = 0.1, 0.6

# The margin inside of the lips, as a share of what is between them, may be lips: from the first redness over
# the skin's on, in log units, in full from the second on.
MARGIN, RED = 0.5, (0.1, 0.25)

# Points along a line.
STEPS = 60

Points = npt.NDArray[np.float64]


def makeup_gain(
    attributes: Sequence[AttributeInfo],
    source: Float32Array,
    target: Float32Array,
    texture_chw: Float32Array,
    frame: Frame,
) -> Float32Array:
    """What make-up adds to the gain: float32 (S, S, 3) RGB in log units, in the texture frame.

    Args:
        attributes, source, target: the manifest's, and the values (A,) that the decoder gets.
        texture_chw: the face's own texture, (3, S, S) RGB in [0, 1].
    """
    logs, gain = _over_skin(texture_chw, frame), np.zeros((*texture_chw.shape[1:], 3), dtype=np.float32)
    masks = _fitted(logs, frame)
    for info, u, by in zip(attributes, source.tolist(), (target - source).tolist(), strict=True):
        if info.makeup is None or by == 0:
            continue
        way = by / (info.on if by > 0 else 1 - info.off)
        share, put = min(abs(way) / SOON, 1), _comes if by > 0 else _goes
        for place, on in info.makeup.on.items():
            off, mask = f32(np.array(info.makeup.off[place])), masks[place]
            towards = f32(np.array(on)) - off
            axis = towards / np.float32(max(float(np.linalg.norm(towards)), 1e-6))
            wanted = off + np.float32(max(u + way, 0)) * towards  # less than none there is not
            gain += np.float32(share) * mask[:, :, None] * put(logs, mask, wanted, axis)
    return f32(np.broadcast_to((gain @ LUMA)[:, :, None], gain.shape)) if is_grey(texture_chw) else gain


def taken_off(gain_hwc: Float32Array, share: float, beard_hw: Float32Array, frame: Frame) -> Float32Array:
    """A decoder's gain (S, S, 3), of which this share is make-up that goes: without what it does in the
    places, and without a beard's shade (S, S), for those who wear none often have a beard."""
    made_up = np.max([*places(frame, len(gain_hwc)).values()], axis=0)[:, :, None]
    less = made_up * gain_hwc + beard_hw[:, :, None] * np.minimum(gain_hwc, 0)
    return f32(gain_hwc - np.float32(share) * less)


def _comes(logs: Float32Array, mask: Float32Array, wanted: Float32Array, axis: Float32Array) -> Float32Array:
    """What makes a place as plain as the colour that is wanted, if it is less plain: (3,)."""
    return max(float((wanted - _mean(logs, mask)) @ axis), 0.0) * axis


def _goes(logs: Float32Array, mask: Float32Array, wanted: Float32Array, axis: Float32Array) -> Float32Array:
    """What makes a place no plainer than that: (S, S, 3). Of colour each pixel loses its own, or skin beside
    red lips would become green; and none gets lighter than the skin."""
    light = axis.mean()
    brighter = -light * max(float((_mean(logs, mask) - wanted) @ axis), 0.0)
    gain = np.minimum(brighter, np.maximum(-np.tensordot(LUMA, logs, 1), 0))[:, :, None]
    coloured = float(np.linalg.norm(axis - light))
    if coloured > COLOURED:
        colour = logs.transpose(1, 2, 0) - wanted
        colour -= colour.mean(axis=2, keepdims=True)
        colour *= np.minimum(
            1, np.float32(MOST) / np.maximum(np.linalg.norm(colour, axis=2, keepdims=True), 1e-6)
        )
        plain = np.clip(colour @ (axis - light) / np.float32(coloured * PLAIN), 0, 1)
        gain = gain - plain[:, :, None] * colour
    return f32(gain)


def _mean(logs: Float32Array, mask: Float32Array) -> Float32Array:
    return f32(np.tensordot(logs, mask, 2) / mask.sum())


def makeup_colours(texture_chw: Float32Array, frame: Frame) -> Mapping[MakeupPlace, Float32Array]:
    """The colour of each place of a texture (3, S, S) RGB in [0, 1]: (3,) mean log colour over the skin's."""
    logs = _over_skin(texture_chw, frame)
    return {place: _mean(logs, mask) for place, mask in _fitted(logs, frame).items()}


def _fitted(logs_chw: Float32Array, frame: Frame) -> Mapping[MakeupPlace, Float32Array]:
    """Where make-up is put on a face of these colours: `places`, and what is as red as lips just inside of
    them: landmarks of inner lips are not exact, and teeth are white."""
    size = logs_chw.shape[-1]
    red = np.clip((logs_chw[0] - logs_chw[1:].mean(axis=0) - RED[0]) / (RED[1] - RED[0]), 0, 1)
    masks = places(frame, size)
    return {**masks, "lips": np.maximum(masks["lips"], _inside(frame, size) * red)}


def _over_skin(texture_chw: Float32Array, frame: Frame) -> Float32Array:
    """Log colours of a texture over those of most of its skin, (3, S, S)."""
    logs = np.log(texture_chw + np.float32(EPSILON))
    skin = gain_mask(frame, texture_chw.shape[-1]) > 0.8
    return f32(logs - np.median(logs[:, skin], axis=1)[:, None, None])


@lru_cache(maxsize=8)
def places(frame: Frame, size: int) -> Mapping[MakeupPlace, Float32Array]:
    """Where make-up is put: float32 (size, size) in [0, 1] each."""
    side = size * FINER
    line, lids = np.zeros((side, side), np.float32), np.zeros((side, side), np.float32)
    eyes = np.ones((size, size), np.float32)
    for eye, brow, outward in ((dense.LEFT_EYE, dense.LEFT_BROW, -1), (dense.RIGHT_EYE, dense.RIGHT_BROW, 1)):
        lashes = _lashes(frame.mean[eye].astype(np.float64) * size, outward, size / 128)
        _draw_line(line, lashes, size / 128)
        room = lashes[:, 1].mean() - float(frame.mean[brow, 1].max()) * size
        upper = lashes - [0, 1] * (room * UP_TO * np.sin(np.linspace(0.15, 0.9, STEPS) * np.pi))[:, None]
        cv2.fillPoly(lids, [_on_canvas(np.concatenate([lashes, upper[::-1]]))], 1.0, shift=SHIFT)
        eyes *= 1 - frame.mask(size, eye, blur=0.5)
    line, lids = _small(line, size, LINE_BLUR), _small(lids, size, LID_BLUR)
    found: dict[MakeupPlace, Float32Array] = {
        "lips": lips_mask(frame, size) * gain_mask(frame, size),
        "line": line * (np.float32(0.4) + np.float32(0.6) * eyes),
        "lids": lids * eyes * (1 - line / line.max()),
    }
    return {place: f32(mask / mask.max()) for place, mask in found.items()}


@lru_cache(maxsize=8)
def _inside(frame: Frame, size: int) -> Float32Array:
    """The margin of what is between the lips: float32 (size, size) in [0, 1]."""
    inner = frame.mask(size, dense.INNER_LIP, blur=0.8)
    return f32(inner * (1 - frame.mask(size, dense.INNER_LIP, blur=0.8, grow=MARGIN)))


def _lashes(ring: Points, outward: int, scale: float) -> Points:
    """The upper half of an eye's ring from its inner corner to beyond the outer one, (STEPS, 2) in pixels."""
    left, right = ring[ring[:, 0].argmin()], ring[ring[:, 0].argmax()]
    chord = np.interp(ring[:, 0], (left[0], right[0]), (left[1], right[1]))
    upper = ring[ring[:, 1] <= chord + 1e-6]
    upper = upper[np.argsort(upper[:, 0] * outward)]
    upper = np.concatenate([upper, [upper[-1] + np.array(WING) * (outward * scale, scale)]])
    along = np.concatenate([[0], np.linalg.norm(np.diff(upper, axis=0), axis=1).cumsum()])
    steps = np.linspace(0, along[-1], STEPS)
    return np.stack([np.interp(steps, along, axis) for axis in upper.T], axis=1)


def _draw_line(canvas: Float32Array, lashes: Points, scale: float) -> None:
    ends = _on_canvas(lashes).tolist()
    shares = np.linspace(0, 1, STEPS - 1)
    widths, shades = (np.interp(shares, (0, 1), of_ends) for of_ends in (WIDTH, DARKNESS))
    for first, last, width, shade in zip(ends[:-1], ends[1:], widths.tolist(), shades.tolist(), strict=True):
        cv2.line(canvas, first, last, shade, max(round(width * scale * FINER), 1), cv2.LINE_AA, SHIFT)


def _on_canvas(points: Points) -> npt.NDArray[np.int32]:
    """Points of the texture on the finer canvas, as OpenCV draws them: in fractions of a pixel."""
    return np.asarray(np.round(((points + 0.5) * FINER - 0.5) * 2**SHIFT), dtype=np.int32)


def _small(canvas: Float32Array, size: int, blur: float) -> Float32Array:
    soft = cv2.GaussianBlur(canvas, (0, 0), blur * len(canvas) / 128)
    return f32(cv2.resize(soft, (size, size), interpolation=cv2.INTER_AREA))
