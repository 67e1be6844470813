"""Edits for people to read: groups of attributes, what an edit takes along, what became of each face."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from aif.runtime.bundle.attributes import AttributeInfo, Group
from aif.runtime.editing.editor import FaceAnalysis, FaceChoice, FaceEdit

# A face whose predicted value is from the first on has the attribute, up to the second it has it not.
PRESENT, ABSENT = 0.9, 0.1

# Two attributes that exclude each other contradict each other from this wanted value on.
WANTED = 0.5

# Wanted values below this one are edits towards 0, for people to read.
OFF = 0.5

# An attribute that moves by less than the first is not said to change, in the line on all faces the second.
STILL, PLAIN = 0.005, 0.05


def grouped(attributes: Sequence[AttributeInfo]) -> dict[Group, list[AttributeInfo]]:
    """The attributes by their groups, both in their order; groups without any are left out."""
    found = {group: [info for info in attributes if info.group == group] for group in get_args(Group)}
    return {group: members for group, members in found.items() if members}


def remarks(settings: Mapping[str, float], attributes: Sequence[AttributeInfo]) -> list[str]:
    """A sentence for what an edit takes along, or off, without having been asked for it."""
    said = []
    for info in (each for each in attributes if each.name in settings):
        towards_0 = info.takes_along_off if settings[info.name] < OFF else {}
        for name, share in {**info.takes_along, **towards_0}.items():
            if name not in settings and share:
                said.append(f"{info.name} takes {name} along by {share:g}; set it yourself to keep it.")
        others = [name for name in info.excludes if name not in settings]
        if others and settings[info.name] > 0:
            said.append(f"{info.name} takes {', '.join(others)} off; set one yourself to keep it.")
    return said


def contradictions(settings: Mapping[str, float], attributes: Sequence[AttributeInfo]) -> list[str]:
    """A sentence for each two wanted attributes of which a face has only one."""
    wanted = [info for info in attributes if settings.get(info.name, 0) > WANTED]
    pairs = [sorted((info.name, other)) for info in wanted for other in info.excludes]
    return [
        f"{one} and {other} exclude each other, and both are set: expect something in between."
        for one, other in dict.fromkeys(map(tuple, pairs))
        if min(settings.get(one, 0), settings.get(other, 0)) > WANTED
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
    """`2 faces, Smiling 0.12 to 0.40 -> 1`, and `moves_along`."""
    text = f"{len(faces)} face{'s' * (len(faces) != 1)}"
    for name, value in settings.items() if faces else ():
        text += f", {name} {_span(predicted(face)[name] for face in faces)} -> {value:g}"
    along = moves_along(faces, settings)
    return f"{text}, with it {', '.join(along)}" if along else text


def moves_along(faces: Sequence[FaceAnalysis | FaceEdit], settings: Mapping[str, float]) -> list[str]:
    """`Black_Hair 0.93 -> 0.00` for what changes plainly in a face without having been asked for."""
    found: dict[str, list[tuple[float, float]]] = {}
    for face in faces:
        for name, value in changes(face, settings).items():
            if name not in settings and abs(value - predicted(face)[name]) >= PLAIN:
                found.setdefault(name, []).append((predicted(face)[name], value))
    return [
        f"{name} {' -> '.join(_span(ends) for ends in zip(*moves, strict=True))}"
        for name, moves in found.items()
    ]


def _span(values: Iterable[float]) -> str:
    """`0.12`, or `0.12 to 0.40`."""
    every = sorted(values)
    return " to ".join(dict.fromkeys(f"{value:.2f}" for value in (every[0], every[-1])))


def exceptions(
    faces: Sequence[FaceAnalysis | FaceEdit],
    settings: Mapping[str, float],
    found: int | None = None,
    chosen: FaceChoice = "all",
) -> list[str]:
    """A phrase for each face that was not edited, edited less or in part, or was as wanted before.

    `found` is how many faces there are, None = not known, and `chosen` which of them were to be edited.
    """
    said = []
    for number, face in enumerate(faces):
        phrases = [f"{name} is {predicted(face)[name]:.2f} already" for name in already(face, settings)]
        if isinstance(face, FaceEdit):
            if face.strength < 1:
                how = "edited less" if face.strength > 0 else "not edited"
                hair = ", but for its hair" if (face.hair_strength or 0) > face.strength else ""
                phrases.append(f"turned away, {how}{hair}")
            if parts := [part for part in face.hidden if part != "hair"]:
                phrases.append(f"{', '.join(parts)} hidden, not edited there")
            if "hair" in face.hidden:
                phrases.append("no hair found, its colour not edited")
        if phrases:
            said.append(f"face {number}: {', '.join(phrases)}")
    if (more := (found or 0) - len(faces)) > 0:
        why = "hidden too far, or no face after all" if chosen == "all" else "not chosen"
        said.append(f"{more} more not edited: {why}")
    return said
