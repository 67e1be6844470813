"""The mouth that an edit shuts or opens: what the photo cannot show of it is drawn.

Closed lips shade each other along a line, lips that nearly close what is left between them. Between lips that
part there are the upper teeth, and it is dark about them; a decoded texture, which is a mean of teeth and
dark, is grey there. The line's depth and profile are medians of 95 closed mouths (CelebA-HQ at 256 px); how
light and colourful teeth are against the person's own skin is a regression on 767 smiling mouths; the dark
about them, the shade between nearly closed lips and the teeth's shapes were chosen by eye.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from aif.runtime.arrays import Float32Array, Float64Array, UInt8Array
from aif.runtime.editing.shape.gain import EPSILON, GREY_SPREAD
from aif.runtime.geometry import points as dense

# Openings of the mouth in pixels of a 128 px crop. A mouth that closes by the first or more is shut in full;
# shut is one nearer than the second. Up to the third what is left between lips that close is in their shade.
CLOSING, SHUT, NARROW = 1.5, 1.2, 2.0

# Where an edit opens a mouth, its inside is drawn from the first on, in full one pixel further; and less if
# it was open by the second, not at all from the third: there the photo shows its own.
PARTED, OWN, OWN_FULLY = 1.0, 1.5, 3.5

# The line between closed lips: distances towards the chin, in the same pixels, and the share of its depth
# there. It fades towards the corners of the mouth, over a share of half its length.
DISTANCES = (-2.5, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
PROFILE = (0.0, 0.2, 0.42, 0.72, 1.0, 0.74, 0.34, 0.1, 0.0)
ENDS = 0.15

# How dark it is in log units: blue, green, red.
DEPTH = np.array([0.75, 0.72, 0.37])

# Shares of the skin's blue, green and red: of what lies behind the teeth, and inside the lower lip.
BEHIND, BELOW = np.array([0.3, 0.27, 0.42]), np.array([0.6, 0.5, 0.68])

# Teeth have the light of the skin to this power, both as shares of white, and keep this share of its colour:
# beside dark skin they are much lighter than the skin, beside light skin a little; but at most so many times,
# as in the darkest tenth of photos: in the dark they would glow.
WHITER, TINGE, LIGHTEST = 0.42, 0.37, 2.0

# What is drawn is as sharp as the face: faces of sharp photos have a blur of the first, in pixels of a 128 px
# crop. It is found on so many pixels to one of these, from the steepest of so many percent of the face.
SHARP, BLURRIEST, LEAST_BLUR = 0.85, 3.0, 0.3
ENOUGH, EDGES = 1.4, 98

# Where the inner lips meet, left and right.
CORNERS = dense.INNER_LIP.start, dense.INNER_LIP.start + 10

# Where the teeth of one side meet, and their middles, in eye distances from the middle of the mouth.
GAPS, MIDDLES = np.array([0.0, 0.13, 0.235, 0.34]), np.array([0.065, 0.1825, 0.2875, 0.39])

# Teeth reach so far down, as a share of the opening, in mouths that are narrow and wide (eye distances), and
# at most so many eye distances; each one less far than its neighbour nearer to the middle, and at its sides.
REACH, WIDTHS = (0.62, 0.95), (0.7, 0.86)
LONGEST, SHORTER, ROUND = 0.16, 0.01, 0.012

# They are so bright below the upper lip, which shades them over this share of the opening; towards the
# corners of the mouth they lose the third share, in the gaps the fourth.
UNDER_LIP, SHADED, ASIDE, GAP = 0.72, 0.3, 0.55, 0.14


def parted(before: float, after: float) -> float:
    """How much of an inside is drawn where a mouth's opening goes from `before` to `after`, in pixels of a
    128 px crop: 0 to 1, smooth in both."""
    opens = min(max(after - before, 0.0), 1.0)
    own = min(max((before - OWN) / (OWN_FULLY - OWN), 0.0), 1.0)
    return opens * min(max(after - PARTED, 0.0), 1.0) * (1 - own)


def closed(before: float, after: float) -> float:
    """How much of the line between closed lips, or of the shade between narrow ones, is drawn, likewise."""
    closes = min(max((before - after) / CLOSING, 0.0), 1.0)
    wide = min(max((after - SHUT) / (NARROW - SHUT), 0.0), 1.0)
    return closes * (1 - wide * wide * (3 - 2 * wide))


def draw_mouth(
    image_hwc_bgr: UInt8Array, points: Float32Array, scale: float, openings: tuple[float, float]
) -> None:
    """Draw what an edit makes of a mouth into a uint8 image (H, W, 3), in place.

    Landmarks (221, 2) after the edit are in the image's pixels, `scale` of them to one of a 128 px crop;
    `openings` are the mouth's before the edit and after it, in those of the crop.
    """
    inside, line = parted(*openings), closed(*openings)
    if max(inside, line) == 0:
        return
    mouth = Mouth.of(points, -DISTANCES[0] * scale, image_hwc_bgr.shape)
    if mouth is None:
        return
    skin, grey = own_skin(image_hwc_bgr, points)
    before = image_hwc_bgr[mouth.block].astype(np.float64)
    part = before.copy()
    if inside > 0:
        cover = mouth.between(0.5, scale)
        teeth, light, rest = _inside(mouth, points, scale)
        shown = skin * without_colour(rest, grey)
        shown += teeth * (light * _white(skin) - shown)
        part += inside * cover * (shown - part)
    if line > 0:
        ends = line * np.clip((1 - np.abs(mouth.side)) / ENDS, 0, 1)[:, :, None]
        slit = ends * mouth.between(1.0, scale) * (openings[1] >= SHUT)
        part += slit * (np.minimum(skin * without_colour(BEHIND, grey), part) - part)
        away = (mouth.top + mouth.bottom) / (2 * scale)
        dark = ends * (1 - slit) * np.interp(away, DISTANCES, PROFILE)[:, :, None]
        shade = np.exp(-dark * without_colour(DEPTH, grey))
        part = (part + 255 * EPSILON) * shade - 255 * EPSILON
    blur = scale * np.sqrt(max(blurred(image_hwc_bgr, points, scale) ** 2 - SHARP**2, 0))
    part -= before
    drawn = cv2.GaussianBlur(part, (0, 0), float(blur)) if blur > LEAST_BLUR else part
    image_hwc_bgr[mouth.block] = (before + drawn).round().clip(0, 255)


def blurred(image_hwc_bgr: UInt8Array, points: Float32Array, scale: float) -> float:
    """How blurred a face is: the standard deviation in pixels of a 128 px crop, at most `BLURRIEST`.

    An edge of blur s loses the share 1 - s / sqrt(s^2 + r^2) of its slope to a further blur r. Zhuo and Sim,
    2011, Defocus map estimation from a single image.
    """
    low = np.maximum(points.min(axis=0), 0).astype(int)
    high = np.minimum(points.max(axis=0) + 1, image_hwc_bgr.shape[1::-1]).astype(int)
    if (high - low < 3).any():
        return 0.0
    face = cv2.cvtColor(image_hwc_bgr[low[1] : high[1], low[0] : high[0]], cv2.COLOR_BGR2GRAY)
    share = min(ENOUGH / scale, 1.0)
    grey = cv2.resize(face, None, fx=share, fy=share, interpolation=cv2.INTER_AREA).astype(np.float32)
    again = max(share * scale, 1.0)
    ratio = _steepness(grey) / max(_steepness(cv2.GaussianBlur(grey, (0, 0), again)), 1e-6)
    return min(float(again / (share * scale)) / float(np.sqrt(max(ratio**2 - 1, 1e-6))), BLURRIEST)


def _steepness(grey_hw: cv2.typing.MatLike) -> float:
    """The slope that the steepest pixels have at the least."""
    slopes = np.hypot(cv2.Sobel(grey_hw, cv2.CV_32F, 1, 0), cv2.Sobel(grey_hw, cv2.CV_32F, 0, 1))
    return float(np.percentile(slopes, EDGES))


class Mouth(NamedTuple):
    """Pixels of an image about a mouth: rows and columns, and where each of them is, (h, w).

    Attributes:
        side: -1 in the left corner of the mouth and beyond, 0 in the middle of the upper lip, 1 on the right.
        top, bottom: how far below the edge of the upper and of the lower lip, in image pixels.
    """

    block: tuple[slice, slice]
    side: Float64Array
    top: Float64Array
    bottom: Float64Array

    @classmethod
    def of(cls, points: Float32Array, margin: float, shape: tuple[int, ...]) -> Mouth | None:
        """Those as near as `margin` px to the inner lips of landmarks (221, 2); None where there are none."""
        lips = points[dense.INNER_LIP]
        low = np.maximum(np.floor(lips.min(axis=0) - margin), 0).astype(int).tolist()
        high = np.minimum(np.ceil(lips.max(axis=0) + margin) + 1, shape[1::-1]).astype(int).tolist()
        return cls.at(points, (slice(low[1], high[1]), slice(low[0], high[0])))

    @classmethod
    def at(cls, points: Float32Array, block: tuple[slice, slice]) -> Mouth | None:
        """Those of a block, about landmarks (221, 2); None where there are none."""
        rows, columns = block
        left, right = (points[corner].astype(np.float64) for corner in CORNERS)
        length = float(np.linalg.norm(right - left))
        if rows.start >= rows.stop or columns.start >= columns.stop or length < 1:
            return None
        axis = (right - left) / length
        axes = np.stack([axis, [-axis[1], axis[0]]])
        pixels = np.stack(
            np.meshgrid(np.arange(columns.start, columns.stop), np.arange(rows.start, rows.stop))
        )
        along, across = np.tensordot(axes, pixels - left[:, None, None], axes=1)
        edges = []
        for lip in (dense.UPPER_LIP, dense.LOWER_LIP):
            u, v = axes @ (np.concatenate([[left], points[lip], [right]]) - left).T
            edges.append(across - np.interp(along, np.maximum.accumulate(u), v))
        middle = axis @ (points[dense.UPPER_LIP[len(dense.UPPER_LIP) // 2]] - left)
        side = np.interp(along, (0, min(max(middle, 0.2 * length), 0.8 * length), length), (-1, 0, 1))
        return cls(block, side, *edges)

    def between(self, margin: float, scale: float) -> Float64Array:
        """How far pixels are between the lips, (h, w, 1), 0 to 1; the margin is in pixels of a 128 px
        crop."""
        inside = np.clip(np.minimum(self.top, -self.bottom) / scale + margin, 0, 1)
        soft = cv2.GaussianBlur(inside, (0, 0), max(0.4 * scale, 0.3))
        return np.asarray(soft, dtype=np.float64)[:, :, None]


def _inside(mouth: Mouth, points: Float32Array, scale: float) -> tuple[Float64Array, ...]:
    """What is between the lips: how far teeth are there and how much light they have, (h, w, 1) each; and the
    colours of the rest as shares of the skin's, (h, w, 3)."""
    left, right = (points[ring].mean(axis=0) for ring in (dense.LEFT_EYE, dense.RIGHT_EYE))
    eyes = max(float(np.linalg.norm(right - left)), 1.0)
    width = float(np.linalg.norm(points[CORNERS[1]] - points[CORNERS[0]])) / eyes
    aside = np.abs(mouth.side)
    away = aside * width / 2
    height = np.maximum(mouth.top - mouth.bottom, 1e-3)
    tooth = np.clip(np.searchsorted(GAPS, away, side="right") - 1, 0, len(GAPS) - 1)
    rounded = ROUND * ((away - MIDDLES[tooth]) / 0.06) ** 2
    reach = np.interp(width, WIDTHS, REACH)
    length = np.minimum(reach * height / eyes, LONGEST) - rounded - SHORTER * tooth
    shown = np.clip((length * eyes - mouth.top) / (0.5 * scale) + 0.5, 0, 1)
    shown = (shown * np.clip((1 - aside) / 0.35, 0, 1))[..., None]
    gap = np.abs(away[..., None] - GAPS).min(axis=-1) * eyes / (0.45 * scale)
    light = np.clip(UNDER_LIP + (1 - UNDER_LIP) * mouth.top / (SHADED * height), UNDER_LIP, 1)
    light = light * (1 - ASIDE * aside**2) * (1 - GAP * np.exp(-(gap**2)))
    below = np.clip(1 + mouth.bottom / (0.35 * height), 0, 1)[..., None]
    rest = BEHIND + below * (BELOW - BEHIND)
    return shown, light[..., None], rest


def _white(skin: Float64Array) -> Float64Array:
    """The colour (3,) of teeth beside skin of a colour."""
    mean = max(float(skin.mean()), 1.0)
    light = min(255 * (mean / 255) ** WHITER, LIGHTEST * mean)
    teeth: Float64Array = light * (1 + TINGE * (skin / mean - 1))
    return teeth


def own_skin(image_hwc_bgr: UInt8Array, points: Float32Array) -> tuple[Float64Array, bool]:
    """The skin's colour (3,) of a face with landmarks (221, 2), and whether the picture is grey."""
    at = np.round(points[dense.SKIN]).astype(int).clip(0, np.array(image_hwc_bgr.shape[1::-1]) - 1)
    skin = np.median(image_hwc_bgr[at[:, 1], at[:, 0]], axis=0)
    return skin, float(np.ptp(skin)) <= 255 * GREY_SPREAD


def without_colour(shares: Float64Array, grey: bool) -> Float64Array:
    """The mean of the channels (..., 3) in place of each, where a picture is grey."""
    return np.broadcast_to(shares.mean(axis=-1, keepdims=True), shares.shape) if grey else shares
