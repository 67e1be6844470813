"""Which network each loss of Algorithm 1 moves."""

import pytest
import torch

from aif.train.algorithm import losses
from aif.train.algorithm.update import frozen
from aif.train.config import NetworkConfig
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
    ("preset", "settings", "part", "reached"),
    [
        (AUTHORS, {"rho": 1.0, "detach_y": True}, "trunk", False),
        (AUTHORS, {"rho": 1.0, "detach_y": False}, "trunk", True),
        (AUTHORS, {"rho": 1.0, "detach_y": True}, "y", True),
        (AUTHORS, {"rec_weight": 1.0, "decoder_y": "predicted"}, "y", True),
        (AUTHORS, {"rec_weight": 1.0, "decoder_y": "label"}, "y", False),
    ],
)
def test_what_reaches_which_part_of_the_encoder(one_step, preset, settings, part, reached):
    step = one_step(preset, **{**OFF, **settings})
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


@pytest.mark.parametrize("target", ["prior", "flip", "ascend"])
def test_every_target_raises_the_auxiliary_loss(target):
    """Descending the encoder's term makes a network worse that predicts y well."""
    y = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(4, 1)
    code = torch.nn.Parameter(2 * y - 1)
    move = torch.optim.SGD([code], 0.5)
    before = losses.auxiliary(5 * code, y).item()
    for _ in range(5):
        move.zero_grad()
        losses.encoder_adversary(5 * code, y, torch.tensor([0.5, 0.5]), target).backward()
        move.step()
    assert losses.auxiliary(5 * code, y).item() > before * 1.02


def test_classification_of_reconstructions_never_reaches_the_decoder(one_step):
    plain = one_step(PAPER, **{**OFF, "rho": 1.0})
    with_it = one_step(PAPER, **{**OFF, "rho": 1.0, "class_on_reconstruction": True})
    plain.step()
    assert "class_rec" in with_it.step()
    assert with_it.gradients()["decoder"].abs().max() == 0
    assert not torch.allclose(with_it.gradients()["encoder"], plain.gradients()["encoder"])


def test_frozen_gives_parameters_back_after_an_error():
    module = torch.nn.Linear(1, 1)
    with pytest.raises(ZeroDivisionError), frozen(module):
        assert not module.weight.requires_grad
        raise ZeroDivisionError
    assert module.weight.requires_grad


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
