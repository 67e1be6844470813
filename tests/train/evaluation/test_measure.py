"""Measuring edits: right answers score as right, and every way of being wrong shows."""

import functools
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from aif.runtime.errors import UnknownAttributeError
from aif.runtime.model.model import Decoded, Encoding
from aif.train.data.augment import resize_crop
from aif.train.data.synthetic import SyntheticFaces
from aif.train.evaluation.counterfactual import measure_counterfactual
from aif.train.evaluation.counting import EditOptions
from aif.train.evaluation.measure import TorchModel, measure
from aif.train.evaluators.identity import IdentityNetwork

NAMES = ("Eyeglasses", "Wearing_Hat")
FACES = SyntheticFaces(10, 64, seed=5, attributes=NAMES)
KEYS = np.array(list(itertools.product(range(len(FACES)), (0, 1), (0, 1))))


@functools.cache
def drawn(size, index, glasses, hat):
    picture = FACES.counterfactual(index, {"Eyeglasses": glasses, "Wearing_Hat": hat})
    return resize_crop(picture, size).transpose(2, 0, 1).astype(np.float32) / 255


def nearest(crops):
    """Which of all faces with all values each crop is: (N, 3), the index and both values."""
    known = np.stack([drawn(crops.shape[-1], *key) for key in KEYS.tolist()])
    return KEYS[((crops[:, None] - known[None]) ** 2).mean(axis=(2, 3, 4)).argmin(axis=1)]


class Looker:
    """An evaluator that knows all pictures by heart: the values of the nearest one."""

    attributes, right = NAMES, dict.fromkeys(NAMES, (1.0, 1.0))

    def predict(self, crops_nchw, /):
        return torch.from_numpy(nearest(crops_nchw.numpy())[:, 1:]).float()


class Painter:
    """A model that edits as `paint` says of: how to draw the face, its own values, and those asked for."""

    attributes = NAMES

    def __init__(self, paint, size=64):
        self.paint, self.image_size = paint, size

    def encode(self, crops_nchw, /):
        found = nearest(np.asarray(crops_nchw)).astype(np.float32)
        return Encoding(found, found[:, 1:])

    def decode(self, encoding, y, /):
        made = []
        for (index, *own), values in zip(encoding.z.astype(int).tolist(), np.asarray(y) > 0.5, strict=True):

            def draw(values, index=index):
                return drawn(self.image_size, index, *map(int, values))

            made.append(self.paint(draw, own, values.astype(int).tolist()))
        return Decoded(np.stack(made))


def right(draw, own, wanted):
    return draw(wanted)


def constant(draw, own, wanted):
    return np.full_like(draw(own), 0.5)


def ignoring_y(draw, own, wanted):
    return draw(own)


def flipping_both(draw, own, wanted):
    return draw(own if wanted == own else [1 - value for value in own])


def measured(paint, size=64, identity=None):
    return measure(Painter(paint, size), FACES, Looker(), EditOptions(batch_size=4), identity=identity)


@pytest.mark.parametrize("size", [64, 32])
def test_the_right_answer_succeeds_in_every_view(size):
    result = measured(right, size)
    assert (result.faces, result.mse, result.y_accuracy) == (10, 0, dict.fromkeys(NAMES, 1.0))
    assert result.psnr > 90 and len(result.edits) == len(NAMES) * 2 * 3
    for name in NAMES:
        assert sum(result.edit(name, side, "decoded").success.n for side in ("on", "off")) == 10
    assert all(score.success.rate == 1.0 and score.collateral == 0.0 for score in result.edits)
    if size == 32:  # of another size than the photo
        assert result.edit("Eyeglasses", "on", "decoded").detail.n == 0


def test_a_constant_decoder_fails():
    result = measured(constant)
    assert result.mse > 0.01
    for name in NAMES:
        decoded = [result.edit(name, side, "decoded").success.rate for side in ("on", "off")]
        assert min(decoded) == 0.0  # one picture for all cannot show both values
        for side in ("on", "off"):  # no difference of decodings: the photo stays
            assert result.edit(name, side, "delta").success.successes == 0


def test_copies_and_collateral_damage_show():
    result = measured(ignoring_y)
    assert result.mse == 0
    assert all(score.success.successes == 0 == score.collateral for score in result.edits)
    for score in measured(flipping_both).edits:
        assert score.success.rate == score.collateral == 1.0
        assert score.most_flipped[0] == (next(n for n in NAMES if n != score.attribute), 1.0)


def test_detail_and_person_of_every_view():
    network = IdentityNetwork(nn.Sequential(nn.AvgPool2d(4), nn.Flatten()), 64, 768)
    good_model, flat = (measured(paint, identity=network) for paint in (right, constant))
    assert good_model.image_size == 64 and set(good_model.reconstruction_flips) == set(NAMES)
    for view in ("decoded", "delta", "replace"):
        good, bad = (found.edit("Eyeglasses", "on", view) for found in (good_model, flat))
        assert good.identity is not None and bad.identity is not None
        assert good.identity.reconstruction.mean == pytest.approx(1, abs=1e-3)
        assert good.detail.n == good.identity.edited.n == good.success.n
        if view != "delta":  # a constant decoder changes nothing there
            assert bad.detail.mean < 0.7 * good.detail.mean and bad.identity.kept < good.identity.kept
    assert "reconstruction MSE 0.0000, PSNR 100.0 dB" in good_model.to_markdown()
    assert good_model.summary()["reconstruction_mse"] == 0
    assert good_model.summary()["Eyeglasses.on.decoded"] == 1.0


def test_torch_networks_are_measured_in_evaluation_mode_without_noise():
    class Encoder(nn.Module):
        def forward(self, image):
            assert not self.training
            return SimpleNamespace(mean=image.flatten(1), y=image[:, :2, 0, 0])

    class Decoder(nn.Module):
        def forward(self, z, y):
            assert not self.training and y.shape == (len(z), 2)
            return z.view(-1, 3, 8, 8)

    model = TorchModel(Encoder(), Decoder(), NAMES, 8)
    crops = np.random.default_rng(0).random((3, 3, 8, 8), dtype=np.float32)
    decoded = model.decode(model.encode(crops).rows(np.array([2, 0])), np.zeros((2, 2)))
    assert np.array_equal(decoded.image, crops[[2, 0]])


@pytest.mark.parametrize("name", NAMES)
def test_against_the_truth_the_right_answer_scores_zero_and_doing_nothing_does_not(name):
    found = measure_counterfactual(Painter(right), FACES, name)
    for side, value in (("on", 1), ("off", 0)):
        rows = np.flatnonzero(FACES.labels[:, NAMES.index(name)] != value)
        for what in ("edit", "floor"):
            assert found[side, what, "inside"].mean == found[side, what, "outside"].mean == 0
        errors = []
        for index in rows.tolist():
            goal = FACES.counterfactual(index, {name: value}).astype(float) / 255
            difference = np.abs(goal - FACES.image(index).astype(float) / 255)
            errors.append(difference[(difference > 0).any(axis=2)].mean())
        inside, outside = found[side, "nothing", "inside"], found[side, "nothing", "outside"]
        assert inside.mean == pytest.approx(np.mean(errors), rel=1e-5) and outside.mean == 0
        assert inside.n == outside.n == len(rows) > 2


@pytest.mark.parametrize(
    ("paint", "edit", "floor"),
    [
        (lambda draw, own, wanted: draw(wanted) + np.float32(0.1), 0.1, 0.1),
        # damage by the edit alone is not in the floor
        (lambda draw, own, wanted: draw(wanted) - np.float32(0.2 * (wanted != own)), 0.2, 0.0),
        # what has diverged does not vanish from the mean
        (lambda draw, own, wanted: draw(wanted) * np.float32("nan"), math.nan, math.nan),
    ],
)
def test_ways_to_miss_the_truth(paint, edit, floor):
    found = measure_counterfactual(Painter(paint), FACES, "Eyeglasses")
    for side, where in itertools.product(("on", "off"), ("inside", "outside")):
        assert found[side, "edit", where].mean == pytest.approx(edit, rel=1e-4, nan_ok=True)
        assert found[side, "floor", where].mean == pytest.approx(floor, rel=1e-4, nan_ok=True)
    bare = np.flatnonzero(FACES.labels[:, 0] == 0)[:2].tolist()  # no face allows the edit to off
    found = measure_counterfactual(Painter(paint), FACES, "Eyeglasses", bare)
    assert {side for side, _, _ in found} == {"on"}


def test_the_truth_of_an_unknown_attribute():
    with pytest.raises(UnknownAttributeError, match="Eyeglases"):
        measure_counterfactual(Painter(right), FACES, "Eyeglases")
    with pytest.raises(UnknownAttributeError, match="synthetic faces' labels"):
        few = SyntheticFaces(2, 64, attributes=NAMES[:1])
        measure_counterfactual(Painter(right), few, "Wearing_Hat")
