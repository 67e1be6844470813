"""The adversary finds what is plain to see, finds nothing where there is nothing, and refuses unfit data."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from aif.runtime.editing.crops import EditedCrops
from aif.runtime.errors import DataError, UnknownAttributeError
from aif.train.data.synthetic import SyntheticFaces
from aif.train.evaluation.realism import LEAST_FACES, Realism, choose_sets, measure_realism, to_markdown
from aif.train.evaluation.report import to_json
from aif.train.evaluators.adversary import AdversaryConfig, Auc, adversary_auc, auc_interval

CONFIG = AdversaryConfig(faces=60, image_size=32, width=8, epochs=8, batch_size=16)


class Painter:
    """Stands in for an editor: `edit` changes the crops."""

    attributes = ("Smiling", "Eyeglasses")

    def __init__(self, edit):
        self.edit = edit

    def edit_crops(self, crops, edits, /):
        assert crops.dtype == np.uint8 and len(crops) == len(edits)
        values = np.zeros((len(crops), 2), np.float32)
        return EditedCrops(self.edit(crops.copy(), edits), values, values)


def nothing(crops, edits):
    return crops


def square(crops, edits):
    crops[:, 12:20, 12:20] = 255
    return crops


def people(count=300, each=2, seed=3):
    faces = SyntheticFaces(count, 32, seed=seed, attributes=("Smiling", "Eyeglasses"))
    faces.identities = np.arange(count, dtype=np.int64) // each
    return faces


@pytest.fixture(scope="module")
def faces():
    return people()


def measured(edit, dataset, attribute="Smiling", log=print, **changes):
    return measure_realism(Painter(edit), dataset, attribute, dataclasses.replace(CONFIG, **changes), log)


def test_a_bright_square_is_found(faces):
    found = measured(square, faces)
    assert found.edited.value > 0.95 and found.edited.low > 0.9
    assert found.faces == 60 and found.edited.n == pytest.approx(40, abs=6)


def test_where_nothing_was_edited_the_two_figures_are_the_same(faces):
    lines, asked = [], []

    def ask(crops, edits):
        asked.extend(edits)
        return crops

    found = measured(ask, faces, log=lines.append, faces=130, epochs=2)
    assert asked.count({"Smiling": 1.0}) == asked.count({"Smiling": 0.0}) == 65  # each to its other value
    assert found.edited == found.real and found.edited.n == pytest.approx(2 * 130 / 3, abs=8)
    assert found.edited.low < 0.6 and found.edited.high > 0.4  # chance, to what 88 faces can tell
    assert len([line for line in lines if line.startswith("Smiling: ")]) == 3


@pytest.mark.parametrize(
    ("share", "faces", "expected"), [(0.5, 100, 100), (0.5, 101, 100), (0.06, 900, 60), (1 / 2, 900, 430)]
)
def test_sets_share_nobody_and_hold_the_attribute_as_often(share, faces, expected):
    rng = np.random.default_rng(0)
    who = rng.integers(0, 300, 1000)
    present = np.arange(1000) < share * 1000
    first, second = choose_sets(present, who, faces, seed=1)
    assert len(first) == len(second) == pytest.approx(expected, rel=0.15)
    assert len(first) <= faces and not np.intersect1d(who[first], who[second]).size
    for chosen in (first, second):
        assert len(np.unique(chosen)) == len(chosen) and 2 * present[chosen].sum() == len(chosen)
    assert [a.tolist() for a in choose_sets(present, who, faces, seed=1)] == [first.tolist(), second.tolist()]
    assert choose_sets(present, who, faces, seed=2)[0].tolist() != first.tolist()


@pytest.mark.parametrize("present", [np.zeros(500), np.ones(500), np.arange(500) < LEAST_FACES // 4])
def test_too_few_faces_on_one_side(present):
    with pytest.raises(DataError, match="half have the attribute"):
        choose_sets(present, np.arange(500), 900)


def test_unfit_data(faces):
    with pytest.raises(UnknownAttributeError, match=r"what is measured.*\n.*Smiling"):
        measured(nothing, faces, "Smilling")
    blind = SyntheticFaces(4, 32, attributes=("Eyeglasses",))
    with pytest.raises(UnknownAttributeError, match="the labels of synthetic"):
        measured(nothing, blind)
    with pytest.raises(DataError, match="does not say who"):
        measured(nothing, SyntheticFaces(100, 32))
    with pytest.raises(DataError, match="half have the attribute"):
        measured(nothing, people(40))
    with pytest.raises(DataError, match="cannot be compared"):
        measured(lambda crops, _: crops[:, ::2, ::2], faces)


def test_people_in_both_sets_or_too_few_of_them():
    pictures = np.zeros((60, 32, 32, 3), np.uint8)
    with pytest.raises(DataError, match="in both sets"):
        adversary_auc((pictures, pictures), (np.arange(60), np.arange(59, 119)), CONFIG)
    with pytest.raises(DataError, match="2 people are too few"):
        adversary_auc((pictures, pictures), (np.arange(60) % 2, np.arange(60, 120)), CONFIG)


@pytest.mark.parametrize(
    ("scores", "value"),
    [
        ([0, 1, 2, 3], 1.0),
        ([2, 3, 0, 1], 0.0),
        ([1, 1, 1, 1], 0.5),
        ([0, 1, 1, 2], 0.875),
    ],
)
def test_area_under_the_curve(scores, value):
    edited = np.array([False, False, True, True])
    found = auc_interval(np.array(scores, float), edited, np.arange(4), np.random.default_rng(0))
    assert found.value == value and found.low <= value <= found.high and found.n == 4


def test_the_interval_is_wider_where_few_people_have_many_faces():
    rng = np.random.default_rng(0)
    edited = np.arange(400) % 2 == 1
    who = np.arange(400) // 2 % 20 * 2 + edited
    scores = rng.normal(size=400) + edited + rng.normal(size=40)[who]
    few = auc_interval(scores, edited, who, np.random.default_rng(1))
    many = auc_interval(scores, edited, np.arange(400), np.random.default_rng(1))
    assert few.value == many.value and few.high - few.low > 1.5 * (many.high - many.low)


def test_reports():
    row = Realism("Smiling", Auc(0.6, 0.55, 0.65, 600), Auc(0.51, 0.46, 0.56, 600), 900, 910)
    assert "| Smiling | 900 | 0.600 [0.550, 0.650] | 0.510 [0.460, 0.560] |" in to_markdown([row])
    assert str(row) == (
        "Smiling: AUC 0.600 [0.550, 0.650] of 900 edited faces; real against real 0.510 [0.460, 0.560]"
    )
    assert json.loads(to_json([row]))[0]["real"]["value"] == 0.51
