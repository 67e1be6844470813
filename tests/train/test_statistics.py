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
        (1, 2, 0.0945, 0.9055),
    ],
)
def test_wilson_against_known_values(successes, n, low, high):
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-4)


def test_wilson_ends_are_exact_and_empty_says_nothing():
    assert wilson_interval(0, 7)[0] == 0.0
    assert wilson_interval(7, 7)[1] == 1.0
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_share():
    share = Share.of([True, False, True, True])
    assert (share.successes, share.n, share.rate) == (3, 4, 0.75)
    assert str(share).startswith("75.0% [")
    empty = Share.of([])
    assert math.isnan(empty.rate)
    assert str(empty) == "none"


@pytest.mark.parametrize(
    ("labels", "rate"), [([1, 0, 0, 0], 0.75), ([1, 1, 1, 0], 0.75), ([1, 1], 1.0), ([0, 1], 0.5)]
)
def test_majority_rate(labels, rate):
    assert majority_rate(labels) == rate


@pytest.mark.parametrize(
    ("predicted", "labels", "expected"),
    [
        ([1, 1, 0, 0], [1, 1, 0, 0], 1.0),
        ([0, 0, 0, 0], [1, 0, 0, 0], 0.5),  # always saying no earns nothing, however rare yes is
        ([1, 1], [1, 1], 1.0),
        ([0, 0, 1, 1], [1, 1, 0, 0], 0.0),
    ],
)
def test_balanced_accuracy(predicted, labels, expected):
    assert balanced_accuracy(predicted, labels) == expected


def test_empty_and_ill_fitting():
    assert math.isnan(balanced_accuracy([], []))
    assert math.isnan(majority_rate([]))


@pytest.mark.parametrize(("share", "bits"), [(0.5, 1.0), (0.0, 0.0), (1.0, 0.0), (0.25, 0.8113)])
def test_entropy(share, bits):
    assert entropy_bits(share) == pytest.approx(bits, abs=1e-4)


@pytest.mark.parametrize(
    ("values", "mean", "reach"),
    [
        ([1.0, 3.0], 2.0, 1.959964 * math.sqrt(2) / math.sqrt(2)),
        ([2.0, 4.0, 6.0, 8.0], 5.0, 1.959964 * math.sqrt(20 / 3) / 2),
        ([0.5] * 10, 0.5, 0.0),
    ],
)
def test_means(values, mean, reach):
    found = Mean.of(values)
    assert (found.mean, found.n) == (pytest.approx(mean), len(values))
    assert (found.low, found.high) == (pytest.approx(mean - reach), pytest.approx(mean + reach))


def test_means_of_too_little():
    one, none = Mean.of([0.25]), Mean.of([])
    assert (one.mean, one.n, none.n) == (0.25, 1, 0)
    assert all(math.isnan(value) for value in (one.low, one.high, none.mean))
    assert math.isnan(Mean.of([1.0, math.nan]).mean)  # what has diverged does not vanish
