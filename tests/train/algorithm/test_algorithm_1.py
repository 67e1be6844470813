"""Which network each loss moves: of Algorithm 1, and once the encoder is frozen."""

import dataclasses

import pytest
import torch

from aif.train.config import FreezeConfig, NetworkConfig
from aif.train.networks.modules import Networks
from aif.train.presets import AUTHORS, PAPER, RESIDUAL

OFF = {"rec_weight": 0.0, "alpha": 0.0, "rho": 0.0, "delta": 0.0, "aux_weight": 0.0}


@pytest.mark.parametrize("preset", [AUTHORS, RESIDUAL], ids=lambda p: p.preset)
@pytest.mark.parametrize(
    ("term", "moved"),
    [
        ({"rec_weight": 1.0}, {"encoder", "decoder"}),
        ({"alpha": 1.0}, {"encoder"}),
        ({"rho": 1.0}, {"encoder"}),
        ({"delta": 1.0}, {"encoder", "decoder", "discriminator"}),
        ({"aux_weight": 1.0, "aux_ramp_steps": 0}, {"encoder", "auxiliary"}),
    ],
    ids=["rec", "kl", "class", "gan", "aux"],
)
def test_each_term_moves_its_networks_only(one_step, preset, term, moved):
    step = one_step(preset, **{**OFF, **term})
    step.step()
    assert step.moved() == moved


@pytest.mark.parametrize(
    ("settings", "part", "reached"),
    [
        ({"rho": 1.0, "detach_y": True}, "trunk", False),
        ({"rho": 1.0, "detach_y": False}, "trunk", True),
        ({"rho": 1.0, "detach_y": True}, "y", True),
        ({"rec_weight": 1.0, "decoder_y": "predicted"}, "y", True),
        ({"rec_weight": 1.0, "decoder_y": "label"}, "y", False),
    ],
)
def test_what_reaches_which_part_of_the_encoder(one_step, settings, part, reached):
    step = one_step(AUTHORS, **{**OFF, **settings})
    step.step()
    gradients = [p.grad for p in getattr(step.networks.encoder, part).parameters()]
    assert any(g is not None and bool(g.abs().max() > 0) for g in gradients) is reached


def test_encoder_ascends_what_the_auxiliary_network_descends(one_step):
    """With the printed target the encoder's gradient is exactly minus that of L_aux."""
    step = one_step(PAPER, **{**OFF, "aux_weight": 1.0})
    n, batch = step.networks, step.batch
    step.step()
    found = step.gradients()
    n.zero_grad()
    z = n.encoder(batch.image).sample(batch.noise.z)
    bce = torch.nn.functional.binary_cross_entropy_with_logits(n.auxiliary(z), batch.y, reduction="none")
    bce.sum(1).mean().backward()
    wanted = step.gradients()
    torch.testing.assert_close(found["encoder"], -wanted["encoder"])
    torch.testing.assert_close(found["auxiliary"], wanted["auxiliary"])
    assert found["encoder"].abs().max() > 0


def test_classification_of_reconstructions_never_reaches_the_decoder(one_step):
    plain = one_step(PAPER, **{**OFF, "rho": 1.0})
    with_it = one_step(PAPER, **{**OFF, "rho": 1.0, "class_on_reconstruction": True})
    plain.step()
    assert "class_rec" in with_it.step()
    assert with_it.gradients()["decoder"].abs().max() == 0
    assert not torch.allclose(with_it.gradients()["encoder"], plain.gradients()["encoder"])


@pytest.mark.parametrize("size", [64, 128, 256])
@pytest.mark.parametrize("kind", ["dcgan", "residual"])
def test_networks_at_every_size(kind, size):
    config = NetworkConfig(kind=kind, image_size=size, width=4, latent_size=5, inject_y=True, aux_hidden=8)
    networks = Networks(config, 3, predicts_y=False)
    code = networks.encoder(torch.rand(2, 3, size, size))
    assert code.mean.shape == code.log_variance.shape == (2, 5) and code.y.shape == (2, 3)
    image = networks.decoder(code.mean, code.y)
    assert image.shape == (2, 3, size, size) and image.min() >= 0 and image.max() <= 1
    assert networks.discriminator(image).real.shape == (2,) and networks.auxiliary(code.mean).shape == (2, 3)


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
    step = one_step(dataclasses.replace(RESIDUAL, freeze=FreezeConfig(at=0.0, delta=1.0, edit_class=5.0)))
    step.step()
    discriminator = step.networks.discriminator
    found = discriminator.y.bias.grad.clone()
    probability = discriminator(step.batch.image).y_logits.sigmoid()
    torch.testing.assert_close(found, (probability - step.batch.y).mean(0), rtol=1e-3, atol=1e-5)
