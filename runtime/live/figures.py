"""Rates and latencies of live editing, over the last frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aif.runtime.arrays import Float64Array

WINDOW = 120
"""Frames over which rates and latencies are taken: four seconds at 30 frames/s."""


@dataclass(frozen=True)
class LiveStats:
    """How it goes, over the last frames: frames a second from the camera, edited and shown; medians and 95th
    percentiles in ms of the edit, of the time from capture to the edited frame (`latency_ms`), to the start
    of the edit (`wait_ms`) and to display (`shown_ms`); and, in all, frames captured, edited, and overtaken
    by a newer one (`dropped`).
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


class LiveClock:
    """Times of the last frames; one writer of each kind, any readers."""

    def __init__(self) -> None:
        self._captured: deque[float] = deque(maxlen=WINDOW)
        self._edited: deque[tuple[float, float, float]] = deque(maxlen=WINDOW)
        self._shown: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        self._captured_count = self._edited_count = 0

    def capture(self, now: float) -> None:
        """A frame came from the camera."""
        self._captured.append(now)
        self._captured_count += 1

    def edit(self, captured: float, begun: float, done: float) -> None:
        """A frame that was captured then has been edited."""
        self._edited.append((captured, begun, done))
        self._edited_count += 1

    def show(self, captured: float, now: float) -> None:
        """A frame that was captured then has been displayed."""
        self._shown.append((captured, now))

    def stats(self, dropped: int) -> LiveStats:
        """The figures of now."""
        captured, begun, done = np.array(list(self._edited) or [(0.0, 0.0, 0.0)]).T
        taken, shown = np.array(list(self._shown) or [(0.0, 0.0)]).T
        return LiveStats(
            captured_fps=_rate(list(self._captured)),
            edited_fps=_rate(done),
            edit_ms=_percentile_ms(done - begun, 50),
            latency_ms=_percentile_ms(done - captured, 50),
            latency_p95_ms=_percentile_ms(done - captured, 95),
            dropped=dropped,
            captured=self._captured_count,
            edited=self._edited_count,
            wait_ms=_percentile_ms(begun - captured, 50),
            shown_fps=_rate(shown),
            shown_ms=_percentile_ms(shown - taken, 50),
            shown_p95_ms=_percentile_ms(shown - taken, 95),
        )


def _percentile_ms(seconds: Sequence[float] | Float64Array, percent: float) -> float:
    return 1000 * float(np.percentile(seconds, percent))


def _rate(times: Sequence[float] | Float64Array) -> float:
    """Frames a second between the first and the last of the times."""
    seconds = float(times[-1] - times[0]) if len(times) else 0.0
    return (len(times) - 1) / seconds if seconds > 0 else 0.0
