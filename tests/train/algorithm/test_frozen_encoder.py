"""The last part of a run: which networks still move, and what each term is trained on."""

import dataclasses

import pytest
import torch

from aif.train.config import FreezeConfig
from aif.train.presets import RESIDUAL


@pytest.mark.parametrize(
    ("freeze", "moved", "terms"),
    [
        ({}, {"decoder"}, {"rec"}),
        ({"delta": 1.0}, {"decoder", "discriminator"}, {"rec", "gan", "gan_real", "gan_fake"}),
        (
            {"delta": 1.0, "edit_class": 1.0, "edit_keep": 1.0},
            {"decoder", "discriminator"},
            {"rec", "gan", "gan_real", "gan_fake", "edit_class", "edit_keep", "discriminator_class"},
        ),
    ],
    ids=["reconstructs", "discriminator", "attributes"],
)
def test_only_decoder_and_discriminator_move_once_the_encoder_is_frozen(one_step, freeze, moved, terms):
    step = one_step(dataclasses.replace(RESIDUAL, freeze=FreezeConfig(at=0.0, **freeze)))
    batch_norm = step.networks.encoder.trunk.blocks[0].norm1.running_mean.clone()
    assert set(step.step()) == terms
    assert step.moved() == moved
    assert torch.equal(batch_norm, step.networks.encoder.trunk.blocks[0].norm1.running_mean)


def test_the_discriminator_learns_attributes_from_real_faces_alone(one_step):
    """And never from an edited face."""
    step = one_step(dataclasses.replace(RESIDUAL, freeze=FreezeConfig(at=0.0, delta=1.0, edit_class=5.0)))
    step.step()
    discriminator = step.networks.discriminator
    found = discriminator.y.bias.grad.clone()
    probability = discriminator(step.batch.image).y_logits.sigmoid()
    torch.testing.assert_close(found, (probability - step.batch.y).mean(0), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("at", "steps", "step"), [(1.0, 10, 10), (0.0, 10, 0), (0.77, 8, 6)])
def test_when_the_encoder_is_frozen(at, steps, step):
    assert dataclasses.replace(RESIDUAL, steps=steps, freeze=FreezeConfig(at=at)).freezes_at == step
