"""The other methods: which networks they move, and what is conditioned on y."""

import dataclasses

import pytest
import torch

from aif.train.config import NetworkConfig
from aif.train.networks.modules import Networks
from aif.train.presets import PRESETS


def networks(**config):
    torch.manual_seed(0)
    shape = NetworkConfig(**{"kind": "residual", "width": 4, "latent_size": 5, "aux_hidden": 8, **config})
    return Networks(shape, 2, predicts_y=False).eval()


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
def test_which_networks_move(one_step, preset, step, moved):
    made = one_step(PRESETS[preset])
    made.step(step)
    assert made.moved() == moved


@pytest.mark.parametrize("preset", ["fader", "vae"])
def test_predicting_y_moves_nothing_that_makes_z(one_step, preset):
    """L_class alone reaches neither the trunk nor the layers of z: the method itself has no classifier."""
    with_it, without = (one_step(PRESETS[preset], rho=rho) for rho in (1.0, 0.0))
    for made in (with_it, without):
        made.step(25_432)
    for part in ("trunk", "mean"):
        one, other = (getattr(made.networks.encoder, part).parameters() for made in (with_it, without))
        assert all(torch.equal(a.grad, b.grad) for a, b in zip(one, other, strict=True))
    assert with_it.networks.encoder.y.weight.grad.abs().max() > 0


def test_an_encoder_conditioned_on_y_takes_the_label_in_training_and_the_prediction_in_use():
    encoder = networks(y_to=("encoder", "decoder"), y_head="own").encoder
    image = torch.rand(4, 3, 64, 64)
    predicted = (encoder(image).y_logits > 0).float()
    torch.testing.assert_close(encoder(image).mean, encoder(image, predicted).mean)
    assert not torch.allclose(encoder(image, 1 - predicted).mean, encoder(image, predicted).mean)


@pytest.mark.parametrize(
    ("kind", "y_to"),
    [
        ("residual", ()),
        ("dcgan", ()),
        ("residual", ("decoder",)),
        ("dcgan", ("decoder",)),
        ("residual", ("discriminator",)),
    ],
)
def test_what_is_conditioned_on_y_depends_on_it(kind, y_to):
    made = networks(kind=kind, y_to=y_to)
    z, image = torch.randn(3, 5), torch.rand(3, 3, 64, 64)
    off, on = (torch.full((3, 2), value) for value in (0.0, 1.0))
    assert torch.equal(made.decoder(z, off), made.decoder(z, on)) is ("decoder" not in y_to)
    real = [made.discriminator(image, y).real for y in (off, on)]
    assert torch.equal(*real) is ("discriminator" not in y_to)


def test_a_deterministic_code_has_no_noise(one_step):
    """What Fader Networks decode does not depend on the noise of the step."""
    quiet, loud = one_step(PRESETS["fader"]), one_step(PRESETS["fader"])
    noise = dataclasses.replace(loud.batch.noise, z=loud.batch.noise.z + 100)
    loud.batch = dataclasses.replace(loud.batch, noise=noise)
    assert quiet.step()["rec"] == loud.step()["rec"]


def test_icgans_discriminator_learns_which_label_belongs_to_a_face(one_step):
    """Without wrong labels as fakes, it would tell generated faces by their looks alone."""
    made = one_step(PRESETS["icgan"], rate=2e-3)
    y = made.batch.y
    image = made.batch.image * 0.2 + 0.6 * y[:, :1, None, None]  # the first attribute is brightness
    noise = dataclasses.replace(made.batch.noise, flip=torch.tensor([[True, False]]).expand(8, 2))
    made.batch = dataclasses.replace(made.batch, image=image, noise=noise)
    for number in range(20):
        made.step(number)
    other = torch.where(noise.flip, 1 - y, y)
    with torch.no_grad():
        right, wrong = (made.networks.discriminator(image, labels).real for labels in (y, other))
    assert (right > 0).all() and (wrong < 0).all()
