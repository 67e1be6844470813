"""The last part of a run: what the erasure erases, what the game wins, and who still moves."""

import dataclasses

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from torch import nn

from aif.train import losses
from aif.train.config import SettleConfig, TrainConfig, override
from aif.train.loop import make_optimiser
from aif.train.networks.modules import Networks
from aif.train.noise import draw_noise
from aif.train.presets import RESIDUAL
from aif.train.probe import probe
from aif.train.settle import erasure, factorize, settled_step, settles_at
from aif.train.step import Optimisers

COPIES = 40  # of each number among the features: a trunk's features are many and say things repeatedly


def drawn(n: int, numbers: int = 12, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers that tell two attributes: one by its mean, one by the size of a pair of numbers alone."""
    generator = torch.Generator().manual_seed(seed)
    y = (torch.rand(n, 2, generator=generator) < 0.5).float()
    features = torch.randn(n, numbers, generator=generator)
    features[:, 0] += 2 * y[:, 0]
    features[:, 1:3] *= (0.3 + 1.7 * y[:, 1])[:, None]
    return features, y


def read(features: torch.Tensor, y: torch.Tensor, kind: str) -> float:
    half = len(y) // 2
    z, label = features.numpy(), y.numpy()
    return probe(z[:half], label[:half], z[half:], label[half:], kind=kind).accuracy


@pytest.mark.parametrize("labels", ["as drawn", "twice the same", "one value only"])
def test_erasure_leaves_nothing_to_a_linear_reading(labels):
    z, y = drawn(2_000)
    if labels == "twice the same":
        y[:, 1] = y[:, 0]
    if labels == "one value only":
        y[:, 1] = 1
    matrix, offset = erasure(z, y)
    clean = z.double() @ matrix.T + offset
    told = (clean - clean.mean(0)).T @ (y.double() - y.double().mean(0)) / len(z)
    assert told.abs().max() < 1e-9
    assert torch.allclose(clean.mean(0), z.double().mean(0))
    moved = torch.eye(12, dtype=torch.float64) - matrix
    assert torch.linalg.matrix_rank(moved, atol=1e-8) == (2 if labels == "as drawn" else 1)


def test_erasure_without_anything_to_erase_is_the_identity():
    z, _ = drawn(500)
    matrix, offset = erasure(z, torch.ones(500, 1))
    assert torch.allclose(matrix, torch.eye(12, dtype=torch.float64)) and offset.abs().max() < 1e-9


def head_and_config(game_weight: float) -> tuple[nn.Linear, TrainConfig]:
    config = override(RESIDUAL, ["network.latent_size=12", "network.aux_hidden=64"])
    config = dataclasses.replace(config, settle=SettleConfig(at=0.5, game_steps=250, game_weight=game_weight))
    head = nn.Linear(12 * COPIES, 12)
    with torch.no_grad():
        head.weight.copy_(torch.eye(12).repeat(1, COPIES) / COPIES)
        head.bias.zero_()
    return head, config


def test_what_tells_nothing_is_kept():
    features, y = drawn(4_000)
    y = y[:, :1]
    head, config = head_and_config(0.1)
    factorize(head, features.repeat(1, COPIES), y, y, config)
    with torch.no_grad():
        z = head(features.repeat(1, COPIES))
    for kind in ("linear", "mlp"):
        assert read(features, y[:, 0], kind) > 0.8
        assert abs(read(z, y[:, 0], kind) - 0.5) < 0.06
    assert all(np.corrcoef(z[:, j], features[:, j])[0, 1] > 0.9 for j in range(3, 12))


def test_without_weight_there_is_no_game():
    features, y = drawn(100)
    head, config = head_and_config(0.0)
    before = head.weight.clone()
    factorize(head, features.repeat(1, COPIES), y, y, config)
    assert torch.equal(head.weight, before)


def test_the_game_leaves_the_callers_random_numbers_alone():
    features, y = drawn(600)
    head, config = head_and_config(0.1)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    factorize(
        head,
        features.repeat(1, COPIES),
        y,
        y,
        dataclasses.replace(config, settle=SettleConfig(at=0.5, game_steps=2)),
    )
    assert torch.equal(torch.rand(3), expected)


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
    networks = Networks(config.network, ("Smiling",), True, config.judges_y)
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
    ids=["reconstructs", "judged", "attributes judged"],
)
def test_only_decoder_and_discriminator_move_once_the_encoder_rests(settle, moved, terms):
    changed, found, _ = one_settled_step(**settle)
    assert (changed, set(found)) == (moved, terms)


def test_the_attribute_verdict_learns_from_real_faces_alone():
    """What the discriminator says of attributes is never trained on an edited face."""
    _, _, networks = one_settled_step(rate=1e-12, delta=1.0, edit_class=5.0)
    critic = networks.discriminator
    assert critic.y is not None and critic.y.bias.grad is not None
    found = critic.y.bias.grad.clone()
    critic.zero_grad()
    losses.classification(critic(IMAGE)[1], Y).backward()
    torch.testing.assert_close(found, critic.y.bias.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("at", "steps", "step"), [(1.0, 10, 10), (0.0, 10, 0), (0.77, 8, 6)])
def test_when_a_run_settles(at, steps, step):
    assert settles_at(dataclasses.replace(RESIDUAL, steps=steps, settle=SettleConfig(at=at))) == step
