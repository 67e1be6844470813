"""Erasure of y from z in every step: what it converges to, and that it stands still in use."""

import pytest
import torch

from aif.train.algorithm.factorize import erasure
from aif.train.networks.modules import Erasure

SIZE, ATTRIBUTES = 12, 2


def codes(count: int, seed: int):
    """Codes (N, 12) that tell two attributes linearly, in correlated numbers; and the labels."""
    random = torch.Generator().manual_seed(seed)
    y = (torch.rand(count, ATTRIBUTES, generator=random) < torch.tensor([0.5, 0.2])).float()
    mixing = torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    direction = torch.randn(ATTRIBUTES, SIZE, generator=torch.Generator().manual_seed(2))
    z = torch.randn(count, SIZE, generator=random) @ mixing + 2 * y @ direction + 3
    return z, y


@pytest.fixture(scope="module")
def learnt():
    layer = Erasure(SIZE, ATTRIBUTES).train()
    for seed in range(400):
        layer(*codes(64, seed))
    return layer.eval()


def test_no_linear_probe_reads_y_afterwards(learnt):
    z, y = codes(20_000, 1_000)
    clean = learnt(z, None)
    for before, most in ((z, None), (clean, 0.02)):
        inputs = torch.cat([before, torch.ones(len(z), 1)], dim=1)
        fit = inputs @ torch.linalg.lstsq(inputs, y).solution
        explained = 1 - ((y - fit).square().mean(0) / y.var(0))
        assert (explained > 0.2).all() if most is None else (explained < most).all()


def test_it_is_the_least_squares_erasure(learnt):
    z, y = codes(50_000, 2_000)
    matrix, offset = (t.float() for t in erasure(z, y))
    moved = (learnt(z, None) - z).square().sum(1).mean()
    least = (z @ matrix.T + offset - z).square().sum(1).mean()
    assert float(moved) == pytest.approx(float(least), rel=0.25)
    assert (learnt(z, None) - (z @ matrix.T + offset)).abs().mean() < 0.15 * z.std()


def test_it_stands_still_in_use_and_lets_gradients_through(learnt):
    before = {name: value.clone() for name, value in learnt.state_dict().items()}
    z, y = codes(64, 3_000)
    z.requires_grad_()
    learnt(z, y).sum().backward()
    assert z.grad is not None and z.grad.abs().sum() > 0
    assert all(torch.equal(value, before[name]) for name, value in learnt.state_dict().items())


def test_a_new_one_changes_nothing():
    z, _ = codes(8, 0)
    torch.testing.assert_close(Erasure(SIZE, ATTRIBUTES).eval()(z, None), z)


def test_labels_that_never_change_are_no_harm():
    layer = Erasure(SIZE, ATTRIBUTES).train()
    for seed in range(50):
        z, y = codes(64, seed)
        clean = layer(z, torch.zeros_like(y))
    assert clean.isfinite().all() and layer.matrix.isfinite().all()
