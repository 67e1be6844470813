"""Figures of live editing against NumPy, and in constant memory."""

from __future__ import annotations

import numpy as np
import pytest

from aif.runtime.live.figures import BIN_S, BINS, WINDOW, LatencyHistogram, LiveClock


@pytest.mark.parametrize("percent", [1, 50, 95, 99, 100])
def test_percentiles_are_those_of_numpy(percent):
    seconds = np.random.default_rng(0).gamma(4, 0.01, 5000)
    histogram = LatencyHistogram()
    for each in seconds:
        histogram.add(float(each))
    assert len(histogram) == 5000
    expected = 1000 * np.percentile(seconds, percent, method="inverted_cdf")
    assert histogram.percentile_ms(percent) == pytest.approx(expected, abs=1000 * BIN_S)


@pytest.mark.parametrize(("seconds", "expected"), [([], 0.0), ([-1.0], 0.5), ([1e9], 1000 * BIN_S * BINS)])
def test_odd_latencies(seconds, expected):
    histogram = LatencyHistogram()
    for each in seconds:
        histogram.add(each)
    assert histogram.percentile_ms(50) == pytest.approx(expected)


def test_a_clock_forgets_what_is_long_ago():
    clock = LiveClock()
    assert clock.stats(0).edited_fps == 0 and clock.stats(0).shown_ms == 0
    for number in range(10 * WINDOW):
        at = number / 30 + (1.0 if number < 9 * WINDOW else 0.0)
        clock.capture(at)
        clock.edit(at, at + 0.002, at + 0.022)
        clock.show(at, at + 0.03)
    stats = clock.stats(7)
    assert (stats.captured, stats.edited, stats.dropped) == (10 * WINDOW, 10 * WINDOW, 7)
    assert stats.captured_fps == pytest.approx(30) == stats.edited_fps == stats.shown_fps
    assert (
        stats.wait_ms,
        stats.edit_ms,
        stats.latency_ms,
        stats.shown_ms,
        stats.shown_p95_ms,
    ) == pytest.approx((2, 20, 22, 30, 30))
