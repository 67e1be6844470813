"""What threads share: items in order (`Channel`), an error that crosses over (`Failure`), and cores."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, Literal, TypeVar

import cv2

from aif.runtime.errors import ConfigError
from aif.runtime.machine import core_count

Item = TypeVar("Item")
Full = Literal["wait", "drop", "refuse", "exceed"]
"""What happens to an item where there is no room: it waits, the oldest one gives way to it, it is not taken,
or it is taken all the same."""

# How far a thread steps back behind the others where threads have priorities of their own (Linux).
NICENESS = 10


class Channel(Generic[Item]):
    """A queue of at most `depth` items, which either side can end so that nobody waits any longer.

    Attributes:
        dropped: items that gave way to newer ones.
    """

    def __init__(self, depth: int = 1) -> None:
        """Begin empty; ConfigError where the depth is less than 1."""
        if depth < 1:
            raise ConfigError(f"The depth must be at least 1, not {depth}.")
        self._items: deque[Item] = deque()
        self._depth = depth
        self._changed = threading.Condition()
        self._closed = self._busy = False
        self.dropped = 0

    @property
    def closed(self) -> bool:
        """Whether no more items will be taken in."""
        return self._closed

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item, full: Full = "wait") -> bool:
        """Add an item, which must not be None; False where it was not taken, as after the end."""
        with self._changed:
            if full == "wait":
                self._changed.wait_for(lambda: self._closed or len(self._items) < self._depth)
            crowded = len(self._items) >= self._depth
            if self._closed or (full == "refuse" and crowded):
                return False
            if full == "drop" and crowded:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify_all()
            return True

    def take(self, timeout: float | None = None) -> Item | None:
        """The next item, the one before being done with; None after `timeout` seconds, or at the end."""
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or self._items, timeout)
            if not self._items:
                return None
            self._busy = True
            self._changed.notify_all()
            return self._items.popleft()

    def __iter__(self) -> Iterator[Item]:
        """The items as they come, to the end."""
        while (item := self.take()) is not None:
            yield item
            del item  # nothing is kept while none comes

    def join(self, timeout: float | None = None) -> bool:
        """Wait until every item has been taken and done with, or the end; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed or not (self._items or self._busy), timeout)

    def close(self, drop: bool = False) -> None:
        """Take in nothing more. What waits can still be taken, unless it is to be dropped."""
        with self._changed:
            self._closed = True
            if drop:
                self._items.clear()
            self._changed.notify_all()


class Failure:
    """The first exception of some threads, raised once in another."""

    def __init__(self) -> None:
        self._error: BaseException | None = None
        self._lock = threading.Lock()

    def keep(self, error: BaseException) -> None:
        """Keep it, unless there is one already."""
        with self._lock:
            self._error = self._error or error

    def raise_once(self) -> None:
        """Raise what is kept, and keep it no longer."""
        with self._lock:
            error, self._error = self._error, None
        if error is not None:
            raise error


def shared_threads(threads: int | None) -> int:
    """Threads of the networks where frames are read and written beside them: as asked for, else half the
    cores."""
    return max(1, core_count() // 2) if threads is None else threads


@contextlib.contextmanager
def shared_cores(threads: int) -> Iterator[None]:
    """OpenCV's calls share one pool of workers: with one a core, each call would wait for cores that others
    have. And Python lets a thread wait for another for 5 ms where 1 ms will do. Taken back at the end.
    """
    before, interval = cv2.getNumThreads(), sys.getswitchinterval()
    cv2.setNumThreads(threads)
    sys.setswitchinterval(0.001)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
        sys.setswitchinterval(interval)


def step_back() -> None:
    """Let this thread, and those that it starts, go behind the others of the process; on Linux alone."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
