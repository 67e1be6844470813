"""What edits leave of detail and of the person: all where nothing happens, less where a face is blurred."""

import json

import cv2
import numpy as np
import pytest
from torch import nn

from aif.runtime.model.model import Decoded, Encoding
from aif.train.data.synthetic import SyntheticFaces
from aif.train.evaluation.likeness import measure_likeness, to_json, to_markdown
from aif.train.evaluators.identity import IdentityNetwork


class Blurrer:
    """With Smiling it blurs the face, with Eyeglasses it does nothing."""

    attributes, image_size = ("Smiling", "Eyeglasses"), 64

    def encode(self, crops, /):
        crops = np.asarray(crops)
        return Encoding(crops.reshape(len(crops), -1), np.zeros((len(crops), 2), np.float32))

    def decode(self, encoding, y, /):
        pictures = encoding.z.reshape(-1, 3, 64, 64).copy()
        for k in np.flatnonzero(np.asarray(y)[:, 0] > 0.5):
            pictures[k] = cv2.GaussianBlur(pictures[k].transpose(1, 2, 0), (0, 0), 3).transpose(2, 0, 1)
        return Decoded(pictures)


@pytest.fixture(scope="module")
def rows():
    network = IdentityNetwork(nn.Sequential(nn.AvgPool2d(4), nn.Flatten()), 64, 768)
    faces = SyntheticFaces(12, 64, seed=3, attributes=("Smiling", "Eyeglasses"))
    return {
        row.attribute: row for row in measure_likeness(Blurrer(), faces, network, faces=10, mode="replace")
    }


def test_an_edit_that_changes_nothing_leaves_everything(rows):
    row = rows["Eyeglasses"]
    assert row.sharpness.mean == pytest.approx(1, abs=0.02) and row.identity.kept == pytest.approx(
        1, abs=0.01
    )
    assert row.identity.edited.n == 10


def test_a_blurred_face_has_lost_detail_and_some_of_the_person(rows):
    blurred, same = rows["Smiling"], rows["Eyeglasses"]
    assert blurred.sharpness.mean < 0.7
    assert blurred.identity.kept < same.identity.kept - 0.002


def test_the_figures_can_be_read_by_people_and_programs(rows):
    text = to_markdown(list(rows.values()))
    assert text.splitlines()[2].startswith("| Smiling | 10 | 0.") and "| mean |" in text
    stored = json.loads(to_json(list(rows.values())))
    assert stored[1]["kept"] == pytest.approx(rows["Eyeglasses"].identity.kept)


def test_attributes_can_be_chosen():
    network = IdentityNetwork(nn.Sequential(nn.AvgPool2d(4), nn.Flatten()), 64, 768)
    faces = SyntheticFaces(4, 64, seed=3, attributes=("Smiling", "Eyeglasses"))
    found = measure_likeness(Blurrer(), faces, network, attributes=["Eyeglasses"])
    assert [row.attribute for row in found] == ["Eyeglasses"]
