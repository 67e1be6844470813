"""The last part of a run: who still moves, and what each term is trained on."""

import dataclasses

import pytest
import torch
from lightning.fabric import Fabric

from aif.train.algorithm import losses
from aif.train.algorithm.noise import draw_noise
from aif.train.algorithm.settle import game_of, settled_step
from aif.train.algorithm.step import Optimisers
from aif.train.config import SettleConfig, override
from aif.train.networks.modules import Networks
from aif.train.presets import RESIDUAL
from aif.train.training.players import make_optimiser
from aif.train.training.run import networks_of

IMAGE = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
Y = torch.tensor([[0.0], [1.0], [0.0], [1.0]])


def one_settled_step(
    rate: float = 1e-3, **settle: float
) -> tuple[set[str], dict[str, torch.Tensor], Networks]:
    """Which networks a step changes, its terms, and the networks afterwards."""
    torch.manual_seed(0)
    config = override(
        RESIDUAL,
        [
            *("network.width=4", "network.latent_size=6", "optimiser.batch_size=4", "precision=32-true"),
            f"optimiser.learning_rate={rate}",
        ],
    )
    config = dataclasses.replace(config, settle=SettleConfig(at=0.5, **settle))
    networks = networks_of(config)
    before = {name: value.clone() for name, value in networks.state_dict().items()}
    fabric = Fabric(accelerator="cpu", devices=1)
    autoencoder = [*networks.encoder.parameters(), *networks.decoder.parameters()]
    others = (networks.discriminator, networks.auxiliary)
    made = [
        make_optimiser(config.optimiser, p) for p in (autoencoder, *(list(o.parameters()) for o in others))
    ]
    optimisers = Optimisers(*(fabric.setup_optimizers(optimiser) for optimiser in made))
    noise = draw_noise(config, 0, slice(None), torch.device("cpu"))
    terms = settled_step(networks, optimisers, IMAGE, Y, noise, config, 0, fabric)
    changed = {n.split(".")[0] for n, v in networks.state_dict().items() if not torch.equal(v, before[n])}
    return changed, terms, networks


@pytest.mark.parametrize(
    ("settle", "moved", "terms"),
    [
        ({}, {"decoder"}, {"rec"}),
        ({"delta": 1.0}, {"decoder", "discriminator"}, {"rec", "gan", "gan_real", "gan_fake"}),
        (
            {"delta": 1.0, "edit_class": 1.0, "edit_keep": 1.0},
            {"decoder", "discriminator"},
            {"rec", "gan", "gan_real", "gan_fake", "edit_class", "edit_keep", "critic_class"},
        ),
    ],
    ids=["reconstructs", "discriminator", "attributes"],
)
def test_only_decoder_and_discriminator_move_once_the_encoder_is_frozen(settle, moved, terms):
    changed, found, _ = one_settled_step(**settle)
    assert (changed, set(found)) == (moved, terms)


def test_the_discriminator_learns_attributes_from_real_faces_alone():
    """And never from an edited face."""
    _, _, networks = one_settled_step(rate=1e-12, delta=1.0, edit_class=5.0)
    critic = networks.discriminator
    assert critic.y is not None and critic.y.bias.grad is not None
    found = critic.y.bias.grad.clone()
    critic.zero_grad()
    losses.classification(critic(IMAGE)[1], Y).backward()
    torch.testing.assert_close(found, critic.y.bias.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("at", "steps", "step"), [(1.0, 10, 10), (0.0, 10, 0), (0.77, 8, 6)])
def test_when_the_backbone_is_frozen(at, steps, step):
    assert dataclasses.replace(RESIDUAL, steps=steps, settle=SettleConfig(at=at)).freezes_at == step


def test_the_game_takes_the_runs_own_settings():
    config = override(RESIDUAL, ["settle.game_steps=7", "network.aux_hidden=9", "seed=3"])
    game = game_of(config)
    assert (game.steps, game.hidden, game.seed, game.weight) == (7, 9, 3, config.settle.game_weight)
