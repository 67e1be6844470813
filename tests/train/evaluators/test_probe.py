"""Probes: a leak is caught, however it is hidden; a clean code is not accused."""

import numpy as np
import pytest
import torch

from aif.runtime.errors import DataError
from aif.train.evaluators.probe import probe


def codes(leak, n=3000):
    rng = np.random.default_rng(7)
    y = (rng.random(n) < 0.4).astype(np.float64)
    z = rng.normal(size=(n, 8))
    if leak == "one unit":
        z[:, 3] += 6 * y
    elif leak == "tiny unit":  # readable only once the inputs are standardised
        z[:, 3] = 1e-4 * (y + 0.05 * z[:, 3]) + 5
    elif leak == "parity":  # no linear probe can see it
        z[:, 0] = np.where(y == 1, 1, -1) * np.sign(z[:, 1]) * np.abs(z[:, 0])
    return z, y


@pytest.mark.parametrize(
    ("leak", "kind", "caught"),
    [
        ("none", "linear", False),
        ("none", "mlp", False),
        ("tiny unit", "linear", True),
        ("tiny unit", "mlp", True),
        ("parity", "linear", False),
        ("parity", "mlp", True),
    ],
)
def test_leaks(leak, kind, caught):
    z, y = codes(leak)
    result = probe(z[:2000], y[:2000], z[2000:], y[2000:], kind=kind)
    assert result.n == 1000
    assert result.interval[0] <= result.accuracy <= result.interval[1]
    if caught:
        assert min(result.accuracy, result.balanced_accuracy) > 0.95 and result.bits > 0.7
    else:
        assert abs(result.accuracy - result.majority_rate) < 0.04
        assert abs(result.balanced_accuracy - 0.5) < 0.06 and result.bits < 0.02


def test_leak_of_a_rare_attribute_shows_in_the_balanced_accuracy():
    rng = np.random.default_rng(0)
    y = (rng.random(6000) < 0.05).astype(float)
    z = rng.normal(size=(6000, 4))
    z[:, 0] += 1.5 * y
    result = probe(z[:4000], y[:4000], z[4000:], y[4000:], kind="linear")
    assert result.accuracy < result.majority_rate + 0.01
    assert result.balanced_accuracy > 0.65 and result.bits > 0.02


def test_repeatable_and_without_trace_in_the_random_state():
    z, y = codes("one unit", n=400)
    before = torch.get_rng_state()
    results = [probe(z[:300], y[:300], z[300:], y[300:], kind="mlp", seed=3) for _ in range(2)]
    assert results[0] == results[1]
    assert torch.equal(torch.get_rng_state(), before)


def test_constant_columns_do_no_harm():
    z, y = codes("one unit", n=600)
    z[:, 5] = 2.5
    assert probe(z[:400], y[:400], z[400:], y[400:], kind="linear").accuracy > 0.95


def test_refuses_what_cannot_be_probed():
    z, y = codes("none", n=40)
    with pytest.raises(DataError, match="not finite"):
        probe(np.full_like(z, np.nan), y, z, y)
    with pytest.raises(DataError, match="two training faces"):
        probe(z, np.zeros(40), z, y)
