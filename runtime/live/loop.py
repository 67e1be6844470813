"""Live editing: capture, looking at frames and making pictures in threads of their own; the newest frame
wins, delay does not grow."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from aif.runtime.arrays import Float64Array, UInt8Array
from aif.runtime.errors import AifError
from aif.runtime.live.camera import Camera, CameraFormat, Captured
from aif.runtime.threads import Channel, Failure

log = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 0.5, 5.0
"""Seconds between attempts to open a lost camera again: doubled each time, up to the longest."""


WINDOW = 120
"""Frames over which rates and latencies are taken: four seconds at 30 frames/s."""

Make = Callable[[], tuple[UInt8Array, object]]
"""Makes the edited picture, and what else there is to say of it."""


@dataclass(frozen=True)
class LiveFrame:
    """One frame as captured and edited, when it was captured and its edit ended, in seconds of
    `time.monotonic`, and what the edit function gave beside the picture.
    """

    original: UInt8Array
    image: UInt8Array
    captured_s: float
    edited_s: float
    details: object = None


class LiveSession:
    """Reads a camera and edits its frames until closed; a lost camera is opened again.

        with LiveSession(lambda: open_camera(0), edit) as session:
            for shown in session:
                cv2.imshow("aif", shown.image)

    `next` and iteration belong to one thread (windows want the main one); the rest may be called from any.

    Args:
        connect: opens the camera; called again whenever it is lost.
        edit: (uint8 (H, W, 3) BGR, seconds) to what makes (edited frame, details); called in one thread, in
            order, and what it gives in another, beside the next frame's `edit`.
        each: called with every edited frame, in the second thread; must return at once.

    Attributes:
        status: one line on the camera: its name and format, or why there is no picture.
        connected: whether the camera is open; False while a lost one is awaited, and after the end.
        granted: size, rate and pixel format that the camera gave.
        clock: times of the frames.
    """

    status: str
    connected: bool
    granted: CameraFormat

    def __init__(
        self,
        connect: Callable[[], Camera],
        edit: Callable[[UInt8Array, float], Make],
        each: Callable[[LiveFrame], None] | None = None,
    ) -> None:
        self._connect, self._edit, self._each = connect, edit, each
        self._stop = threading.Event()
        self._raw: Channel[Captured] = Channel()
        self._begun: Channel[tuple[Captured, float, Make]] = Channel()
        self._done: Channel[LiveFrame] = Channel()
        self.clock, self._failure = LiveClock(), Failure()
        camera = self._opened()  # the first failure is the caller's
        works = {"capture": lambda: self._capture(camera), "look": self._look, "edit": self._make}
        self._threads = [
            threading.Thread(target=self._guard, args=(work,), name=f"aif-{name}", daemon=True)
            for name, work in works.items()
        ]
        for thread in self._threads:
            thread.start()

    @property
    def silence_s(self) -> float:
        """Seconds since the camera gave a frame, or was opened."""
        return time.monotonic() - self._heard

    @property
    def ended(self) -> bool:
        """Whether no frame will come any more."""
        return self._done.closed

    def next(self, timeout: float | None = None) -> LiveFrame | None:
        """The newest edited frame that was not shown yet; None after `timeout` seconds, or at the end.

        Raises:
            Exception: whatever the camera or the edit raised, once.
        """
        frame = self._done.take(timeout)
        if frame is None:
            self._failure.raise_once()
        return frame

    def __iter__(self) -> Iterator[LiveFrame]:
        while not self.ended:
            if (frame := self.next(0.5)) is not None:
                yield frame
        self._failure.raise_once()

    def shown(self, frame: LiveFrame) -> None:
        """Say that a frame has just been displayed, for the figures."""
        self.clock.show(frame.captured_s, time.monotonic())

    def stats(self) -> LiveStats:
        """Rates and latencies over the last frames."""
        return self.clock.stats(self._raw.dropped + self._begun.dropped)

    def close(self) -> None:
        """Stop the threads and release the camera; may be called twice."""
        self._stop.set()
        self._end()
        for thread in self._threads:
            thread.join(timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._failure.keep(error)
        finally:
            self._end()

    def _end(self) -> None:
        for channel in (self._raw, self._begun, self._done):
            channel.close()

    def _opened(self) -> Camera:
        camera = self._connect()
        self.granted, self.status = camera.granted, f"{camera.name}: {camera.granted}"
        self.connected, self._heard = True, time.monotonic()
        return camera

    def _capture(self, camera: Camera) -> None:
        current: Camera | None = camera
        while current is not None:
            with contextlib.closing(current):
                while not self._stop.is_set() and (frame := current.read()) is not None:
                    self._heard = time.monotonic()
                    self.clock.capture(self._heard)
                    self._raw.put(frame, "drop")
            if self._stop.is_set():
                return
            self.connected = False
            if not current.endless:
                self.status = f"{current.name}: the end"
                return
            self.status = f"{current.name} gives no more frames"
            log.warning("%s; trying to open it again", self.status)
            current = self._reconnected()

    def _reconnected(self) -> Camera | None:
        """The camera, once it is there again; None at the end of the session."""
        wait, attempt = FIRST_WAIT, 1
        while not self._stop.wait(wait):
            wait = min(2 * wait, LONGEST_WAIT)
            try:
                camera = self._opened()
            except AifError as error:
                self.status = f"{error.message} Attempt {attempt}, next in {wait:g} s."
                log.warning("%s", self.status)
            else:
                log.warning("%s is back: %s", camera.name, camera.granted)
                return camera
            attempt += 1
        return None

    def _look(self) -> None:
        for frame in self._raw:
            if self._stop.is_set():
                return
            start = time.monotonic()
            self._begun.put((frame, start, self._edit(frame.image_hwc_bgr, frame.time_s)), "drop")

    def _make(self) -> None:
        for frame, start, make in self._begun:
            if self._stop.is_set():
                return
            image, details = make()
            end = time.monotonic()
            self.clock.edit(frame.time_s, start, end)
            edited = LiveFrame(frame.image_hwc_bgr, image, frame.time_s, end, details)
            if self._each is not None:
                self._each(edited)
            self._done.put(edited, "drop")


@dataclass(frozen=True)
class LiveStats:
    """How it goes: frames captured, edited, and overtaken by a newer one (`dropped`), in all; over the last
    frames, frames a second from the camera, edited and shown; and in ms, medians of the time from capture to
    the start of the edit (`wait_ms`) and to display (`shown_ms`), whose 95th percentile is `shown_p95_ms`.
    """

    captured: int = 0
    edited: int = 0
    dropped: int = 0
    captured_fps: float = 0.0
    edited_fps: float = 0.0
    shown_fps: float = 0.0
    wait_ms: float = 0.0
    shown_ms: float = 0.0
    shown_p95_ms: float = 0.0


class LiveClock:
    """Times of the last frames, and of all the seconds from capture to the end of the edit and to display;
    one writer of each kind, any readers.
    """

    def __init__(self) -> None:
        self._captured: deque[float] = deque(maxlen=WINDOW)
        self._edited: deque[tuple[float, float, float]] = deque(maxlen=WINDOW)
        self._shown: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        self._captured_count = 0
        self.edited_s, self.shown_s = array("f"), array("f")

    def capture(self, now: float) -> None:
        """A frame came from the camera."""
        self._captured.append(now)
        self._captured_count += 1

    def edit(self, captured: float, begun: float, done: float) -> None:
        """A frame that was captured then has been edited."""
        self._edited.append((captured, begun, done))
        self.edited_s.append(done - captured)

    def show(self, captured: float, now: float) -> None:
        """A frame that was captured then has been displayed."""
        self._shown.append((captured, now))
        self.shown_s.append(now - captured)

    def stats(self, dropped: int) -> LiveStats:
        """The figures of now."""
        captured, begun, done = np.array(list(self._edited) or [(0.0, 0.0, 0.0)]).T
        taken, shown = np.array(list(self._shown) or [(0.0, 0.0)]).T
        median, high = 1000 * np.percentile(shown - taken, (50, 95))
        return LiveStats(
            self._captured_count,
            len(self.edited_s),
            dropped,
            captured_fps=_rate(list(self._captured)),
            edited_fps=_rate(done),
            shown_fps=_rate(shown),
            wait_ms=1000 * float(np.median(begun - captured)),
            shown_ms=float(median),
            shown_p95_ms=float(high),
        )


def _rate(times: Sequence[float] | Float64Array) -> float:
    """Frames a second between the first and the last of the times."""
    seconds = float(times[-1] - times[0]) if len(times) else 0.0
    return (len(times) - 1) / seconds if seconds > 0 else 0.0
