"""The other methods: who is moved by what, and what is conditioned on y."""

import dataclasses

import pytest
import torch

from aif.runtime.errors import ConfigError
from aif.train.config import NetworkConfig, SettleConfig
from aif.train.networks.modules import Networks
from aif.train.presets import PRESETS


def networks(**config: object) -> Networks:
    torch.manual_seed(0)
    shape = NetworkConfig(kind="residual", width=4, latent_size=5, aux_hidden=8, **config)
    return Networks(shape, 2, detach_y=False, predicts_y=False).eval()


@pytest.mark.parametrize(
    ("preset", "step", "moved"),
    [
        ("cvae-gan", 0, {"encoder", "decoder", "discriminator"}),
        ("icgan", 0, {"decoder", "discriminator"}),
        ("icgan", 25_432, {"encoder"}),
        ("fader", 25_432, {"encoder", "decoder", "auxiliary"}),
        ("vae", 0, {"encoder", "decoder"}),
        ("beta-vae", 0, {"encoder", "decoder"}),
        ("dip-vae-1", 0, {"encoder", "decoder"}),
        ("dip-vae-2", 0, {"encoder", "decoder"}),
        ("classifier", 0, {"encoder"}),
        ("residual-no-aux", 0, {"encoder", "decoder", "discriminator"}),
        ("residual-no-gan", 0, {"encoder", "decoder", "auxiliary"}),
    ],
)
def test_who_is_moved(staged, preset, step, moved):
    stage = staged(PRESETS[preset])
    stage.step(step)
    assert stage.moved() == moved


@pytest.mark.parametrize("preset", ["cvae-gan", "fader", "vae", "icgan"])
def test_reading_y_moves_nothing_that_makes_z(staged, preset):
    """L_class alone reaches neither the trunk nor the layers of z: the method itself has no classifier."""
    off = {name: 0.0 for name in ("rec_weight", "alpha", "aux_weight", "matching")}
    stage = staged(PRESETS[preset], **off, rho=1.0)
    stage.step(25_432)
    encoder = stage.networks.encoder
    reads_z = preset in ("fader", "vae")  # icgan's z has its own loss, cvae-gan's features still match
    made = [*encoder.trunk.parameters(), *encoder.mean.parameters()] if reads_z else []
    assert all(p.grad is None or p.grad.abs().max() == 0 for p in made)
    assert encoder.y.weight.grad.abs().max() > 0


def test_a_code_made_knowing_y_takes_the_label_in_training_and_the_prediction_in_use():
    encoder = networks(y_to=("encoder", "decoder"), y_head="own").encoder
    image = torch.rand(4, 3, 64, 64)
    predicted = (encoder(image).y_logits > 0).float()
    torch.testing.assert_close(encoder(image).mean, encoder(image, predicted).mean)
    assert not torch.allclose(encoder(image, 1 - predicted).mean, encoder(image, predicted).mean)


@pytest.mark.parametrize(("y_to", "changes"), [((), False), (("decoder",), True)])
@pytest.mark.parametrize("kind", ["dcgan", "residual"])
def test_a_decoder_that_is_not_conditioned_on_y_ignores_it(kind, y_to, changes):
    config = NetworkConfig(kind=kind, width=4, latent_size=5, aux_hidden=8, y_to=y_to)
    decoder = Networks(config, 2, detach_y=True, predicts_y=False).eval().decoder
    z = torch.randn(3, 5)
    off, on = (decoder(z, torch.full((3, 2), value)) for value in (0.0, 1.0))
    assert bool((off - on).abs().max() > 0) is changes


@pytest.mark.parametrize(("y_to", "changes"), [(("decoder",), False), (("discriminator",), True)])
def test_a_discriminator_conditioned_on_y_answers_by_it(y_to, changes):
    critic = networks(y_to=y_to).discriminator
    image = torch.rand(3, 3, 64, 64)
    off, on = (critic(image, torch.full((3, 2), value))[0] for value in (0.0, 1.0))
    assert bool((off - on).abs().max() > 0) is changes


def test_a_deterministic_code_has_no_noise(staged):
    """What Fader Networks decode does not depend on the noise of the step."""
    preset = dataclasses.replace(PRESETS["fader"])
    quiet, loud = staged(preset), staged(preset)
    loud.noise = dataclasses.replace(loud.noise, z=loud.noise.z + 100)
    assert quiet.step()["rec"] == loud.step()["rec"]
    assert staged(PRESETS["residual"]).step()["rec"].isfinite()


@pytest.mark.parametrize(
    ("preset", "message"), [("vae", "goes to the decoder"), ("icgan", "goes to the decoder")]
)
def test_other_methods_do_not_freeze_the_backbone(preset, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(PRESETS[preset], settle=SettleConfig(at=0.5))


def test_a_code_cannot_know_what_is_read_from_it():
    with pytest.raises(ConfigError, match="read from z"):
        NetworkConfig(y_to=("encoder",), y_head="code")
