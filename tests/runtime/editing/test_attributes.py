"""What is said of an edit: groups, what it takes along, what contradicts, what is there already."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_bundles import shape_parts, similarity_parts

from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.editing.attributes import (
    already,
    changes,
    contradictions,
    exceptions,
    grouped,
    remarks,
    said_of,
)
from aif.runtime.editing.editor import FaceAnalysis, FaceEdit
from aif.runtime.editing.options import modes_of, parse_mode
from aif.runtime.errors import ConfigError
from aif.runtime.faces.detect import Detection

KNOWN = (
    AttributeInfo(name="Black", excludes=("Blond", "Gray"), group="hair"),
    AttributeInfo(name="Blond", excludes=("Black", "Gray"), group="hair"),
    AttributeInfo(name="Gray", excludes=("Black", "Blond"), group="hair"),
    AttributeInfo(
        name="Smile", takes_along={"Mouth": 0.76}, takes_along_off={"Mouth": 0.9}, group="expression"
    ),
    AttributeInfo(name="Mouth", group="expression"),
    AttributeInfo(name="Off", takes_along={"Mouth": 0.0}, takes_along_off={"Mouth": 0.8}),
)
MATRIX = np.eye(2, 3, dtype=np.float32)


def detection():
    return Detection(np.array([1, 2, 30, 40], np.float32), np.zeros((5, 2), np.float32), 0.9)


def edited(source, target):
    points = np.zeros((221, 2), np.float32)
    return FaceEdit(detection(), MATRIX, source, target, 0.1, points=points)


def seen(**values):
    return FaceAnalysis(detection(), MATRIX, values, 0.1)


def test_groups_keep_the_order_and_leave_out_empty_ones():
    found = {group: [info.name for info in members] for group, members in grouped(KNOWN[:-1]).items()}
    assert found == {"expression": ["Smile", "Mouth"], "hair": ["Black", "Blond", "Gray"]}
    assert list(found) == ["expression", "hair"] and grouped(()) == {}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, []),
        ({"Mouth": 1}, []),
        ({"Smile": 1}, ["Smile takes Mouth along by 0.76; set it yourself to keep it."]),
        (
            {"Smile": 0, "Black": 1},
            [
                "Black takes Blond, Gray off; set one yourself to keep it.",
                "Smile takes Mouth along by 0.9; set it yourself to keep it.",
            ],
        ),
        ({"Smile": 1, "Mouth": 0}, []),
        ({"Blond": 1, "Gray": 0}, ["Blond takes Black off; set one yourself to keep it."]),
        ({"Blond": 0}, []),
        ({"Off": 1}, []),
        ({"Off": 0}, ["Off takes Mouth along by 0.8; set it yourself to keep it."]),
    ],
)
def test_what_is_taken_along(settings, said):
    assert remarks(settings, KNOWN) == said


@pytest.mark.parametrize(
    ("settings", "pairs"),
    [
        ({}, []),
        ({"Black": 1}, []),
        ({"Black": 1, "Blond": 0}, []),
        ({"Black": 1, "Smile": 1}, []),
        ({"Black": 1, "Blond": 1}, ["Black and Blond"]),
        ({"Black": 1, "Blond": 2, "Gray": 1}, ["Black and Blond", "Black and Gray", "Blond and Gray"]),
    ],
)
def test_contradictions(settings, pairs):
    said = contradictions(settings, KNOWN)
    assert [text.split(" exclude")[0] for text in said] == pairs


@pytest.mark.parametrize(
    ("wanted", "so", "not_so"),
    [(1, (0.95, 0.9), (0.89, 0.05)), (0, (0.05, 0.1), (0.11, 0.95)), (2, (), (0.95,)), (0.5, (), (0.5,))],
)
def test_what_is_there_already(wanted, so, not_so):
    for value in (*so, *not_so):
        for face in (seen(Smile=value, Mouth=0), edited({"Smile": value}, {"Smile": wanted})):
            assert already(face, {"Smile": wanted}) == (["Smile"] if value in so else [])


def test_changes_are_what_is_set_and_what_moves():
    source, target = {"Smile": 0.2, "Mouth": 0.1, "Gray": 0.0}, {"Smile": 1.0, "Mouth": 0.7, "Gray": 0.0}
    assert changes(edited(source, target), {"Smile": 1}) == {"Smile": 1.0, "Mouth": 0.7}
    assert changes(edited(source, source), {"Smile": 0.2}) == {"Smile": 0.2}
    assert changes(seen(**source), {"Smile": 1}) == {"Smile": 1}


def test_what_was_edited():
    one, two = seen(Smile=0.2, Mouth=1), seen(Smile=0.456, Mouth=1)
    assert said_of([one], {"Smile": 1, "Mouth": 0.5}) == "1 face, Smile 0.20 -> 1, Mouth 1.00 -> 0.5"
    assert said_of([two, one], {"Smile": 0}) == "2 faces, Smile 0.20 to 0.46 -> 0"
    assert said_of([], {"Smile": 0}) == "0 faces"
    there, here = (
        edited(
            {"Smile": 0.2, "Mouth": mouth, "Gray": 0.5, "Black": 0.9},
            {"Smile": 1.0, "Mouth": 0.9, "Gray": 0.52, "Black": 0.0},
        )
        for mouth in (0.1, 0.3)
    )
    said = "2 faces, Smile 0.20 -> 1, with it Mouth 0.10 to 0.30 -> 0.90, Black 0.90 -> 0.00"
    assert said_of([there, here], {"Smile": 1}) == said


@pytest.mark.parametrize(
    ("face", "found", "chosen", "said"),
    [
        ({}, 1, "all", []),
        ({}, None, "all", []),
        ({"strength": 0.4}, 1, "all", ["face 0: turned away, edited less"]),
        ({"strength": 0.0}, 1, "all", ["face 0: turned away, not edited"]),
        ({"strength": 0.5, "hair_strength": 0.5}, 1, "all", ["face 0: turned away, edited less"]),
        (
            {"strength": 0.0, "hair_strength": 0.9},
            1,
            "all",
            ["face 0: turned away, not edited, but for its hair"],
        ),
        ({"hidden": ("mouth", "left eye")}, 1, 0, ["face 0: mouth, left eye hidden, not edited there"]),
        ({"hidden": ("hair",)}, 1, 0, ["face 0: no hair found, its colour not edited"]),
        ({}, 3, "all", ["2 more not edited: hidden too far, or no face after all"]),
        ({}, 3, "largest", ["2 more not edited: not chosen"]),
        ({"y_source": {"Smile": 0.95}}, 1, 0, ["face 0: Smile is 0.95 already"]),
    ],
)
def test_what_is_not_as_one_might_expect(face, found, chosen, said):
    one = replace(edited({"Smile": 0.2}, {"Smile": 1.0}), **face)
    assert exceptions([one], {"Smile": 1.0}, found, chosen) == said


@pytest.mark.parametrize("parts", [shape_parts, similarity_parts])
def test_modes_are_those_of_the_bundle(parts):
    modes = modes_of(parts().manifest)
    assert modes == (("warp",) if parts is shape_parts else ("delta", "replace"))
    assert parse_mode(None, modes) is None and parse_mode(modes[0], modes) == modes[0]
    for other in {"warp", "delta", "hybrid", ""} - set(modes):
        with pytest.raises(ConfigError, match="It composes by: " + ", ".join(modes)):
            parse_mode(other, modes)
