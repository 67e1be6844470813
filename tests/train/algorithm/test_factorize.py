"""Cleaning z of y: what the erasure erases, what the game takes, and what is kept."""

import numpy as np
import pytest
import torch
from torch import nn

from aif.train.algorithm.factorize import Game, erasure, factorize
from aif.train.evaluators.probe import probe

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
