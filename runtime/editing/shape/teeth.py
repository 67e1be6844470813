"""Teeth stay where they are while a mouth closes: they belong to the skull, lips slide over them.

A warp that takes the inside of a mouth along with the lips presses its teeth flat. So between lips that near
each other the photo shows what it showed at the same place, as far as that was inside the mouth; elsewhere it
is dark there. What the lips shade was chosen by eye.
"""

from __future__ import annotations

import numpy as np

from aif.runtime.arrays import Float32Array, Float64Array, UInt8Array
from aif.runtime.editing.shape.mouth import (
    BEHIND,
    CLOSING,
    SHADED,
    SHUT,
    UNDER_LIP,
    Mouth,
    own_skin,
    without_colour,
)

# Pixels of a 128 px crop: so far about the lips is looked at; so far into the mouth the photo's lips reach.
AROUND, RIM = 3.0, 0.3

# A mouth that is nearly shut leaves so much of the teeth's light, and hides them beside its corners, over
# this share of half its length.
NEARLY_SHUT, ASIDE = 0.75, 0.3


def keep_teeth(
    image_hwc_bgr: UInt8Array,
    photo_hwc_bgr: UInt8Array,
    points: tuple[Float32Array, Float32Array],
    scale: float,
    openings: tuple[float, float],
) -> None:
    """Show the photo's teeth, uint8 (H, W, 3), in an image of the same face and place whose mouth closes, in
    place.

    Landmarks (221, 2) before and after the edit are in the image's pixels, `scale` of them to one of a 128 px
    crop; `openings` are the mouth's before and after, in those of the crop.
    """
    before, after = openings
    closes = min(max((before - after) / CLOSING, 0.0), 1.0)
    if closes == 0 or after < SHUT:
        return
    mouth = Mouth.of(points[1], AROUND * scale, image_hwc_bgr.shape)
    own = None if mouth is None else Mouth.at(points[0], mouth.block)
    if mouth is None or own is None:
        return
    skin, grey = own_skin(image_hwc_bgr, points[1])
    closed = 1 - after / before
    part = image_hwc_bgr[mouth.block].astype(np.float64)
    dark = np.minimum(part, skin * without_colour(BEHIND, grey))
    beside = np.clip((1 - np.abs(mouth.side)) / ASIDE, 0, 1)[:, :, None]
    seen = own.between(-RIM, scale) * (1 - closed * (1 - beside))
    light = 1 - closed * (1 - NEARLY_SHUT * _under_lip(mouth))
    shown = dark + seen * (light * photo_hwc_bgr[mouth.block] - dark)
    part += closes * mouth.between(RIM, scale) * (shown - part)
    image_hwc_bgr[mouth.block] = part.round().clip(0, 255)


def _under_lip(mouth: Mouth) -> Float64Array:
    """How much light the upper lip leaves below it, (h, w, 1)."""
    height = np.maximum(mouth.top - mouth.bottom, 1e-3)
    return np.clip(UNDER_LIP + (1 - UNDER_LIP) * mouth.top / (SHADED * height), UNDER_LIP, 1)[:, :, None]
