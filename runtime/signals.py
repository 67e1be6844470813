"""Ctrl-C and SIGTERM as an event: what is under way ends well, and then the program."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM came, and what was under way has been finished; the exit code is 143."""


class Stop(threading.Event):
    """Set by Ctrl-C and SIGTERM.

    Attributes:
        terminated: whether SIGTERM came.
    """

    terminated = False

    def interrupt(self) -> KeyboardInterrupt:
        """What to raise once the work is finished: `Terminated` after SIGTERM, else KeyboardInterrupt."""
        return Terminated() if self.terminated else KeyboardInterrupt()

    def check(self) -> None:
        """Raise `interrupt` if a signal came."""
        if self.is_set():
            raise self.interrupt()


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """An event that Ctrl-C and SIGTERM set; a second signal raises `Stop.interrupt` at once.

    The handlers before it are put back at the end. Outside the main thread, where Python sets no handlers,
    nothing sets the event.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.terminated |= number == signal.SIGTERM
        stop.check()
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
