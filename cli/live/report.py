"""`--timings` of a live picture: a line each minute, so that growth would show, and the whole run."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

from aif.cli import console
from aif.cli.live.outlets import Outlets
from aif.runtime.live.figures import LatencyHistogram, LiveStats
from aif.runtime.live.loop import LiveSession

# Between lines while it runs, in seconds.
REPORT_S = 60.0


def say(text: str) -> None:
    """A line on standard error, whether a person is there or a log."""
    console.error_console().print(text, markup=False)


class LiveReport:
    """The figures on standard error: each minute while it runs, and at the end."""

    def __init__(self, session: LiveSession, outlets: Outlets, wanted: bool) -> None:
        self._session, self._outlets, self._wanted = session, outlets, wanted
        self._start = self._next = time.monotonic()
        self._next += REPORT_S
        self._edited = 0
        self.shown: LatencyHistogram | None = None

    def now_and_then(self) -> None:
        """Print a line when a minute has passed."""
        now = time.monotonic()
        if self._wanted and now >= self._next:
            stats = self._session.stats()
            rate = (stats.edited - self._edited) / (REPORT_S + now - self._next)
            self._edited, self._next = stats.edited, now + REPORT_S
            say(f"{now - self._start:6.0f} s  {rate:.1f} edited/s, {_recent(stats)}{_memory()}")

    def finish(self) -> None:
        """Print the whole run's figures."""
        if not self._wanted:
            return
        stats, seconds = self._session.stats(), time.monotonic() - self._start
        say(
            f"{stats.captured} frames captured, {stats.edited} edited in {seconds:.1f} s "
            f"({stats.edited / seconds:.1f}/s), {stats.dropped} overtaken by a newer one"
        )
        for name, times in (("edited", self._outlets.latencies), ("displayed", self.shown)):
            if times is not None and len(times):
                percentiles = [times.percentile_ms(percent) for percent in (50, 95, 99)]
                median, high, higher = percentiles
                say(
                    f"capture to {name}: median {median:.1f} ms, 95% {high:.1f} ms, 99% {higher:.1f} ms "
                    f"({len(times)} frames){_memory() if name == 'edited' else ''}"
                )


def _recent(stats: LiveStats) -> str:
    shown = (
        f", displayed after {stats.shown_ms:.0f} ms, 95% {stats.shown_p95_ms:.0f}" if stats.shown_fps else ""
    )
    return f"edited after {stats.latency_ms:.0f} ms, 95% {stats.latency_p95_ms:.0f}{shown}"


def _memory() -> str:
    """The memory in use, where the system tells."""
    if sys.platform != "linux":
        return ""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return f", {pages * 4096 / 1e6:.0f} MB of memory"
    return ""
