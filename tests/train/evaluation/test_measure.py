"""Measuring edits: right answers score as right, and every way of being wrong shows."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from aif.runtime.model.model import Decoded, Encoding
from aif.train.data.augment import resize_crop
from aif.train.data.synthetic import SyntheticFaces
from aif.train.evaluation.counting import EditOptions
from aif.train.evaluation.measure import TorchModel, measure
from aif.train.evaluators.identity import IdentityNetwork

NAMES = ("Eyeglasses", "Wearing_Hat")
FACES = 10


def nchw(image, size):
    return resize_crop(image, size).transpose(2, 0, 1).astype(np.float32) / 255


@dataclass
class Known:
    """Every test face with every combination of the two attributes."""

    dataset: SyntheticFaces
    size: int

    def __post_init__(self):
        self.keys = list(itertools.product(range(len(self.dataset)), (0, 1), (0, 1)))
        self.images = np.stack([self.draw(*key) for key in self.keys])

    def draw(self, index, glasses, hat):
        changed = self.dataset.counterfactual(index, dict(zip(NAMES, (glasses, hat), strict=True)))
        return nchw(changed, self.size)

    def nearest(self, crops):
        distances = ((crops[:, None] - self.images[None]) ** 2).mean(axis=(2, 3, 4))
        return np.array([self.keys[k] for k in distances.argmin(axis=1)]).reshape(-1, 3)


class Looker:
    """An evaluator that knows all pictures by heart: the values of the nearest one."""

    attributes = NAMES
    accuracy = dict.fromkeys(NAMES, 1.0)

    def __init__(self, known):
        self.known = known

    def predict(self, crops_nchw, /):
        crops = torch.nn.functional.interpolate(crops_nchw, size=(self.known.size,) * 2, mode="area")
        return torch.from_numpy(self.known.nearest(crops.numpy())[:, 1:]).float()


class Painter:
    """A model that edits by drawing the face anew, or goes wrong in a way that its fault names."""

    attributes = NAMES

    def __init__(self, known, fault):
        self.known, self.fault, self.image_size = known, fault, known.size

    def encode(self, crops_nchw, /):
        found = self.known.nearest(np.asarray(crops_nchw))
        return Encoding(found.astype(np.float32), found[:, 1:].astype(np.float32))

    def decode(self, encoding, y, /):
        out = []
        for (index, *own), values in zip(encoding.z.astype(int), np.asarray(y) > 0.5, strict=True):
            wanted = [int(v) for v in values]
            if self.fault == "ignores y":
                wanted = own
            elif self.fault == "flips both" and wanted != own:
                wanted = [1 - v for v in own]
            picture = self.known.draw(index, *wanted)
            out.append(np.full_like(picture, 0.5) if self.fault == "constant" else picture)
        return Decoded(np.stack(out))


def measured(fault, model_size=64, identity=None):
    dataset = SyntheticFaces(FACES, 64, seed=5, attributes=NAMES)
    looker, model = Looker(Known(dataset, 64)), Painter(Known(dataset, model_size), fault)
    return measure(model, dataset, looker, EditOptions(batch_size=4), identity=identity)


@pytest.mark.parametrize("model_size", [64, 32])
def test_the_right_answer_succeeds_in_every_view(model_size):
    result = measured("none", model_size)
    assert result.faces == FACES
    assert result.mse == 0
    assert result.psnr > 90
    assert result.y_accuracy == dict.fromkeys(NAMES, 1.0)
    assert len(result.edits) == len(NAMES) * 2 * 3
    for name in NAMES:
        assert sum(result.edit(name, side, "decoded").success.n for side in ("on", "off")) == FACES
    for score in result.edits:
        assert score.success.rate == 1.0, score
        assert score.collateral == 0.0


def test_a_constant_decoder_fails():
    result = measured("constant")
    assert result.mse > 0.01
    for name in NAMES:
        decoded = [result.edit(name, side, "decoded").success.rate for side in ("on", "off")]
        assert min(decoded) == 0.0  # one picture for all cannot show both values
        for side in ("on", "off"):  # no difference of decodings: the photo stays
            assert result.edit(name, side, "delta").success.successes == 0


def test_a_perfect_copy_that_ignores_y_fails():
    result = measured("ignores y")
    assert result.mse == 0
    assert all(score.success.successes == 0 for score in result.edits)
    assert all(score.collateral == 0 for score in result.edits)


def test_collateral_damage_shows():
    result = measured("flips both")
    for score in result.edits:
        assert score.success.rate == 1.0
        assert score.collateral == 1.0
        assert score.most_flipped[0] == (next(n for n in NAMES if n != score.attribute), 1.0)


def test_detail_and_person_of_every_view():
    network = IdentityNetwork(nn.Sequential(nn.AvgPool2d(4), nn.Flatten()), 64, 768)
    right, flat = (measured(fault, identity=network) for fault in ("none", "constant"))
    assert right.faces == FACES and right.image_size == 64 and set(right.reconstruction_flips) == set(NAMES)
    for view in ("decoded", "delta", "replace"):
        good, bad = (found.edit("Eyeglasses", "on", view) for found in (right, flat))
        assert good.identity is not None and bad.identity is not None
        assert good.identity.reconstruction.mean == pytest.approx(1, abs=1e-3)
        assert good.detail.n == good.identity.edited.n == good.success.n
        if view != "delta":  # a constant decoder changes nothing there
            assert bad.detail.mean < 0.7 * good.detail.mean and bad.identity.kept < good.identity.kept
    assert "reconstruction MSE 0.0000, PSNR 100.0 dB" in right.to_markdown()
    assert right.summary()["reconstruction_mse"] == 0 and right.summary()["Eyeglasses.on.decoded"] == 1.0
    small = measured("none", 32)
    assert small.edit("Eyeglasses", "on", "decoded").detail.n == 0  # of another size than the photo


def test_torch_networks_are_measured_in_evaluation_mode_without_noise():
    @dataclass
    class Out:
        mean: torch.Tensor
        y: torch.Tensor

    class Encoder(torch.nn.Module):
        def forward(self, image):
            assert not self.training
            return Out(image.flatten(1), image[:, :2, 0, 0])

    class Decoder(torch.nn.Module):
        def forward(self, z, y):
            assert not self.training
            assert y.shape == (len(z), 2)
            return z.view(-1, 3, 8, 8)

    model = TorchModel(Encoder(), Decoder(), NAMES, 8)
    crops = np.random.default_rng(0).random((3, 3, 8, 8), dtype=np.float32)
    encoding = model.encode(crops)
    assert encoding.z.shape == (3, 192) and not encoding.features
    decoded = model.decode(encoding.rows(np.array([2, 0])), np.zeros((2, 2)))
    assert np.array_equal(decoded.image, crops[[2, 0]]) and decoded.landmarks is None
