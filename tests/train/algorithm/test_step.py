"""Who is moved by what: the gradient routing of Algorithm 1."""

import pytest
import torch

from aif.train.algorithm import losses
from aif.train.algorithm.step import frozen
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
def test_each_term_moves_its_players_only(staged, preset, term, moved):
    stage = staged(preset, **{**OFF, **term})
    stage.step()
    assert stage.moved() == moved


@pytest.mark.parametrize(("detach", "reaches_trunk"), [(True, False), (False, True)])
def test_class_loss_reaches_the_trunk_only_where_asked(staged, detach, reaches_trunk):
    stage = staged(AUTHORS, **{**OFF, "rho": 1.0, "detach_y_trunk": detach})
    stage.step()
    encoder = stage.networks.encoder
    assert encoder.y.weight.grad.abs().max() > 0
    trunk = [p.grad for p in encoder.trunk.parameters()]
    assert bool(max(g.abs().max() for g in trunk) > 0) is reaches_trunk


def test_encoder_ascends_what_the_auxiliary_descends(staged):
    """With the printed target the encoder's gradient is exactly minus that of L_aux."""
    stage = staged(PAPER, **{**OFF, "aux_weight": 1.0})
    n, aux = stage.networks, stage.networks.auxiliary
    stage.step()
    found = stage.gradients()
    n.zero_grad()
    l_aux = losses.auxiliary(aux(n.encoder(stage.image).sample(stage.noise.z)), stage.y)
    l_aux.backward()
    wanted = stage.gradients()
    torch.testing.assert_close(found["encoder"], -wanted["encoder"])
    torch.testing.assert_close(found["auxiliary"], wanted["auxiliary"])
    assert found["encoder"].abs().max() > 0


@pytest.mark.parametrize("which", ["prior", "flip", "ascend"])
def test_every_target_raises_the_auxiliary_loss(staged, which):
    """Descending the encoder's term makes A worse once A has learnt something."""
    stage = staged(PAPER, **OFF)
    n = stage.networks
    descend = torch.optim.Adam(n.auxiliary.parameters(), 1e-2)
    z = n.encoder(stage.image).mean.detach() * 50
    z = (z - z.mean(0)) / z.std(0)
    code = torch.nn.Parameter(z)
    for _ in range(100):
        loss = losses.auxiliary(n.auxiliary(code), stage.y)
        descend.zero_grad()
        loss.backward()
        descend.step()
    before = losses.auxiliary(n.auxiliary(code), stage.y).item()
    assert before < 0.1
    move = torch.optim.SGD([code], 0.5)
    for _ in range(20):
        move.zero_grad()
        losses.encoder_adversary(n.auxiliary(code), stage.y, stage.rate, which).backward()
        move.step()
    assert losses.auxiliary(n.auxiliary(code), stage.y).item() > before * 1.02


def test_classification_of_reconstructions_never_reaches_the_decoder(staged):
    plain = staged(PAPER, **{**OFF, "rho": 1.0})
    with_it = staged(PAPER, **{**OFF, "rho": 1.0, "class_on_reconstruction": True})
    plain.step()
    terms = with_it.step()
    assert "class_rec" in terms
    assert with_it.gradients()["decoder"].abs().max() == 0
    assert not torch.allclose(with_it.gradients()["encoder"], plain.gradients()["encoder"])


@pytest.mark.parametrize(
    ("given", "reaches", "expected"),
    [("predicted", True, True), ("predicted", False, False), ("label", True, False)],
)
def test_reconstruction_reaches_the_y_head_only_where_asked(staged, given, reaches, expected):
    stage = staged(AUTHORS, **{**OFF, "rec_weight": 1.0, "rec_reaches_y": reaches, "decoder_y": given})
    stage.step()
    gradient = stage.networks.encoder.y.weight.grad
    assert (gradient is not None and bool(gradient.abs().max() > 0)) is expected


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
    networks = Networks(config, 3, detach_y=True, predicts_y=False)
    code = networks.encoder(torch.rand(2, 3, size, size))
    assert code.mean.shape == code.log_variance.shape == (2, 5) and code.y.shape == (2, 3)
    image = networks.decoder(code.mean, code.y)
    assert image.shape == (2, 3, size, size) and image.min() >= 0 and image.max() <= 1
    assert networks.discriminator(image)[0].shape == (2,) and networks.auxiliary(code.mean).shape == (2, 3)
