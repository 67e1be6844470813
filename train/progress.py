"""What long work says of itself: how far it is, how fast it goes, and how long the rest takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import TypeVar

T = TypeVar("T")

FIRST, EVERY = 5.0, 30.0
"""Seconds until the first line, and between lines."""


def lasting(seconds: float) -> str:
    """An estimate for people: "40 s", "12 min", "3.5 h", "2.1 days"."""
    for unit, size in (("days", 86_400), ("h", 3_600)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def counted(items: Iterable[T], what: str, total: int, log: Callable[[str], None]) -> Iterator[T]:
    """The items one after the other; `log` gets a line now and then."""
    pace = Pace(0, total)
    for done, item in enumerate(items):
        if pace.at(done) and pace.due("line", EVERY, FIRST):
            log(f"{what}: {done} of {total}, about {lasting(pace.left)} left")
        yield item


class Pace:
    """How fast work goes that is `done` of `total`, and what is due by the clock.

    The first bit of it is timed apart, for it waits for data and for caches to fill. `rate`: what is done in
    a second; 0 before anything is.
    """

    def __init__(self, done: int, total: int) -> None:
        self.done, self.total, self.rate = done, total, 0.0
        self._start, self._began = done, monotonic()
        self._from: tuple[int, float] | None = None
        self._due: dict[str, float] = {}

    def at(self, done: int) -> bool:
        """Note that so much is done now; whether there is a rate."""
        self.done, now = done, monotonic()
        if self._from is not None:
            self.rate = (done - self._from[0]) / max(now - self._from[1], 1e-9)
        elif done > self._start:
            self.rate, self._from = (done - self._start) / max(now - self._began, 1e-9), (done, now)
        return self.rate > 0

    @property
    def left(self) -> float:
        """Seconds that the rest takes at this rate."""
        return (self.total - self.done) / self.rate if self.rate else float("inf")

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return monotonic() - self._began

    def due(self, what: str, every: float, first: float | None = None) -> bool:
        """Whether `every` seconds have gone since `what` was due last, or `first` since the beginning."""
        now = monotonic()
        if now < self._due.setdefault(what, self._began + (every if first is None else first)):
            return False
        self._due[what] = now + every
        return True
