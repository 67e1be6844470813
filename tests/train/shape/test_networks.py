"""Before any training the networks are the linear baseline."""

import pytest
import torch

from aif.train.shape.best.config import ShapeConfig
from aif.train.shape.best.refit import refit
from aif.train.shape.best.state import beginning
from aif.train.shape.faces.store import FaceStore
from aif.train.shape.linear.fit import LinearConfig, inner_face


@pytest.fixture
def networks(small):
    return beginning(small.linear, small.faces.attributes, ShapeConfig(reconstruct_steps=1))


def test_untrained_networks_are_the_baseline(small, networks):
    encoder, decoder = (network.eval() for network in networks)
    faces = FaceStore(small.faces, small.crops, torch.device("cpu")).batch(torch.arange(8))
    code, usual = encoder(faces.texture, faces.points), small.linear[0](faces.texture, faces.points)
    assert torch.allclose(code.mean, usual.mean, atol=1e-4)
    assert torch.allclose(code.y, usual.y, atol=1e-4)
    texture, points, detail = decoder(usual.mean, usual.y)
    texture_there, points_there, detail_there = small.linear[1](usual.mean, usual.y)
    assert torch.allclose(detail, detail_there, atol=1e-5)
    assert torch.allclose(points, points_there, atol=1e-5)
    assert (texture - texture_there).abs().mean() < 0.02


@pytest.mark.parametrize(("attribute", "changes"), [(0, False), (1, False), (2, True)])
def test_before_training_only_an_attribute_of_the_skins_tone_moves_the_tone(
    small, networks, attribute, changes
):
    decoder = networks[1].eval()
    z, y = torch.zeros(1, decoder.linear.coarse.in_features), torch.full((1, 3), 0.2)
    other = y.clone()
    other[0, attribute] = 0.9
    weight = inner_face(small.faces.size)
    before, after = ((decoder.decode(z, value)[0] * weight).sum(dim=(2, 3)) for value in (y, other))
    assert torch.allclose(before, after, atol=2e-3) != changes


def test_exaggeration_leaves_the_inside_of_the_mouth(small, networks):
    decoder = networks[1].eval()
    z = torch.zeros(1, decoder.linear.coarse.in_features)
    usual, more = (torch.tensor([[value, 0.0, 0.0]]) for value in (1.0, 3.0))
    inside = decoder.linear.mouth > 0.99
    difference = (decoder.decode(z, more)[0] - decoder.decode(z, usual)[0]).abs()
    assert inside.any()
    assert difference[0, 0][inside[0, 0]].max() < 1e-3
    assert difference.max() > 0


def test_refitting_finds_the_directions_of_y_again(small, networks):
    encoder, decoder = networks
    store, rows = FaceStore(small.faces, small.crops, torch.device("cpu")), torch.arange(len(small.faces))
    faces = store.batch(rows)
    z = encoder(faces.texture, faces.points).mean
    goal = small.linear[1]
    with torch.no_grad():
        decoder.linear.fine.weight.zero_()
        decoder.linear.points.weight.mul_(0.3)
    refit((encoder, decoder), store, rows, z, LinearConfig().ridge)
    assert torch.allclose(decoder.linear.points.weight, goal.points.weight, atol=1e-4)
    assert torch.allclose(decoder.linear.fine.weight, goal.fine.weight, atol=0.02)
    assert decoder.linear.fine.weight.abs().max() > 0.2
