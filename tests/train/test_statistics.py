"""Shares and their intervals, against values worked out elsewhere."""

import math

import pytest

from aif.train.statistics import Mean, Share, balanced_accuracy, entropy_bits, majority_rate, wilson_interval


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (13, 16, 0.5699, 0.9341),  # 81.3 %, the paper's smallest table
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (50, 100, 0.4038, 0.5962),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson_against_known_values(successes, n, low, high):
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-4)
    assert wilson_interval(0, 7)[0] == 0.0 and wilson_interval(7, 7)[1] == 1.0  # the ends are exact


def test_share():
    share, empty = Share.of([True, False, True, True]), Share.of([])
    assert (share.successes, share.n, share.rate) == (3, 4, 0.75)
    assert str(share).startswith("75.0% [")
    assert math.isnan(empty.rate) and str(empty) == "none"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (majority_rate([1, 0, 0, 0]), 0.75),
        (majority_rate([1, 1, 1, 0]), 0.75),
        (majority_rate([]), math.nan),
        (balanced_accuracy([1, 1, 0, 0], [1, 1, 0, 0]), 1.0),
        (balanced_accuracy([0, 0, 0, 0], [1, 0, 0, 0]), 0.5),  # always saying no earns nothing
        (balanced_accuracy([1, 1], [1, 1]), 1.0),
        (balanced_accuracy([], []), math.nan),
        (entropy_bits(0.5), 1.0),
        (entropy_bits(0.0), 0.0),
        (entropy_bits(0.25), 0.8113),
    ],
)
def test_rates(found, expected):
    assert found == pytest.approx(expected, abs=1e-4, nan_ok=True)


@pytest.mark.parametrize(
    ("values", "mean", "reach"),
    [
        ([2.0, 4.0, 6.0, 8.0], 5.0, 1.959964 * math.sqrt(20 / 3) / 2),
        ([0.5] * 10, 0.5, 0.0),
        ([0.25], 0.25, math.nan),
        ([], math.nan, math.nan),
        ([1.0, math.nan], math.nan, math.nan),  # what has diverged does not vanish
    ],
)
def test_means(values, mean, reach):
    found = Mean.of(values)
    assert found.n == len(values)
    assert (found.mean, found.low, found.high) == pytest.approx(
        (mean, mean - reach, mean + reach), nan_ok=True
    )
