"""What is known of CelebA's attributes beyond their names: which go together, which exclude each other."""

from __future__ import annotations

from collections.abc import Sequence

from aif.runtime.bundle.manifest import AttributeInfo
from aif.train.shape.faces.hair_colours import HAIR_ATTRIBUTES

# Attributes that are the skin's tone itself; the tone is held constant in edits of all others.
TONE_ATTRIBUTES = ("Pale_Skin",)

EXPRESSIONS = ("Smiling", "Mouth_Slightly_Open")

COMPANIONS = {"Smiling": {"Mouth_Slightly_Open": (0.15, 0.8)}}
"""What a person expects to change along, and by which share of its way towards 1, and towards 0.

Most smiles of the training faces have open mouths, but a shut mouth that opens shows teeth that the photo
does not have: with a share of 0.77 a smile succeeds hardly more often than with 0.3, and looks like a
denture.
"""

# How far beyond a label's mean effect an edit has to go to be seen: labels are noisy, and regression shrinks.
STRENGTH = 1.5

# The skin's own tone is measured, not labelled by taste, and moves all of the face: its full effect looks
# like a mask.
TONE_STRENGTH = 0.75


def attribute_infos(names: Sequence[str], strength: float = STRENGTH) -> tuple[AttributeInfo, ...]:
    """The attributes of a model, before calibration.

    Hair colours exclude each other; their strength is 1, for hair goes all the way to the wanted colour.
    """
    found = []
    for name in names:
        along = {other: shares for other, shares in COMPANIONS.get(name, {}).items() if other in names}
        hair = name in HAIR_ATTRIBUTES
        own = TONE_STRENGTH if name in TONE_ATTRIBUTES else strength
        others = tuple(other for other in HAIR_ATTRIBUTES if hair and other != name and other in names)
        found.append(
            AttributeInfo(
                name=name,
                off=0.0 if hair else 1 - own,
                on=1.0 if hair else own,
                takes_along={other: on for other, (on, _) in along.items()},
                takes_along_off={other: off for other, (_, off) in along.items()},
                excludes=others,
                group="hair" if hair else "expression" if name in EXPRESSIONS else "face",
            )
        )
    return tuple(found)
