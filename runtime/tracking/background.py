"""A detector beside the editing thread: live frames do not wait for it, its answers come when they come."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

from aif.runtime.arrays import UInt8Array
from aif.runtime.faces.detect import Detection, Detector

# How far the thread steps back behind the others where threads have priorities of their own (Linux): finding
# newcomers a little later is better than every frame late.
NICENESS = 10


class BackgroundDetector:
    """Looks at one frame at a time, beside its caller. `offer`, `take` and `close` belong to one thread."""

    def __init__(self, detector: Detector) -> None:
        """Use `detector`; threads start with the first frame."""
        self._detector = detector
        self._frame: tuple[UInt8Array, bool] | None = None
        self._faces: list[Detection] | None = None
        self._error: BaseException | None = None
        self._busy = self._closed = False
        self._changed = threading.Condition()
        # A thread can step back behind others, but not forward again: so there is one for each kind of frame.
        self._threads: dict[bool, threading.Thread] = {}

    def offer(self, frame_hwc_bgr: UInt8Array, urgent: bool = True) -> bool:
        """Have a frame looked at; False when there is one in work, or its answer was not taken yet.

        Args:
            frame_hwc_bgr: uint8 (H, W, 3); not to be changed afterwards.
            urgent: as quickly as possible; False leaves the processor to other threads first.
        """
        with self._changed:
            if self._busy or self._closed:
                return False
            self._busy, self._frame = True, (frame_hwc_bgr, urgent)
            self._changed.notify_all()
        if urgent not in self._threads:
            thread = threading.Thread(target=self._work, args=(urgent,), name="aif-detect", daemon=True)
            self._threads[urgent] = thread
            thread.start()
        return True

    def take(self, timeout: float = 0.0) -> list[Detection] | None:
        """The faces of the frame offered last, once; None while they are not known.

        Args:
            timeout: seconds to wait for them.

        Raises:
            Exception: whatever the detector raised.
        """
        with self._changed:
            if timeout:
                self._changed.wait_for(self._answered, timeout)
            if not self._answered():
                return None
            faces, error = self._faces, self._error
            self._busy, self._faces, self._error = False, None, None
        if error is not None:
            raise error
        return faces

    def close(self) -> None:
        """Stop the threads, after the frame that is in work. Calling it twice does no harm."""
        with self._changed:
            self._closed, self._frame = True, None
            self._changed.notify_all()
        for thread in self._threads.values():
            thread.join(timeout=10)

    def _answered(self) -> bool:
        return self._faces is not None or self._error is not None

    def _work(self, urgent: bool) -> None:
        if not urgent:
            step_back()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or (self._frame or (None, None))[1] is urgent)
                if self._frame is None:
                    return
                (frame, _), self._frame = self._frame, None
            faces: list[Detection] | None = None
            error: BaseException | None = None
            try:
                faces = self._detector.detect(frame)
            except BaseException as caught:
                error = caught
            with self._changed:
                self._faces, self._error = faces, error
                self._changed.notify_all()


def step_back(niceness: int = NICENESS) -> None:
    """Let this thread, and those that it starts, go behind the others of the process; on Linux alone."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
