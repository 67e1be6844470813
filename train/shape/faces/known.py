"""What is known of CelebA's attributes beyond their names: which go together, which exclude each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

from aif.runtime.bundle.attributes import AttributeInfo, Part
from aif.runtime.editing.shape.expressions import SLOPE, WIDTH
from aif.train.shape.faces.hair_colours import HAIR_ATTRIBUTES

# Attributes that are the skin's tone itself; the tone is held constant in edits of all others.
TONE_ATTRIBUTES = ("Pale_Skin",)

EXPRESSIONS = ("Smiling", "Mouth_Slightly_Open")

COLOUR: Literal["colour"] = "colour"
"""Beside parts of the face: the edit tints and moves nothing."""

Place = Part | Literal["colour"]

LIPSTICK = ("Wearing_Lipstick", "Lipstick")
"""Names of what is put on the lips alone: people who wear it smile more, which is none of it."""

COMPANIONS = {"Smiling": {"Mouth_Slightly_Open": (0.75, 0.8)}}
"""What a person expects to change along, and by which share of its way towards 1, and towards 0: most people
who smile show their teeth."""

NARROW_MOUTH, WIDE_MOUTH = (WIDTH - 0.03, SLOPE), 1.1
"""Distances of the corners of the mouth in eye distances: what is so much narrower than people's mouths are
without a smile looks pursed. Of smiling mouths one in twenty is wider than 1.1."""

REGIONS: dict[str, tuple[Place, ...]] = {
    "Mouth_Slightly_Open": ("mouth", "jaw", "cheeks"),
    "Bushy_Eyebrows": ("brows",),
    "Arched_Eyebrows": ("brows", "eyes"),
    "Mustache": ("moustache",),
    "Goatee": ("beard",),
    "No_Beard": ("beard", "cheeks"),
    "5_o_Clock_Shadow": ("beard", "cheeks"),
    "Big_Nose": ("nose",),
    "Pointy_Nose": ("nose",),
    "Narrow_Eyes": ("eyes",),
    "Bags_Under_Eyes": ("eyes", "cheeks"),
    "Eyeglasses": ("eyes",),
    "Big_Lips": ("mouth",),
    **dict.fromkeys(LIPSTICK, ("mouth", COLOUR)),
    "Rosy_Cheeks": ("cheeks", "nose"),
    "Chubby": ("cheeks", "jaw"),
    "Double_Chin": ("jaw",),
    "Young": ("nose", "cheeks", "mouth", "jaw"),
}
"""The parts of the face that an attribute is about; of those that are not named, all of it."""

SHAVEN = ("Young", "Big_Nose", "Big_Lips")
"""Attributes that go together with dark beards, and are none: as they come, they bring no beard's shade."""

BEARDED: dict[str, Literal[0, 1]] = {
    "Mustache": 1,
    "Goatee": 1,
    "5_o_Clock_Shadow": 1,
    "Male": 1,
    "No_Beard": 0,
}
"""The values at which faces have a beard; as it goes, they are shaved."""

UNFOLDS: dict[str, Literal[0, 1]] = {"Young": 1, "Smiling": 0}
"""The values towards which folds fade."""

# How far beyond a label's mean effect an edit has to go to be seen: labels are noisy, and regression shrinks.
STRENGTH = 1.5

TRAINED_STRENGTHS = {
    "Smiling": (2.2, 2.0),
    "Mouth_Slightly_Open": (1.3, 1.8),
    "Bushy_Eyebrows": (1.6, 1.4),
    "Heavy_Makeup": (2.4, 2.4),
    "Arched_Eyebrows": (2.4, 1.4),
    "Mustache": (2.0, 1.4),
    "Goatee": (1.8, 1.5),
    "Male": (1.4, 2.0),
    "Young": (2.2, 1.3),
    "Big_Nose": (2.6, 3.0),
    "Narrow_Eyes": (3.5, 3.0),
    "Big_Lips": (3.2, 3.2),
    "Rosy_Cheeks": (1.15, 1.4),
    "5_o_Clock_Shadow": (1.2, 1.4),
}
"""The same of edits that are trained for effect, towards 1 and towards 0: as strong as still looks natural on
large portraits. Those that are not named: 1.4."""
TRAINED = 1.4

# The skin's own tone is measured, not labelled by taste, and moves all of the face: its full effect looks
# like a mask.
TONE_STRENGTH = 0.4


def region_hint(names: Iterable[str], regions: Iterable[str] = ()) -> str | None:
    """What to say of attributes whose place in the face is known neither by name nor from the user's regions;
    None where there is none."""
    known = {*regions, *REGIONS, *TRAINED_STRENGTHS, *EXPRESSIONS, *TONE_ATTRIBUTES, *HAIR_ATTRIBUTES}
    if not (own := [name for name in names if name not in known]):
        return None
    return (
        f"Edits of {', '.join(own)} act on all of the face, and change what goes along in these photos, too. "
        f"Where it belongs to a part of the face: --region {own[0]}=PART, one or more (cheeks+nose) of "
        f"{', '.join(get_args(Part))}; with +{COLOUR} it moves nothing."
    )


def parts_of(places: Iterable[Place]) -> tuple[Part, ...]:
    """The parts of the face among the words of a region."""
    return tuple(place for place in places if place != COLOUR)


def attribute_infos(
    names: Sequence[str], trained: bool = False, regions: Mapping[str, tuple[Place, ...]] | None = None
) -> tuple[AttributeInfo, ...]:
    """The attributes of a model, before calibration; `trained`: of one that is trained for effect; `regions`:
    parts of the face that are not as `REGIONS` has them.

    Hair colours exclude each other; their strength is 1, for hair goes all the way to the wanted colour.
    """
    found, places = [], REGIONS | dict(regions or {})
    for name in names:
        along = {other: shares for other, shares in COMPANIONS.get(name, {}).items() if other in names}
        hair = name in HAIR_ATTRIBUTES
        on, off = TRAINED_STRENGTHS.get(name, (TRAINED, TRAINED)) if trained else (STRENGTH, STRENGTH)
        if hair or name in TONE_ATTRIBUTES:
            on = off = 1.0 if hair else TONE_STRENGTH
        others = tuple(other for other in HAIR_ATTRIBUTES if hair and other != name and other in names)
        found.append(
            AttributeInfo(
                name=name,
                off=round(1 - off, 3),
                on=on,
                takes_along={other: share for other, (share, _) in along.items()},
                takes_along_off={other: share for other, (_, share) in along.items()},
                excludes=others,
                region=parts_of(places.get(name, ())),
                still=COLOUR in places.get(name, ()),
                shaven=name in SHAVEN,
                bearded=BEARDED.get(name),
                unfolds=UNFOLDS.get(name),
                group="hair" if hair else "expression" if name in EXPRESSIONS else "face",
            )
        )
    return tuple(found)
