"""The One-Euro filter, against the paper's algorithm worked out by hand and against what it promises."""

import math

import numpy as np
import pytest

from aif.runtime.tracking.one_euro import OneEuroFilter, point_rms, smoothing


@pytest.mark.parametrize(
    ("cutoff", "step", "expected"),
    [
        (1.0, 1 / (2 * math.pi), 0.5),
        (1.0, 1 / math.pi, 2 / 3),
        (2.0, 1 / math.pi, 0.8),
        (1.0, 0.0, 0.0),
        (1.0, 1e9, 1.0),
    ],
)
def test_smoothing(cutoff, step, expected):
    assert smoothing(cutoff, step) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("vectors", "expected"),
    [([[3, 4]], 5), ([[3, 4], [0, 0]], math.sqrt(12.5)), (-2.0, 2), (np.zeros((0, 2)), 0)],
)
def test_point_rms(vectors, expected):
    assert point_rms(vectors) == pytest.approx(expected)


def test_steps_worked_out_by_hand():
    """With steps of 1 / (2 pi) and 1 / pi seconds, alpha is c / (1 + c) and 2 c / (1 + 2 c) at cutoff c."""
    calm = OneEuroFilter(min_cutoff=1.0, beta=0.5, derivative_cutoff=1.0)
    unit = 2 * math.pi
    assert calm(1.0, 10.0) == 1.0
    # Speed: (3 - 1) x 2 pi, of which alpha = 1/2 is kept: 2 pi. Cutoff 1 + 0.5 x 2 pi / unit; alpha 0.6.
    assert calm(3.0, 10.0 + 1 / (2 * math.pi), unit) == pytest.approx(1 + 0.6 * 2)
    assert calm.derivative == pytest.approx(2 * math.pi)
    # Speed: (2.2 - 2.2) = 0, of which alpha = 2/3 is kept: 2 pi / 3. Cutoff 1 + 0.5 / 3; the value stays.
    assert calm(2.2, 10.0 + 3 / (2 * math.pi), unit) == pytest.approx(2.2)
    assert calm.derivative == pytest.approx(2 * math.pi / 3)
    # Speed: -1.2 pi; 2 pi / 3 + 2/3 (-1.2 pi - 2 pi / 3) = -5.2 pi / 9. Cutoff c = 1 + 0.5 x 2.6 / 9.
    c = 1 + 0.5 * 2.6 / 9
    assert calm(1.0, 10.0 + 5 / (2 * math.pi), unit) == pytest.approx(2.2 - 1.2 * 2 * c / (1 + 2 * c))
    assert calm.derivative == pytest.approx(-5.2 * math.pi / 9)


def test_the_speed_is_that_of_all_points_together():
    """One point of two moves by (3, 4): the root mean square speed is 5 / sqrt 2 x 2 pi, half of it kept."""
    calm = OneEuroFilter(1.0, 1.0, 1.0)
    calm(np.zeros((2, 2)), 0.0)
    result = calm([[3, 4], [0, 0]], 1 / (2 * math.pi), unit=math.pi)
    cutoff = 1 + 5 / math.sqrt(2)
    np.testing.assert_allclose(result, np.array([[3, 4], [0, 0]]) * cutoff / (1 + cutoff))


def test_rate_matters_little_to_the_path():
    """The same step, sampled at 15, 30 and 60 Hz or unevenly, has risen as far after half a second."""
    rng = np.random.default_rng(0)
    uneven = np.sort(rng.uniform(0, 0.5, 30))
    reached = []
    for times in (np.arange(0, 0.5, 1 / 15), np.arange(0, 0.5, 1 / 30), np.arange(0, 0.5, 1 / 60), uneven):
        calm = OneEuroFilter(1.0, 0.0)
        calm(0.0, -1e-3)
        for time_s in [*times, 0.5]:
            result = calm(1.0, time_s)
        reached.append(float(result))
    # 1 - exp(-2 pi / 2) = 0.957 for a filter without steps.
    assert min(reached) > 0.9 and max(reached) < 0.96


def test_a_repeated_time_changes_nothing():
    calm = OneEuroFilter(1.0, 1.0)
    calm(0.0, 1.0)
    first = calm(1.0, 1.1)
    assert calm(99.0, 1.1) == first
    other = OneEuroFilter(1.0, 1.0)
    other(0.0, 1.0)
    other(1.0, 1.1)
    assert calm(2.0, 1.2) == other(2.0, 1.2)


@pytest.mark.parametrize("how", ["backward", "reset"])
def test_beginning_anew(how):
    calm = OneEuroFilter(0.5, 1.0)
    assert calm.derivative.size == 0
    calm(np.zeros(3), 5.0)
    calm(np.ones(3), 5.1)
    assert calm.derivative.any()
    if how == "reset":
        calm.reset()
        assert calm(7.0, 6.0) == 7.0  # another shape
    else:
        np.testing.assert_array_equal(calm([7, 8, 9], 4.0), [7, 8, 9])
    assert not calm.derivative.any()


@pytest.mark.parametrize(
    "settings",
    [
        *({"min_cutoff": 0}, {"min_cutoff": math.inf}, {"beta": -1}, {"beta": math.nan}),
        *({"derivative_cutoff": 0}, {"derivative_cutoff": math.nan}),
    ],
)
def test_impossible_settings(settings):
    with pytest.raises(ValueError, match="cutoffs"):
        OneEuroFilter(**settings)


@pytest.mark.parametrize(
    ("value", "time_s", "unit"),
    [
        ([math.nan, 0], 1.0, 1.0),
        ([math.inf, 0], 1.0, 1.0),
        ([0, 0], math.nan, 1.0),
        ([0, 0], math.inf, 1.0),
        ([0, 0], 1.0, 0.0),
        ([0, 0], 1.0, -1.0),
        ([0, 0], 1.0, math.nan),
        ([0, 0, 0], 1.0, 1.0),
    ],
)
def test_impossible_values_leave_no_trace(value, time_s, unit):
    calm = OneEuroFilter()
    calm([1, 1], 0.5)
    with pytest.raises(ValueError, match=r"finite|so far"):
        calm(value, time_s, unit)
    np.testing.assert_array_equal(calm([1, 1], 2.0), [1, 1])
