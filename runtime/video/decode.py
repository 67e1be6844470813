"""Decoded frames of one stream, with timestamps that only rise, from files as they are found in the wild."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator
from fractions import Fraction

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from aif.runtime.video.open import declared_end

log = logging.getLogger(__name__)

# Before the time to begin at, in seconds: where to look for a key frame, further back each time, for in
# formats without an index a search may end behind the key frame that it needs.
_STEPS_BACK = (0, 10, 60)

# A stream that ends this much before the end that it declares has broken off, in seconds.
_BROKEN_OFF = Fraction(1, 4)

Timed = tuple[av.VideoFrame, int]


class Decoder:
    """Decodes a video stream; corrects timestamps, leaves out damaged packets, and says so at the end.

    A missing timestamp becomes the one before plus a frame's duration, a repeated or backward one a tick more
    than the one before; after that the file's own times count again.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, name: str, step: int) -> None:
        """`step`: ticks between two frames where the file does not say."""
        self._container, self._stream, self._name, self._step = container, stream, name, step
        self._time_base = Fraction(stream.time_base or 1)
        self._last: int | None = None
        self._shown = step
        self._damaged = self._missing = self._moved = 0
        self._broke_off = False

    def frames(self, start: Fraction | None, stop: Fraction | None) -> Generator[Timed, None, None]:
        """Frames and their timestamps in ticks, from the time `start` to before `stop`, in seconds."""
        decoded = self._decoded() if start is None else self._decoded_from(start)
        for frame in decoded:
            pts = self._rising(frame)
            if start is not None and pts * self._time_base < start:
                continue
            if stop is not None and pts * self._time_base >= stop:
                return
            yield frame, pts
        self._say()

    def _decoded_from(self, start: Fraction) -> Generator[av.VideoFrame, None, None]:
        """Decoded frames, the first of them at or before `start` where the file has such a one."""
        for back in _STEPS_BACK:
            if start <= back:
                break
            try:
                self._container.seek(int((start - back) / self._time_base), stream=self._stream)
            except (av.FFmpegError, OSError):
                break
            frames = self._decoded()
            first = next(frames, None)
            if first is not None and first.pts is not None and first.pts * self._time_base <= start:
                yield first
                yield from frames
                return
            frames.close()
        with contextlib.suppress(av.FFmpegError, OSError):
            self._container.seek(0)
        yield from self._decoded()

    def _decoded(self) -> Generator[av.VideoFrame, None, None]:
        """All frames from where the container stands."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                log.info("%s: reading stopped early: %s", self._name, error)
                self._broke_off, packet = True, None
            try:
                yield from self._stream.decode(packet)
            except av.EOFError:
                return
            except av.FFmpegError:
                self._damaged += 1
            if packet is None:
                return

    def _rising(self, frame: av.VideoFrame) -> int:
        """The frame's timestamp, later than the one before."""
        pts = frame.pts
        if pts is None:
            self._missing += 1
            pts = 0 if self._last is None else self._last + (frame.duration or self._step)
        if self._last is not None and pts <= self._last:
            self._moved += 1
            pts = self._last + 1
        self._last, self._shown = pts, frame.duration or self._step
        return pts

    def _say(self) -> None:
        """What was corrected, and whether the file ended before its time; once all frames have been read."""
        for count, what in (
            (self._damaged, "damaged packet{} left out"),
            (self._missing, "frame{} had no timestamp and got the next one in order"),
            (self._moved, "frame{} had the time of the one before, or an earlier one, and got a later one"),
        ):
            if count:
                log.warning("%s: %d %s.", self._name, count, what.format("" if count == 1 else "s"))
        declared = declared_end(self._stream)
        end = None if self._last is None else (self._last + self._shown) * self._time_base
        if declared is not None and end is not None and end < declared - _BROKEN_OFF:
            log.warning(
                "%s breaks off: its video ends at %.2f s instead of %.2f s. What is there is kept.",
                self._name,
                float(end),
                float(declared),
            )
        elif self._broke_off:
            log.warning("%s is damaged at its end. What is there is kept.", self._name)
