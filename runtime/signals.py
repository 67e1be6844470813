"""Ctrl-C, SIGTERM and SIGHUP as an event: what is under way ends well, and then the program."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP came, and what was under way has been finished; the exit code is 143."""


class Stop(threading.Event):
    """Set by Ctrl-C, SIGTERM and SIGHUP (`terminated`); while `eager`, a signal raises at once."""

    terminated = eager = False

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Within, a signal raises `interrupt` wherever it finds the program: work that may be cut short."""
        self.check()
        self.eager = True
        try:
            yield
        finally:
            self.eager = False

    def interrupt(self) -> KeyboardInterrupt:
        """What to raise once the work is finished: `Terminated`, or after Ctrl-C KeyboardInterrupt."""
        return Terminated() if self.terminated else KeyboardInterrupt()

    def check(self) -> None:
        """Raise `interrupt` if a signal came."""
        if self.is_set():
            raise self.interrupt()


@contextlib.contextmanager
def stop_on_signals(word: str = "") -> Iterator[Stop]:
    """An event that Ctrl-C, SIGTERM and SIGHUP set (not where nohup has that ignored); a second signal raises
    `Stop.interrupt` at once. Outside the main thread, where Python sets no handlers, nothing sets it.

    `word`: a line that the first signal puts on standard error.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.terminated |= number != signal.SIGINT
        if stop.eager or stop.is_set():
            raise stop.interrupt()
        stop.set()
        if word:
            os.write(2, f"\n{word}\n".encode())  # print() may be at work right now

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
