"""Where in a face crop an edit of an attribute may show: a mouth needs less of the crop than hair.

A decoder draws the whole crop anew, and an edit of the mouth wanders a little over forehead, hair and
background, too. What each region gains and costs is measured in docs/composition.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from aif.runtime.align import Float32Array


@dataclass(frozen=True)
class Region:
    """A soft-edged superellipse within the crop's own taper; lengths in pixels of a 128 px crop.

    Attributes:
        centre, radii: x and y. Within the radii the edit shows in full.
        softness: width of the fall to nothing, as a fraction of the radii.
        power: 2 = an ellipse; the larger, the nearer to a rectangle.
        sides, top, bottom: taper from 1 to 0 at the crop's edges. The chin lies near the lower edge.
    """

    centre: tuple[float, float] = (64.0, 64.0)
    radii: tuple[float, float] = (1000.0, 1000.0)
    softness: float = 1.0
    power: float = 2.0
    sides: float = 16.0
    top: float = 14.0
    bottom: float = 9.0


WHOLE = Region()
MOUTH = Region((64, 99), (31, 24), 0.35)
LOWER_FACE = Region((64, 97), (33, 27), 0.35)  # a smile is in the cheeks, too; the jaw ends at 32 and 96
EYES = Region((64, 65), (46, 22), 0.5, power=4)
FACE = Region((64, 74), (46, 56), 0.3)
HAIR = Region(sides=10)

# By CelebA's names of attributes; all others take the whole crop. Measured: Smiling, Mouth_Slightly_Open,
# Eyeglasses, Heavy_Makeup, Bangs and Blond_Hair. The rest goes by likeness.
_NAMES = {
    MOUTH: "Mouth_Slightly_Open Big_Lips Wearing_Lipstick Mustache Goatee",
    LOWER_FACE: "Smiling No_Beard 5_o_Clock_Shadow",
    EYES: "Eyeglasses Narrow_Eyes Bags_Under_Eyes Arched_Eyebrows Bushy_Eyebrows",
    FACE: "Heavy_Makeup Rosy_Cheeks Pale_Skin Big_Nose Pointy_Nose",
    HAIR: "Bangs Bald Receding_Hairline Wearing_Hat Straight_Hair Wavy_Hair Black_Hair Blond_Hair Brown_Hair "
    "Gray_Hair",
}
REGIONS = {name: region for region, names in _NAMES.items() for name in names.split()}


def face_mask(size: int, attributes: Iterable[str] = ()) -> Float32Array:
    """Where an edit shows: float32 (size, size) in [0, 1], 0 on the outermost pixels. Read-only.

    Args:
        size: side of the crop in pixels.
        attributes: names of what is edited; of several, the largest mask counts at each place. Without any,
            the whole crop counts.
    """
    regions = frozenset(REGIONS.get(name, WHOLE) for name in attributes)
    return _union(size, regions or frozenset({WHOLE}))


# What a decoder that draws the region of an edit alone must not see of the face, where that is not the region
# in which the edit shows: hair lies around the face, which can be seen, and eyebrows end above the eyes.
FRINGE = Region((64, 30), (50, 22), 0.25, power=4)
INNER_FACE = Region((64, 85), (31, 33), 0.3)
GLASSES = Region((64, 64), (48, 15), 0.35, power=4)
EYEBROWS = Region((64, 48), (42, 9), 0.4, power=4)
UPPER_LIP = Region((64, 91), (25, 8), 0.3, power=4)
_HIDDEN = {
    "Bangs": FRINGE,
    "Receding_Hairline": FRINGE,
    "Eyeglasses": GLASSES,
    "Arched_Eyebrows": EYEBROWS,
    "Bushy_Eyebrows": EYEBROWS,
    "Mustache": UPPER_LIP,
}

# Edits of colour, and those that would take the whole person away with the face, leave the decoder a sketch
# of what is hidden: fine structure without colour or shading.
RECOLOURED = frozenset(["Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Pale_Skin", "Rosy_Cheeks"])
SKETCHED = RECOLOURED | {"Heavy_Makeup", "Young", "Male"}


def hidden_mask(size: int, attribute: str) -> Float32Array:
    """What an edit of the attribute may change: float32 (size, size), nearly everywhere 1 or 0."""
    region = _HIDDEN.get(attribute, REGIONS.get(attribute, WHOLE))
    mask = smoothstep(_mask(size, region), 0.02, 0.4)
    if region is HAIR:
        mask = mask * (1 - _mask(size, INNER_FACE))
    return np.asarray(mask, dtype=np.float32)


@lru_cache(maxsize=64)
def _union(size: int, regions: frozenset[Region]) -> Float32Array:
    mask = np.max([_mask(size, region) for region in regions], axis=0)
    mask.flags.writeable = False
    return np.asarray(mask, dtype=np.float32)


def _mask(size: int, region: Region) -> Float32Array:
    scale = size / 128
    inside = np.arange(size, dtype=np.float32)
    before, after = inside, inside[::-1]
    across = smoothstep(before, 0, region.sides * scale) * smoothstep(after, 0, region.sides * scale)
    down = smoothstep(before, 0, region.top * scale) * smoothstep(after, 0, region.bottom * scale)
    place = (inside + 0.5) / scale
    x = (np.abs(place - region.centre[0]) / region.radii[0]) ** region.power
    y = (np.abs(place - region.centre[1]) / region.radii[1]) ** region.power
    radius = (x[None, :] + y[:, None]) ** (1 / region.power)
    mask = np.outer(down, across) * (1 - smoothstep(radius, 1, 1 + region.softness))
    return np.asarray(mask, dtype=np.float32)


def smoothstep(value: Float32Array, low: float, high: float) -> Float32Array:
    """0 up to `low`, 1 from `high` on, a cubic with level ends between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)
