"""The One-Euro filter, against the paper's algorithm worked out by hand and against what it promises."""

import math

import numpy as np
import pytest

from aif.runtime.tracking.one_euro import OneEuroFilter, point_rms, smoothing


@pytest.mark.parametrize(
    ("cutoff", "step", "expected"),
    [(1.0, 1 / (2 * math.pi), 0.5), (2.0, 1 / math.pi, 0.8), (1.0, 0.0, 0.0), (1.0, 1e9, 1.0)],
)
def test_smoothing(cutoff, step, expected):
    assert smoothing(cutoff, step) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("vectors", "expected"), [([[3, 4]], 5), ([[3, 4], [0, 0]], math.sqrt(12.5)), ([-2.0], 2)]
)
def test_point_rms(vectors, expected):
    assert point_rms(vectors) == pytest.approx(expected)


def filtered(calm, value, time_s, unit=1.0):
    return calm(np.array([value], dtype=np.float64), time_s, unit)[0]


def test_steps_worked_out_by_hand():
    """With steps of 1 / (2 pi) and 1 / pi seconds, alpha is c / (1 + c) and 2 c / (1 + 2 c) at cutoff c."""
    calm = OneEuroFilter(min_cutoff=1.0, beta=0.5, derivative_cutoff=1.0)
    unit = 2 * math.pi
    assert filtered(calm, 1.0, 10.0) == 1.0
    # Speed: (3 - 1) x 2 pi, of which alpha = 1/2 is kept: 2 pi. Cutoff 1 + 0.5 x 2 pi / unit; alpha 0.6.
    assert filtered(calm, 3.0, 10.0 + 1 / (2 * math.pi), unit) == pytest.approx(1 + 0.6 * 2)
    assert calm.derivative == pytest.approx(2 * math.pi)
    # Speed: (2.2 - 2.2) = 0, of which alpha = 2/3 is kept: 2 pi / 3. Cutoff 1 + 0.5 / 3; the value stays.
    assert filtered(calm, 2.2, 10.0 + 3 / (2 * math.pi), unit) == pytest.approx(2.2)
    assert calm.derivative == pytest.approx(2 * math.pi / 3)
    # Speed: -1.2 pi; 2 pi / 3 + 2/3 (-1.2 pi - 2 pi / 3) = -5.2 pi / 9. Cutoff c = 1 + 0.5 x 2.6 / 9.
    c = 1 + 0.5 * 2.6 / 9
    last = filtered(calm, 1.0, 10.0 + 5 / (2 * math.pi), unit)
    assert last == pytest.approx(2.2 - 1.2 * 2 * c / (1 + 2 * c))
    assert calm.derivative == pytest.approx(-5.2 * math.pi / 9)
    # A time that comes twice changes nothing, and after a reset a value is taken as it is.
    assert filtered(calm, 99.0, 10.0 + 5 / (2 * math.pi)) == last
    calm.reset()
    assert filtered(calm, 7.0, 6.0) == 7.0 and not calm.derivative.any()


def test_the_speed_is_that_of_all_points_together():
    """One point of two moves by (3, 4): the root mean square speed is 5 / sqrt 2 x 2 pi, half of it kept."""
    calm, moved = OneEuroFilter(1.0, 1.0, 1.0), np.array([[3.0, 4.0], [0.0, 0.0]])
    calm(np.zeros((2, 2)), 0.0)
    result = calm(moved, 1 / (2 * math.pi), unit=math.pi)
    cutoff = 1 + 5 / math.sqrt(2)
    np.testing.assert_allclose(result, moved * cutoff / (1 + cutoff))


def test_rate_matters_little_to_the_path():
    """The same step, sampled at 15, 30 and 60 Hz or unevenly, has risen as far after half a second."""
    uneven = np.sort(np.random.default_rng(0).uniform(0, 0.5, 30))
    reached = []
    for times in (np.arange(0, 0.5, 1 / 15), np.arange(0, 0.5, 1 / 30), np.arange(0, 0.5, 1 / 60), uneven):
        calm = OneEuroFilter(1.0, 0.0, 1.0)
        filtered(calm, 0.0, -1e-3)
        for time_s in [*times, 0.5]:
            result = filtered(calm, 1.0, time_s)
        reached.append(result)
    # 1 - exp(-2 pi / 2) = 0.957 for a filter without steps.
    assert min(reached) > 0.9 and max(reached) < 0.96
