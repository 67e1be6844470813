"""Cleaning z of y: what the erasure erases, what the game takes, what is kept; and the point of the method:
with L_aux a fresh probe of z is left guessing, without it the probe reads y."""

import numpy as np
import pytest
import torch
from torch import nn

from aif.train.algorithm.factorize import Game, erasure, factorize
from aif.train.config import override
from aif.train.data.batch import evaluation_batches
from aif.train.data.cache import cached
from aif.train.data.synthetic import SyntheticFaces
from aif.train.evaluators.probe import probe
from aif.train.presets import WHOLE
from aif.train.training.loop import LoopOptions, train
from aif.train.training.run import load_run

COPIES = 40  # of each number among the features: a backbone's features are many and say things repeatedly


def sampled(n, numbers=12, seed=0):
    """Numbers that tell two attributes: one by its mean, one by the size of a pair of numbers alone."""
    generator = torch.Generator().manual_seed(seed)
    y = (torch.rand(n, 2, generator=generator) < 0.5).float()
    features = torch.randn(n, numbers, generator=generator)
    features[:, 0] += 2 * y[:, 0]
    features[:, 1:3] *= (0.3 + 1.7 * y[:, 1])[:, None]
    return features, y


def read(features, y, kind):
    half = len(y) // 2
    z, label = features.numpy(), y.numpy()
    return probe(z[:half], label[:half], z[half:], label[half:], kind=kind).accuracy


@pytest.mark.parametrize("labels", ["two", "twice the same", "one value only"])
def test_erasure_leaves_nothing_to_a_linear_reading(labels):
    z, y = sampled(2_000)
    if labels == "twice the same":
        y[:, 1] = y[:, 0]
    if labels == "one value only":
        y[:, 1] = 1
    matrix, offset = erasure(z, y)
    clean = z.double() @ matrix.T + offset
    left = (clean - clean.mean(0)).T @ (y.double() - y.double().mean(0)) / len(z)
    assert left.abs().max() < 1e-9
    assert torch.allclose(clean.mean(0), z.double().mean(0))
    moved = torch.eye(12, dtype=torch.float64) - matrix
    assert torch.linalg.matrix_rank(moved, atol=1e-8) == (2 if labels == "two" else 1)


def test_erasure_without_anything_to_erase_is_the_identity():
    z, _ = sampled(500)
    matrix, offset = erasure(z, torch.ones(500, 1))
    assert torch.allclose(matrix, torch.eye(12, dtype=torch.float64)) and offset.abs().max() < 1e-9


def averaging_head():
    """z is the mean of each number's copies."""
    head = nn.Linear(12 * COPIES, 12)
    with torch.no_grad():
        head.weight.copy_(torch.eye(12).repeat(1, COPIES) / COPIES)
        head.bias.zero_()
    return head


def test_what_tells_nothing_is_kept():
    features, y = sampled(4_000)
    y = y[:, :1]
    head = averaging_head()
    factorize(head, features.repeat(1, COPIES), y, y, Game(steps=250, hidden=64, dropout=0.0))
    with torch.no_grad():
        z = head(features.repeat(1, COPIES))
    for kind in ("linear", "mlp"):
        assert read(features, y[:, 0], kind) > 0.8
        assert abs(read(z, y[:, 0], kind) - 0.5) < 0.06
    assert all(np.corrcoef(z[:, j], features[:, j])[0, 1] > 0.9 for j in range(3, 12))


def test_without_weight_there_is_no_game():
    features, y = sampled(100)
    head = averaging_head()
    before = head.weight.clone()
    factorize(head, features.repeat(1, COPIES), y, y, Game(weight=0.0))
    assert torch.equal(head.weight, before)


def test_the_game_leaves_the_callers_random_numbers_alone_and_repeats_itself():
    features, y = sampled(600)
    torch.manual_seed(7)
    expected = torch.rand(3)
    found = []
    for seed in (0, 0, 1):
        head = averaging_head()
        torch.manual_seed(7)
        factorize(head, features.repeat(1, COPIES), y, y, Game(steps=2, hidden=16, seed=seed))
        assert torch.equal(torch.rand(3), expected)
        found.append(head.weight.detach())
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


ATTRIBUTE = "Wearing_Hat"
SMALL = [
    *("network.width=8", "network.latent_size=8", "network.aux_hidden=128", "optimiser.learning_rate=0.001"),
    *("data.flip=false", "data.jitter=0", "objective.aux_ramp_steps=50", "precision=32-true", "steps=80"),
    *("freeze.edit_class=0", "freeze.edit_keep=0", "freeze.delta=0", "freeze.game_steps=200"),
    "freeze.game_weight=1",
    f'data.attributes=["{ATTRIBUTE}"]',
]
WITHOUT = ["objective.aux_weight=0", "freeze.game_weight=0"]


def codes(run, faces):
    """Posterior means, and the mean absolute error of reconstructions."""
    found, error = [], []
    for batch in evaluation_batches(faces, 64, 100):
        image = batch.images.float() / 255
        with torch.no_grad():
            code = run.encoder(image)
            error.append((run.decoder(code.mean, code.y) - image).abs().mean().item())
        found.append(code.mean.numpy())
    return np.concatenate(found), float(np.mean(error))


@pytest.mark.slow
def test_l_aux_and_only_l_aux_takes_the_attribute_out_of_z(tmp_path):
    faces = cached(SyntheticFaces(1500, attributes=(ATTRIBUTE,)), tmp_path)
    held_out = cached(SyntheticFaces(500, attributes=(ATTRIBUTE,), first=100_000), tmp_path)
    options = LoopOptions(accelerator="cpu", workers=0, cache=False, sample_every=0)
    accuracy, error = {}, {}
    for name, changes in (("with", []), ("without", WITHOUT)):
        config = override(WHOLE, [*SMALL, *changes])
        train(config, tmp_path / name, faces, held_out, options)
        run = load_run(tmp_path / name)
        z_train, _ = codes(run, faces)
        z_val, error[name] = codes(run, held_out)
        for kind in ("linear", "mlp"):
            result = probe(z_train, faces.labels[:, 0], z_val, held_out.labels[:, 0], kind=kind)
            accuracy[name, kind] = result.accuracy
            majority = result.majority_rate
    assert accuracy["without", "linear"] > majority + 0.2
    assert accuracy["without", "mlp"] > majority + 0.35
    assert accuracy["with", "linear"] < majority + 0.05
    assert accuracy["with", "mlp"] < majority + 0.12  # 500 faces: give or take 0.04
    assert error["with"] < 1.5 * error["without"]  # z still describes the face
