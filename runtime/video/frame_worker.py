"""Frames in, results to a callback, in a thread of their own: for windows, servers and event loops."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, Self, TypeVar

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import AifError
from aif.runtime.threads import Channel, Failure, Full

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class FrameWorker(Generic[Result]):
    """Edits frames in a thread of its own, and calls back with each result.

        with VideoEditor(editor, {"Smiling": 1.0}) as video:
            with FrameWorker(video.process, lambda result: show(result.image_hwc_bgr)) as worker:
                for time_s, frame in camera:
                    worker.submit(frame, time_s)

    Thread-safe: every method may be called from any thread, the callbacks included. Results come in the order
    of their frames, one at a time. What `edit` or `on_result` raises ends the worker; the next call of
    `submit`, `flush` or `close` raises it, once, and what waited is dropped.
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
            edit: (uint8 (H, W, 3) BGR frame, time in seconds) to a result, such as `VideoEditor.process`.
            on_result: called in the worker's thread with each result; a slow one holds up the frames.
            depth: frames that may wait.
            drop: where no room is left, drop the frame that has waited longest, so that delay does not grow;
                False = let `submit` wait.

        Raises:
            ConfigError: the depth is less than 1.
        """
        self._edit, self._on_result = edit, on_result
        self._waiting: Channel[tuple[UInt8Array, float]] = Channel(depth)
        self._full: Full = "drop" if drop else "wait"
        self._failure = Failure()
        self._thread = threading.Thread(target=self._run, name="aif-frames", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Frames that were overtaken by newer ones."""
        return self._waiting.dropped

    @property
    def _inside(self) -> bool:
        """Whether this is called from `on_result`, which must not wait for itself."""
        return threading.current_thread() is self._thread

    def submit(self, frame_hwc_bgr: UInt8Array, time_s: float) -> None:
        """Edit the next frame, uint8 (H, W, 3), which must not be written to until its result has come.

        Raises:
            AifError: the worker has been closed.
            Exception: what `edit` or `on_result` raised.
        """
        full: Full = "exceed" if self._inside and self._full == "wait" else self._full
        if not self._waiting.put((frame_hwc_bgr, time_s), full):
            self._failure.raise_once()
            raise AifError("This worker has been closed.", "Make a new one.")

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until every submitted frame has come back or was dropped; False after `timeout` seconds.

        Raises:
            AifError: called from `on_result`, which would wait for itself.
            Exception: what `edit` or `on_result` raised.
        """
        if self._inside:
            raise AifError("flush cannot be called from a callback.", "Call it from another thread.")
        done = self._waiting.join(timeout)
        self._failure.raise_once()
        return done

    def close(self) -> None:
        """Finish the frame in work, drop those that wait, and end the thread. Calling it twice does no harm.

        Raises:
            Exception: what `edit` or `on_result` raised, unless it has been raised already.
        """
        self._waiting.close(drop=True)
        if not self._inside:
            self._thread.join()
        self._failure.raise_once()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Edit what still waits, then close; after an error of the caller's close at once, and log others."""
        if kind is None:
            self.flush()
            self.close()
            return
        try:
            self.close()
        except BaseException as own:
            logger.error("While another error was on its way: %s: %s", type(own).__name__, own)

    def _run(self) -> None:
        try:
            for item in self._waiting:
                self._on_result(self._edit(*item))
                del item
        except BaseException as error:
            self._failure.keep(error)
        finally:
            self._waiting.close(drop=True)
