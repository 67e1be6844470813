"""A discriminator that judges patches, and the losses that look where something was drawn."""

import dataclasses

import pytest
import torch

from aif.train import losses
from aif.train.config import override
from aif.train.networks.modules import Discriminator
from aif.train.presets import BEST, RESIDUAL

SHAPE = dataclasses.replace(RESIDUAL.network, width=8, patches=True)
PLACES = 1 + 16 * 16 + 8 * 8


@pytest.fixture(scope="module")
def critic():
    torch.manual_seed(0)
    return Discriminator(SHAPE, 2, judge_y=True)


@pytest.fixture(scope="module")
def face():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_one_logit_for_the_picture_and_one_for_each_place(critic, face):
    real, y, maps = critic.look(face)
    assert real.shape == (2, PLACES) and y.shape == (2, 2)
    assert [m.shape[-1] for m in maps] == [32, 16, 8, 4]
    assert torch.equal(critic(face)[0], real)
    plain = Discriminator(dataclasses.replace(SHAPE, patches=False), 2, judge_y=True)
    assert plain(face)[0].shape == (2,) and plain.attention(face[:, :1]) is None


def test_a_place_sees_its_surroundings_only(critic, face):
    other = face.clone()
    other[:, :, 40:, 40:] = 0
    change = (critic(face)[0] - critic(other)[0]).abs()
    fine, coarse = change[:, 1:257].reshape(2, 16, 16), change[:, 257:].reshape(2, 8, 8)
    assert (fine[:, :8, :8] == 0).all() and (coarse[:, :3, :3] == 0).all()
    assert (fine[:, 10:, 10:] > 0).all() and (coarse[:, 5:, 5:] > 0).all() and (change[:, 0] > 0).all()


def test_places_count_by_what_was_drawn_there(critic):
    drawn = torch.zeros(2, 1, 64, 64)
    drawn[0, :, :8, :8] = 1
    drawn[1] = 1
    found = critic.attention(drawn)
    assert found.shape == (2, PLACES)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(2))
    assert found[0, 0] == pytest.approx(1 / 3) and found[0, 257] == pytest.approx(1 / 3)
    assert (found[0] > 0).sum() == 1 + 4 + 1  # the picture, four fine places, a coarse one
    assert found[1, 1:257].tolist() == pytest.approx([1 / 3 / 256] * 256)


@pytest.mark.parametrize("loss", [losses.gan_generator, losses.gan_real, losses.gan_fake])
def test_losses_attend_to_what_counts(loss):
    logits = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    torch.testing.assert_close(loss(logits, torch.full((2, 2), 0.5)), loss(logits.flatten()))
    first = loss(logits, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    torch.testing.assert_close(first, loss(logits[:, 0]))


def test_maps_are_compared_relative_to_their_size():
    real = [torch.full((2, 1, 2, 2), 2.0), torch.full((2, 1, 4, 4), 100.0)]
    made = [real[0] + 1, real[1] - 50]
    assert losses.map_distance(real, real).item() == 0
    assert losses.map_distance(made, real).item() == pytest.approx(0.5)
    weight = torch.tensor([3.0, 1.0])[:, None, None, None]
    assert losses.map_distance(made, real, weight).item() == pytest.approx(1.0)


def test_the_face_itself_is_the_goal_and_not_moved():
    made, real = torch.rand(1, 1, 2, 2, requires_grad=True), torch.rand(1, 1, 2, 2, requires_grad=True)
    losses.map_distance([made], [real]).backward()
    assert made.grad is not None and real.grad is None


def test_the_preset_uses_them():
    assert BEST.network.patches and BEST.settle.matching > 0
    assert not override(BEST, ["network.patches=false"]).network.patches
