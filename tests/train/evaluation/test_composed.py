"""Composed edits as an evaluator sees them: success both ways, flips, detail and person kept, groups."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from torch import nn

from aif.runtime.editing.crops import EditedCrops
from aif.runtime.errors import ConfigError, DataError, UnknownAttributeError
from aif.train.data.base import FaceDataset
from aif.train.evaluation.composed import measure_composed
from aif.train.evaluation.counting import SKIN_GROUPS, EditOptions, first_faces
from aif.train.evaluation.report import to_json, write_report
from aif.train.evaluation.robustness import DISTURBANCES, Disturbance, Spoilt, measure_robustness, to_markdown
from aif.train.evaluators.identity import IdentityNetwork

NAMES = ("Smiling", "Young", "Male")
SIDE = 32


class Marked(FaceDataset):
    """Noise with a mark a label: pixel (0, column) is white where the attribute is there, else black."""

    name, attributes, fingerprint = "marked", NAMES, "0" * 64

    def __init__(self, count=24, seed=0):
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(0, 2, (count, 3)).astype(np.uint8)
        self.identities = np.arange(count, dtype=np.int64) // 2
        self.pictures = rng.integers(0, 256, (count, SIDE, SIDE, 3)).astype(np.uint8)
        tone = np.arange(count) % 3  # dark, medium and light skin
        inner = self.pictures[:, 10:28, 8:24]
        inner[:] = (20 + 100 * tone)[:, None, None, None] + inner // 16
        self.pictures[:, 0, :3] = 255 * self.labels[..., None]

    def image(self, index):
        return self.pictures[index]

    def file_name(self, index):
        return str(index)


class Looker:
    """Reads the marks; `blind` faces are read the wrong way round."""

    attributes, right = (*NAMES, "Bald"), {"Smiling": (0.9, 0.85), "Young": (0.7, 0.8)}

    def predict(self, crops, /):
        marks = crops[:, 0, 0, :4].clone()
        marks[:, 3] = (crops[:, 0, 0, 3] > 2).float()  # nobody is bald
        return marks


class Marker:
    """Sets the mark to the value asked for; further `spoil`, for what a clumsy edit does beside."""

    attributes = NAMES

    def __init__(self, spoil=""):
        self.spoil = spoil

    def edit_crops(self, crops, edits, /):
        out = crops.copy()
        for image, edit in zip(out, edits, strict=True):
            for name, value in edit.items():
                column = NAMES.index(name)
                if self.spoil != "nothing happens":
                    image[0, column] = 255 * value
                if self.spoil == "young too" and name == "Smiling":
                    image[0, 1] = 255 - image[0, 1]
            if self.spoil == "blur":
                image[8:] = cv2.GaussianBlur(image, (0, 0), 2)[8:]
        values = np.zeros((len(crops), 3), np.float32)
        return EditedCrops(out[:, :16] if self.spoil == "crop" else out, values, values)


def measured(spoil="", faces=None, **options):
    dataset = Marked() if faces is None else faces
    return measure_composed(Marker(spoil), dataset, Looker(), EditOptions(**options))


def test_edits_that_do_what_was_asked():
    found = measured(batch_size=5)
    labels = Marked().labels
    assert found.faces == 24 and [s.attribute for s in found.edits] == [n for n in NAMES for _ in "12"]
    for score in found.edits:
        source = int((labels[:, NAMES.index(score.attribute)] == (score.direction == "off")).sum())
        assert (score.success.successes, score.success.n) == (source, source)
        assert score.collateral == 0 and score.most_flipped == () and score.identity is None
        assert score.detail.mean == pytest.approx(1)
    with pytest.raises(KeyError, match="Bald"):
        found.edit("Bald", "on")


def test_edits_that_do_nothing_and_blurred_faces():
    assert all(score.success.successes == 0 < score.success.n for score in measured("nothing happens").edits)
    assert measured("blur").edit("Young", "off").detail.mean < 0.3


def test_what_an_edit_takes_along_by_design_is_no_flip():
    found = measured("young too", attributes=("Smiling",))
    assert found.edit("Smiling", "on").collateral == pytest.approx(1 / 3)  # Young of Young, Male and Bald
    assert found.edit("Smiling", "off").most_flipped == (("Young", 1.0),)
    found = measured("young too", along={"Smiling": ("Young",)})
    assert found.edit("Smiling", "on").collateral == 0
    assert "not counted as flipped: Smiling (Young)." in found.to_markdown()


def test_faces_on_which_label_and_evaluator_differ_are_left_alone():
    faces = Marked()
    faces.pictures[:4, 0, 0] = 255 - faces.pictures[:4, 0, 0]
    found = measured(faces=faces, attributes=("Smiling",))
    assert sum(score.success.n for score in found.edits) == 20


def test_groups_are_counted_apart():
    found = measured(groups=("Male",), attributes=("Smiling",))
    faces = Marked()
    groups = found.edit("Smiling", "on").groups
    assert list(groups) == ["Male", "not Male", *SKIN_GROUPS]
    absent, male, tone = faces.labels[:, 0] == 0, faces.labels[:, 2] == 1, np.arange(24) % 3
    members = (male, ~male, tone == 0, tone == 1, tone == 2)
    assert [share.n for share in groups.values()] == [(absent & each).sum() for each in members]
    assert "| Smiling | on | 100.0% [" in found.to_markdown() and "| skin dark |" in found.to_markdown()


def test_identity_is_measured_where_a_network_is_given():
    network = IdentityNetwork(nn.Sequential(nn.AvgPool2d(4), nn.Flatten()), SIDE, 192)
    same, blurred = (
        measure_composed(Marker(spoil), Marked(), Looker(), identity=network).edit("Smiling", "on").identity
        for spoil in ("", "blur")
    )
    assert same is not None and blurred is not None
    assert same.kept == pytest.approx(1, abs=0.02) and blurred.kept < same.kept
    assert same.edited.n == (Marked().labels[:, 0] == 0).sum() and same.other.n == 24
    alone = Marked()
    alone.identities = np.zeros(24, np.int64)
    with pytest.raises(DataError, match="one person"):
        measure_composed(Marker(), alone, Looker(), identity=network)
    alone.identities = None  # every face for a person
    found = measure_composed(Marker(), alone, Looker(), indices=first_faces(alone, 6), identity=network)
    assert found.faces == 6 and "| 1.00 | 1.00 |" in found.to_markdown()
    assert found.summary()["Smiling.on.identity_kept"] == pytest.approx(1, abs=0.02)


def test_reports(tmp_path):
    faces = Marked()
    faces.labels[:, 1], faces.pictures[:, 0, 1] = 1, 255  # everybody is young
    found = measured(faces=faces)
    stored = json.loads(to_json(found))
    smiling, _, young, *_ = stored["edits"]
    assert smiling["success"]["rate"] == 1.0 and smiling["groups"]["skin dark"]["interval"][1] == 1.0
    assert young["success"] == {"successes": 0, "n": 0, "rate": None, "interval": [0, 1]}
    assert young["collateral"] is None and stored["psnr"] is None
    table = found.to_markdown()
    assert (
        "| Young | on | composed | 0 | none that label and evaluator agree on | 80.0% | - | - | - | - |"
        in table
    )
    assert "% | 90.0% | " not in table and "] | 90.0% | " in table  # Smiling, off
    write_report(tmp_path / "new", "composed", found.to_markdown(), found, **found.summary())
    assert (tmp_path / "new/composed.md").read_text() == found.to_markdown()
    assert json.loads((tmp_path / "new/composed.json").read_text()) == stored
    figures = json.loads((tmp_path / "new/metrics.json").read_text())
    assert figures["Smiling.on.composed"] == 1.0 and figures["Smiling.on.flips"] == 0
    assert "Young.on.composed" not in figures and figures["Young.off.detail"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"attributes": ("Smilling",)}, "what is measured"),
        ({"attributes": ("Bald",)}, "what is measured"),
        ({"groups": ("Bald",)}, "the labels of marked"),
        ({"along": {"Smiling": ("Mouth_Slightly_Open",)}}, "the evaluator"),
        ({"along": {"Bald": ("Male",)}}, "what is measured"),
    ],
)
def test_unknown_attributes(options, said):
    with pytest.raises(UnknownAttributeError, match=said):
        measured(**options)


def test_unfit_data_and_settings():
    with pytest.raises(DataError, match="cannot be compared"):
        measured("crop")
    with pytest.raises(DataError, match="no face"):
        measured(faces=Marked(0))
    with pytest.raises(ConfigError, match="at least 1"):
        first_faces(Marked(), 0)


@pytest.mark.parametrize("name", DISTURBANCES)
def test_each_row_spoils_its_own_way_and_the_same_each_time(name):
    faces = Marked(3)
    spoilt = Spoilt(faces, DISTURBANCES[name])
    assert spoilt.image(1).shape == faces.image(1).shape and spoilt.image(1).dtype == np.uint8
    assert np.array_equal(spoilt.image(1), spoilt.image(1))
    assert np.array_equal(spoilt.image(1), faces.image(1)) == (name == "as it is")
    assert (len(spoilt), spoilt.file_name(2)) == (3, "2") and spoilt.labels is faces.labels


def test_success_is_counted_where_the_spoilt_face_is_still_read():
    """A face upside down has its marks elsewhere: only an evaluator that turns it back reads them."""
    rows = {
        "as it is": Disturbance(lambda image, _: image),
        "upside down": Disturbance(lambda image, _: image[::-1, ::-1].copy(), 180.0),
        "black": Disturbance(lambda image, _: np.zeros_like(image)),
    }
    said: list[str] = []
    found = measure_robustness(
        Marker(), Marked(), Looker(), EditOptions(("Smiling",)), disturbances=rows, log=said.append
    )
    smiles = int(Marked().labels[:, 0].sum())
    plain, turned, black = (found[name].edit("Smiling", "off").success for name in rows)
    assert (plain.successes, plain.n) == (smiles, smiles) and black.n == 0
    assert turned.n == smiles and turned.successes == 0  # read as it is, but edited in the wrong place
    assert said == [f"faces {name}" for name in rows] and "Smiling" in NAMES
    text = to_markdown(found)
    assert "| Smiling | as it is | 100.0% [" in text and "| Smiling | black | 100.0%" in text
    assert text.count("\n| Smiling | ") == 3
