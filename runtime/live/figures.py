"""Rates and latencies of live editing: over the last frames, and over a whole run in constant memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

WINDOW = 120
"""Frames over which rates and latencies are taken: four seconds at 30 frames/s."""

BIN_S, BINS = 0.0005, 20_000
"""Width of a bin of `LatencyHistogram`, and how many there are: half a millisecond, up to 10 s."""


@dataclass(frozen=True)
class LiveStats:
    """How it goes, over the last frames.

    Attributes:
        captured_fps, edited_fps: frames a second from the camera, and edited.
        edit_ms: median time of an edit.
        latency_ms, latency_p95_ms: from capture to the edited frame, median and 95th percentile.
        dropped: frames that were overtaken by a newer one, in all.
        captured, edited: frames in all.
        wait_ms: median time from capture to the start of the edit.
        shown_fps: frames a second that were shown.
        shown_ms, shown_p95_ms: from capture to display, median and 95th percentile; 0 before any was.
    """

    captured_fps: float = 0.0
    edited_fps: float = 0.0
    edit_ms: float = 0.0
    latency_ms: float = 0.0
    latency_p95_ms: float = 0.0
    dropped: int = 0
    captured: int = 0
    edited: int = 0
    wait_ms: float = 0.0
    shown_fps: float = 0.0
    shown_ms: float = 0.0
    shown_p95_ms: float = 0.0


def _window() -> deque[float]:
    return deque(maxlen=WINDOW)


@dataclass
class LiveClock:
    """Times of the last frames; one writer, any readers."""

    captured: deque[float] = field(default_factory=_window)
    edited: deque[float] = field(default_factory=_window)
    shown: deque[float] = field(default_factory=_window)
    edits: deque[float] = field(default_factory=_window)
    waits: deque[float] = field(default_factory=_window)
    latencies: deque[float] = field(default_factory=_window)
    shown_latencies: deque[float] = field(default_factory=_window)
    captured_count: int = 0
    edited_count: int = 0

    def capture(self, now: float) -> None:
        """A frame came from the camera."""
        self.captured.append(now)
        self.captured_count += 1

    def edit(self, captured: float, begun: float, done: float) -> None:
        """A frame that was captured then has been edited."""
        self.edits.append(done - begun)
        self.waits.append(begun - captured)
        self.latencies.append(done - captured)
        self.edited.append(done)
        self.edited_count += 1

    def show(self, captured: float, now: float) -> None:
        """A frame that was captured then has been displayed."""
        self.shown.append(now)
        self.shown_latencies.append(now - captured)

    def stats(self, dropped: int) -> LiveStats:
        """The figures of now."""
        latencies, shown = list(self.latencies), list(self.shown_latencies)
        return LiveStats(
            captured_fps=_rate(list(self.captured)),
            edited_fps=_rate(list(self.edited)),
            edit_ms=_percentile_ms(list(self.edits), 50),
            latency_ms=_percentile_ms(latencies, 50),
            latency_p95_ms=_percentile_ms(latencies, 95),
            dropped=dropped,
            captured=self.captured_count,
            edited=self.edited_count,
            wait_ms=_percentile_ms(list(self.waits), 50),
            shown_fps=_rate(list(self.shown)),
            shown_ms=_percentile_ms(shown, 50),
            shown_p95_ms=_percentile_ms(shown, 95),
        )


class LatencyHistogram:
    """Percentiles of any number of latencies, to half a millisecond, in constant memory."""

    def __init__(self) -> None:
        self._counts = np.zeros(BINS, dtype=np.int64)

    def add(self, seconds: float) -> None:
        """Count one latency; those beyond the last bin are taken for the longest."""
        self._counts[min(max(int(seconds / BIN_S), 0), BINS - 1)] += 1

    def __len__(self) -> int:
        return int(self._counts.sum())

    def percentile_ms(self, percent: float) -> float:
        """The latency in milliseconds that `percent` % do not exceed, rounded up to a bin; 0 of none."""
        if not len(self):
            return 0.0
        reached = np.searchsorted(np.cumsum(self._counts), len(self) * percent / 100)
        return 1000 * BIN_S * (int(reached) + 1)


def _percentile_ms(seconds: list[float], percent: float) -> float:
    """A percentile in milliseconds, 0 of nothing."""
    return 1000 * float(np.percentile(seconds, percent)) if seconds else 0.0


def _rate(times: list[float]) -> float:
    """Frames a second between the first and the last of the times."""
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0
