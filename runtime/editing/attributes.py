"""Edits for people to read: groups of attributes, what an edit takes along, what became of each face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from aif.runtime.bundle.attributes import AttributeInfo, Group
from aif.runtime.editing.editor import FaceAnalysis, FaceChoice, FaceEdit

# A face whose predicted value is from the first on has the attribute, up to the second it has it not.
PRESENT, ABSENT = 0.9, 0.1

# Two attributes that exclude each other contradict each other from this wanted value on.
WANTED = 0.5

# Wanted values below this one are edits towards 0, for people to read.
OFF = 0.5

# An attribute that moves by less is not said to change.
STILL = 0.005


def grouped(attributes: Sequence[AttributeInfo]) -> dict[Group, list[AttributeInfo]]:
    """The attributes by their groups, both in their order; groups without any are left out."""
    found = {group: [info for info in attributes if info.group == group] for group in get_args(Group)}
    return {group: members for group, members in found.items() if members}


def remarks(settings: Mapping[str, float], attributes: Sequence[AttributeInfo]) -> list[str]:
    """A sentence for each attribute that an edit takes along without having been asked for it."""
    return [
        f"{info.name} takes {name} along by {share:g}; set it yourself to keep it."
        for info in attributes
        if info.name in settings
        for name in info.takes_along
        if name not in settings and (share := _share(info, name, settings[info.name]))
    ]


def _share(info: AttributeInfo, name: str, value: float) -> float:
    share = info.takes_along[name]
    return info.takes_along_off.get(name, share) if value < OFF else share


def contradictions(settings: Mapping[str, float], attributes: Sequence[AttributeInfo]) -> list[str]:
    """A sentence for each two wanted attributes of which a face has only one."""
    wanted = [info for info in attributes if settings.get(info.name, 0) > WANTED]
    pairs = {
        tuple(sorted((info.name, other))): None
        for info in wanted
        for other in info.excludes
        if settings.get(other, 0) > WANTED
    }
    return [
        f"{one} and {two} exclude each other, and both are set: expect something in between."
        for one, two in pairs
    ]


def predicted(face: FaceAnalysis | FaceEdit) -> dict[str, float]:
    """A face's attribute values as the encoder sees them."""
    return face.y_source if isinstance(face, FaceEdit) else face.y


def already(face: FaceAnalysis | FaceEdit, settings: Mapping[str, float]) -> list[str]:
    """The attributes that are wanted present or absent, and are so before the edit."""
    seen = predicted(face)
    return [
        name
        for name, value in settings.items()
        if (value == 1 and seen[name] >= PRESENT) or (value == 0 and seen[name] <= ABSENT)
    ]


def changes(face: FaceAnalysis | FaceEdit, settings: Mapping[str, float]) -> dict[str, float]:
    """The wanted values of what is set, and of what an edit moves with it."""
    if not isinstance(face, FaceEdit):
        return dict(settings)
    return {
        name: value
        for name, value in face.y_target.items()
        if name in settings or abs(value - face.y_source[name]) >= STILL
    }


def said_of(faces: Sequence[FaceAnalysis | FaceEdit], settings: Mapping[str, float]) -> str:
    """`2 faces, Smiling 0.12 to 0.40 -> 1`."""
    text = f"{len(faces)} face{'s' * (len(faces) != 1)}"
    for name, value in settings.items() if faces else ():
        low, high = (f"{end([predicted(face)[name] for face in faces]):.2f}" for end in (min, max))
        text += f", {name} {low if low == high else f'{low} to {high}'} -> {value:g}"
    return text


def exceptions(
    faces: Sequence[FaceAnalysis | FaceEdit],
    settings: Mapping[str, float],
    found: int | None = None,
    chosen: FaceChoice = "all",
) -> list[str]:
    """A phrase for each face that was not edited, edited less or in part, or was as wanted before.

    Args:
        faces: left to right.
        settings: attribute to wanted value.
        found: how many faces there are; None = not known.
        chosen: which of them were to be edited.
    """
    said = []
    for number, face in enumerate(faces):
        phrases = [f"{name} is {predicted(face)[name]:.2f} already" for name in already(face, settings)]
        if isinstance(face, FaceEdit):
            if face.strength < 1:
                phrases.append(f"turned away, {'edited less' if face.strength > 0 else 'not edited'}")
            if face.hidden:
                phrases.append(f"{', '.join(face.hidden)} hidden, not edited there")
        if phrases:
            said.append(f"face {number}: {', '.join(phrases)}")
    if (more := (found or 0) - len(faces)) > 0:
        why = "hidden too far, or no face after all" if chosen == "all" else "not chosen"
        said.append(f"{more} more not edited: {why}")
    return said
