"""Calibration of an edit that brightens a crop by its strength, seen by a classifier with a threshold."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.editing.edit_path import Encoded
from aif.runtime.errors import ConfigError
from aif.runtime.model.codes import FaceInputs
from aif.train.shape.calibrate import STRENGTHS, calibrate, chosen


class Brightening:
    """A path whose edit adds 40 grey levels a unit of y, to crops whose level says what they have."""

    def __init__(self):
        infos = (
            AttributeInfo(name="Bright"),
            AttributeInfo(name="Blond_Hair", group="hair"),
            AttributeInfo(name="Unknown"),
        )
        self.model = SimpleNamespace(
            attributes=tuple(info.name for info in infos), manifest=SimpleNamespace(attributes=infos)
        )

    def look_at_crops(self, crops):
        return [SimpleNamespace(fade=1.0)] * len(crops)

    def cut(self, crop, views):
        return FaceInputs(crop.transpose(2, 0, 1)[None].astype(np.float32) / 255)

    def encode(self, inputs):
        y = np.zeros((len(inputs.images), 3), np.float32)
        y[:, 0] = inputs.images.mean(axis=(1, 2, 3)) > 0.5
        return Encoded(inputs, SimpleNamespace(y=y))

    def change(self, encoded, source, target):
        return (40 * (target - source)[:, 0]).tolist()

    def mode(self, wanted):
        return "warp"

    def apply(self, crop, views, changes, mode):
        return (crop.astype(float) + changes[0]).clip(0, 255).astype(np.uint8)


class Faces:
    """Crops of grey level 90 without and 170 with the attribute."""

    name, attributes = "grey", ("Bright", "Blond_Hair")
    labels = np.array([[k % 2, 0] for k in range(20)], np.uint8)

    def __len__(self):
        return len(self.labels)

    def image(self, index):
        return np.full((16, 16, 3), 170 if self.labels[index, 0] else 90, np.uint8)

    def file_name(self, index):
        return str(index)


def classifier(threshold):
    def predict(crops):
        level = 255 * crops.mean(dim=(1, 2, 3))
        return torch.stack([(level > threshold).float(), torch.zeros(len(crops))], dim=1)

    return SimpleNamespace(attributes=("Bright", "Blond_Hair"), predict=predict)


@pytest.mark.parametrize(
    ("threshold", "on", "off"),
    [(130, 1.25, 0.0), (145, 1.5, 0.0), (119, 1.0, -0.5)],
    ids=["middle", "hard to switch on", "hard to switch off"],
)
def test_the_weakest_strength_that_is_enough(threshold, on, off):
    said: list[str] = []
    bright, blond, unknown = calibrate(Brightening(), Faces(), classifier(threshold), log=said.append)
    assert (bright.on, bright.off) == (on, off)
    assert (blond.on, blond.off) == (1, 0)  # hair goes to its colour, not beyond
    assert (unknown.on, unknown.off) == (1, 0)  # no label, no classifier
    assert any(line.startswith("Bright: ") and f" -> {on:g}; off" in line for line in said)
    assert any(line.startswith("Unknown: left as it is") for line in said)


def test_what_nobody_knows_is_left_as_it_is():
    faces, none = Faces(), SimpleNamespace(attributes=("Hat",))
    with pytest.raises(ConfigError, match="knows Hat, and nothing that the bundle edits"):
        calibrate(Brightening(), faces, none, log=lambda _: None)
    faces.labels = np.array([[1, 0]] * 20, np.uint8)  # nobody without it
    bright, *_ = calibrate(Brightening(), faces, classifier(130), log=lambda _: None)
    assert (bright.on, bright.off) == (1, 0.0)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({}, 1.5),
        ({1.0: 0.95}, 1.0),
        ({1.0: 0.5, 1.25: 0.94, 1.5: 0.99}, 1.25),
        ({1.0: 0.60, 1.25: 0.62, 1.5: 0.62}, 1.0),  # more is not worth it
        ({s: s / 10 for s in STRENGTHS}, 1.5),  # no guide
        ({s: s / 2 for s in STRENGTHS}, 1.5),
    ],
)
def test_choice(shares, expected):
    assert chosen(shares) == expected
