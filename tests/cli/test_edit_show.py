"""What is shown of an edit: records as JSON, tables of attributes, what it takes along and contradicts."""

import json

import numpy as np
import pytest
from tiny_bundles import shape_parts

from aif.cli.edit.show import far_away, print_attributes, summarised
from aif.runtime.batch.record import FileRecord
from aif.runtime.bundle.bundle import write_bundle
from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.editing.editor import FaceAnalysis, FaceEdit
from aif.runtime.faces.detect import Detection

KNOWN = (
    AttributeInfo(name="Black", group="hair"),
    AttributeInfo(name="Smile", takes_along={"Mouth": 0.76}, group="expression"),
    AttributeInfo(name="Mouth", group="expression"),
)
MATRIX = np.eye(2, 3, dtype=np.float32)


def edited(source, target, hidden=()):
    points = np.zeros((221, 2), np.float32)
    return FaceEdit(detection(), MATRIX, source, target, 0.1, points=points, hidden=hidden)


def detection():
    return Detection(np.array([1, 2, 30, 40], np.float32), np.zeros((5, 2), np.float32), 0.9)


def test_a_record_has_five_landmarks_and_what_was_wanted():
    faces = [
        edited({"Smile": 0.95, "Mouth": 0.1}, {"Smile": 1.0, "Mouth": 0.138}, ("left eye", "mouth")),
        edited({"Smile": 0.0, "Mouth": 0.0}, {"Smile": 1.0, "Mouth": 0.76}),
    ]
    record = FileRecord("a.jpg", "b.jpg", "edited", (3, 4), faces, {"Smile": 1.0})
    one, two = json.loads(record.as_json())["faces"]
    assert len(one["landmarks"]) == 5 and "points" not in one
    assert one["wanted"] == {"Smile": 1.0, "Mouth": 0.138} and one["already"] == ["Smile"]
    assert two["wanted"] == {"Smile": 1.0, "Mouth": 0.76} and two["already"] == []
    assert one["hidden"] == ["left eye", "mouth"] and two["hidden"] == []
    seen = FaceAnalysis(detection(), MATRIX, {"Smile": 0.95}, 0.1)
    looked = json.loads(FileRecord("a.jpg", faces=[seen]).as_json())["faces"][0]
    assert "wanted" not in looked and "already" not in looked


def test_a_summary_counts_faces_and_names_the_place():
    whole, hidden = edited({"Smile": 0.5}, {}), edited({"Smile": 0.5}, {}, ("mouth",))
    one = FileRecord("a.jpg", "out/x/a.jpg", "edited", (400, 300), [whole, hidden], found=2)
    two = FileRecord("b.jpg", "out/b.jpg", "edited", (200, 100), [whole], found=2)
    none = FileRecord("c.jpg", status="no_face")
    said = "2 edited, 1 without a face; 3 faces, {} of them not edited or in part; results are in out"
    assert summarised([one, two, none], "all") == said.format(2)
    assert summarised([one, two, none], "largest") == said.format(1)
    assert summarised([none], "all") == "1 without a face"
    assert [far_away(record) for record in (one, two, none)] == [True, False, False]


@pytest.mark.parametrize(
    ("known", "rows"),
    [(KNOWN, ["expression", "Smile", "Mouth", "hair", "Black"]), (KNOWN[1:], ["Smile", "Mouth"])],
)
def test_a_table_in_groups_says_what_changes_and_what_need_not(known, rows, capsys):
    source = {"Smile": 0.125, "Mouth": 0.97, "Black": 0.5}
    face = edited(source, {**source, "Smile": 1.0, "Mouth": 1.0})
    print_attributes(FileRecord("a.jpg", faces=[face], settings={"Smile": 1.0, "Mouth": 1.0}), known)
    out = capsys.readouterr().out
    assert [line.split("│")[1].strip() for line in out.splitlines() if "│" in line][-len(rows) :] == rows
    assert "0.12 -> 1 " in out and "0.97 already" in out


@pytest.mark.parametrize(("columns", "tables"), [(40, 3), (80, 1), (200, 1)])
def test_names_and_figures_are_whole_in_a_narrow_terminal(columns, tables, monkeypatch, capsys):
    known = (AttributeInfo(name="Mouth_Slightly_Open"), AttributeInfo(name="Smile"))
    face = edited({"Mouth_Slightly_Open": 0.12, "Smile": 0.97}, {"Mouth_Slightly_Open": 0.12, "Smile": 0.0})
    monkeypatch.setenv("COLUMNS", str(columns))
    print_attributes(FileRecord("a.jpg", faces=[face] * 3, settings={"Smile": 0.0}), known)
    out = capsys.readouterr().out
    assert out.count("Mouth_Slightly_Open") == tables and out.count("0.97 -> 0") == 3 and "…" not in out
    assert max(map(len, out.splitlines())) <= columns


@pytest.fixture(scope="module")
def shape_bundle(tmp_path_factory):
    """A bundle with shape whose smile takes fair hair along."""
    known = (
        AttributeInfo(name="Smiling", group="expression", takes_along={"Blond_Hair": 0.5}),
        AttributeInfo(name="Blond_Hair", group="hair", excludes=("Smiling",)),
    )
    parts = shape_parts(attributes=known)
    return write_bundle(tmp_path_factory.mktemp("shape") / "shape.aif", parts.manifest, parts.files).path


def test_the_command_says_it(run, shape_bundle, photo):
    words = [photo, "--bundle", shape_bundle, "--detector", "haar", "--threads", "1", "--overwrite"]
    refused = run("edit", *words, "--set", "Smiling", "--mode", "delta")
    assert refused.code == 2 and "It composes by: warp." in refused.stderr
    done = run("edit", *words, "--set", "Smiling", "--json", "-v", "--faces", "largest")
    assert done.code == 0 and "Smiling takes Blond_Hair along by 0.5; set it yourself" in done.stderr
    (face,) = json.loads(done.stdout)["faces"]
    assert len(face["landmarks"]) == 5
    moved = face["attributes"]["Blond_Hair"] + 0.5 * (1 - face["attributes"]["Smiling"])
    assert face["wanted"]["Blond_Hair"] == pytest.approx(moved, abs=0.01)
    both = run("edit", *words, "--set", "Smiling", "--set", "Blond_Hair=1", "--faces", "largest")
    assert both.code == 0 and "Warning: Blond_Hair and Smiling exclude each other" in both.stderr
