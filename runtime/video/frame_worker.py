"""Frames in, results to a callback, in a thread of their own: for windows, servers and event loops."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import AifError, ConfigError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class FrameWorker(Generic[Result]):
    """Edits the frames that it is handed in a thread of its own, and calls back with each result.

        with VideoEditor(editor, {"Smiling": 1.0}) as video:
            with FrameWorker(video.process, lambda result: show(result.image_hwc_bgr)) as worker:
                for time_s, frame in camera:
                    worker.submit(frame, time_s)

    Thread-safe: every method may be called from any thread, the callbacks included. Results come in the order
    of their frames, one at a time. What `edit` or `on_result` raises ends the worker; the next call of
    `submit`, `flush` or `close` raises it, once, and what waited is dropped.

    Attributes:
        dropped: frames that were overtaken by newer ones.
    """

    def __init__(
        self,
        edit: Callable[[UInt8Array, float], Result],
        on_result: Callable[[Result], None],
        *,
        depth: int = 1,
        drop: bool = True,
    ) -> None:
        """Start the thread.

        Args:
            edit: (uint8 (H, W, 3) BGR frame, time in seconds) to a result: `VideoEditor.process`, or a
                function of your own.
            on_result: called in the worker's thread with each result; a slow one holds up the frames. A
                window or an event loop wants it handed over: `loop.call_soon_threadsafe`, a queue, a signal.
            depth: frames that may wait.
            drop: where no room is left, drop the frame that has waited longest, so that delay does not grow;
                False = let `submit` wait, so that no frame is lost.

        Raises:
            ConfigError: the depth is less than 1.
        """
        if depth < 1:
            raise ConfigError(f"The depth must be at least 1, not {depth}.")
        self._edit, self._on_result = edit, on_result
        self._depth, self._drop = depth, drop
        self._waiting: deque[tuple[UInt8Array, float]] = deque()
        self._changed = threading.Condition()
        self._working = self._closed = False
        self._error: BaseException | None = None
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="aif-frames", daemon=True)
        self._thread.start()

    def submit(self, frame_hwc_bgr: UInt8Array, time_s: float) -> None:
        """Hand over the next frame; it must not be written to until its result has come.

        Args:
            frame_hwc_bgr: uint8 (H, W, 3).
            time_s: when it is shown, in seconds.

        Raises:
            AifError: the worker has been closed.
            Exception: what `edit` or `on_result` raised.
        """
        with self._changed:
            # A callback that submits must not wait for its own thread.
            if not self._drop and threading.current_thread() is not self._thread:
                self._changed.wait_for(lambda: self._closed or len(self._waiting) < self._depth)
            self._raise_once()
            if self._closed:
                raise AifError("This worker has been closed.", "Make a new one.")
            if self._drop and len(self._waiting) == self._depth:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append((frame_hwc_bgr, time_s))
            self._changed.notify_all()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until every frame handed over has come back or was dropped; False after `timeout` seconds.

        Raises:
            AifError: called from `on_result`, which would wait for itself.
            Exception: what `edit` or `on_result` raised.
        """
        if threading.current_thread() is self._thread:
            raise AifError("flush cannot be called from a callback.", "Call it from another thread.")
        with self._changed:
            done = self._changed.wait_for(
                lambda: self._closed or not (self._waiting or self._working), timeout
            )
            self._raise_once()
            return done

    def close(self) -> None:
        """Finish the frame in work, drop those that wait, and end the thread. Calling it twice does no harm.

        Raises:
            Exception: what `edit` or `on_result` raised, unless it has been raised already.
        """
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        with self._changed:
            self._raise_once()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Edit what still waits, then close; after an error of the caller's close at once."""
        try:
            if error is None:
                self.flush()
            self.close()
        except BaseException as own:
            if error is None:
                raise
            logger.error("While another error was on its way: %s: %s", type(own).__name__, own)

    def _run(self) -> None:
        try:
            while (item := self._next()) is not None:
                self._on_result(self._edit(*item))
                del item  # no frame is kept while none comes
                with self._changed:
                    self._working = False
                    self._changed.notify_all()
        except BaseException as error:
            with self._changed:
                self._error = error
        finally:
            with self._changed:
                self._closed, self._working = True, False
                self._waiting.clear()
                self._changed.notify_all()

    def _next(self) -> tuple[UInt8Array, float] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting)
            if self._closed:
                return None
            self._working = True
            item = self._waiting.popleft()
            self._changed.notify_all()
            return item

    def _raise_once(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
