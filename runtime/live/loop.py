"""Live editing: capture, looking at frames and making pictures in threads of their own; the newest frame
wins, delay does not grow."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import AifError
from aif.runtime.live.camera import Camera, CameraFormat, Captured
from aif.runtime.live.figures import LiveClock, LiveStats
from aif.runtime.threads import Channel, Failure

log = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 0.5, 5.0
"""Seconds between attempts to open a lost camera again: doubled each time, up to the longest."""


@dataclass(frozen=True)
class LiveFrame:
    """One frame as captured and edited, when it was captured, its edit began and ended, in seconds of
    `time.monotonic`, and what the edit function gave beside the picture.
    """

    original: UInt8Array
    image: UInt8Array
    captured_s: float
    edited_s: float
    details: object = None
    begun_s: float = 0.0


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
    """

    def __init__(
        self,
        connect: Callable[[], Camera],
        edit: Callable[[UInt8Array, float], Callable[[], tuple[UInt8Array, object]]],
        each: Callable[[LiveFrame], None] | None = None,
    ) -> None:
        self._connect, self._edit, self._each = connect, edit, each
        self._stop = threading.Event()
        self._raw: Channel[Captured] = Channel()
        self._begun: Channel[tuple[Captured, float, Callable[[], tuple[UInt8Array, object]]]] = Channel()
        self._done: Channel[LiveFrame] = Channel()
        self._clock, self._failure = LiveClock(), Failure()
        self._status = "connecting"
        self._granted = CameraFormat()
        camera = connect()  # the first failure is the caller's
        self._granted, self._status = camera.granted, f"{camera.name}: {camera.granted}"
        self._connected, self._heard = True, time.monotonic()
        self._threads = [
            threading.Thread(target=self._guard, args=(work, *arguments), name=name, daemon=True)
            for name, work, *arguments in (
                ("aif-capture", self._capture, camera),
                ("aif-look", self._look),
                ("aif-edit", self._make),
            )
        ]
        for thread in self._threads:
            thread.start()

    @property
    def status(self) -> str:
        """One line on the camera: its name and format, or why there is no picture."""
        return self._status

    @property
    def connected(self) -> bool:
        """Whether the camera is open; False while a lost one is awaited, and after the end."""
        return self._connected

    @property
    def silence_s(self) -> float:
        """Seconds since the camera gave a frame, or was opened."""
        return time.monotonic() - self._heard

    @property
    def granted(self) -> CameraFormat:
        """Size, rate and pixel format that the camera gave."""
        return self._granted

    def next(self, timeout: float | None = None) -> LiveFrame | None:
        """The newest edited frame that was not shown yet; None after `timeout` seconds, or at the end.

        Raises:
            Exception: whatever the camera or the edit raised, once.
        """
        frame = self._done.take(timeout)
        if frame is None:
            self._failure.raise_once()
        return frame

    def shown(self, frame: LiveFrame) -> None:
        """Say that a frame has just been displayed, for the figures."""
        self._clock.show(frame.captured_s, time.monotonic())

    @property
    def ended(self) -> bool:
        """Whether no frame will come any more."""
        return self._done.closed

    def __iter__(self) -> Iterator[LiveFrame]:
        while not self.ended:
            if (frame := self.next(0.5)) is not None:
                yield frame
        self._failure.raise_once()

    def stats(self) -> LiveStats:
        """Rates and latencies over the last frames."""
        return self._clock.stats(self._raw.dropped + self._begun.dropped)

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

    def _guard(self, work: Callable[..., None], *arguments: object) -> None:
        try:
            work(*arguments)
        except BaseException as error:
            self._failure.keep(error)
        finally:
            self._end()

    def _end(self) -> None:
        for channel in (self._raw, self._begun, self._done):
            channel.close()

    def _capture(self, camera: Camera) -> None:
        current: Camera | None = camera
        try:
            while not self._stop.is_set():
                if current is None and (current := self._reconnect()) is None:
                    return
                frame = current.read()
                if frame is None:
                    endless, name = current.endless, current.name
                    current.close()
                    current, self._connected = None, False
                    if not endless:
                        self._status = f"{name}: the end"
                        return
                    self._status = f"{name} gives no more frames"
                    log.warning("%s; trying to open it again", self._status)
                    continue
                self._heard = time.monotonic()
                self._clock.capture(self._heard)
                self._raw.put(frame, "drop")
        finally:
            if current is not None:
                current.close()

    def _reconnect(self) -> Camera | None:
        wait, attempt = FIRST_WAIT, 1
        while not self._stop.wait(wait):
            try:
                camera = self._connect()
            except AifError as error:
                reason = error.message
                self._status = f"{reason} Attempt {attempt}, next in {min(2 * wait, LONGEST_WAIT):g} s."
                log.warning("%s", self._status)
            else:
                self._granted = camera.granted
                self._status = f"{camera.name}: {camera.granted}"
                self._connected, self._heard = True, time.monotonic()
                log.warning("%s is back: %s", camera.name, camera.granted)
                return camera
            wait, attempt = min(2 * wait, LONGEST_WAIT), attempt + 1
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
            self._clock.edit(frame.time_s, start, end)
            edited = LiveFrame(frame.image_hwc_bgr, image, frame.time_s, end, details, start)
            if self._each is not None:
                self._each(edited)
            self._done.put(edited, "drop")
