"""Video files, frame by frame: upright BGR pictures, each with its own timestamp."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Self, cast

import av
import cv2
import numpy as np
from av.format import Flags

from aif.runtime.arrays import UInt8Array
from aif.runtime.image.meta import upright
from aif.runtime.video.decode import Decoder, Timed
from aif.runtime.video.deep import HLG, PQ, Deep, Planes, resized
from aif.runtime.video.kinds import VideoError
from aif.runtime.video.open import declared_end, open_video, stream_name, video_stream
from aif.runtime.video.pixels import Colour, bits, frame_to_bgr, is_coloured_yuv, is_see_through, orientation

log = logging.getLogger(__name__)

# For the rare file that names no frame rate: to guess missing timestamps and durations with.
_DEFAULT_RATE = Fraction(25)


@dataclass(frozen=True)
class VideoFrame:
    """One frame of a video, upright: uint8 (H, W, 3), its time and duration in ticks of `time_base` seconds
    (duration 0 where the file does not say), its place among the frames read, and its 10-bit samples where
    the image is only a copy of them (see `Deep`).
    """

    image_hwc_bgr: UInt8Array
    pts: int
    time_base: Fraction
    index: int
    duration: int = 0
    planes: Planes | None = None

    @property
    def time_s(self) -> float:
        """When it is shown, in seconds on the file's clock."""
        return float(self.pts * self.time_base)


class VideoSource:
    """The frames of a video, or of a part of it, in the order in which they are shown; once. For one thread.

        with VideoSource("in.mp4", start_s=2.5) as source:
            for frame in source:
                ...

    Kept going, and said in a log line: missing, repeated and backward timestamps (see `Decoder`), damaged
    packets, a file that breaks off (all frames up to there), frames of another size (resized to the first).

    Attributes:
        width, height: of the frames in pixels, as shown.
        rate: average frames a second.
        time_base: seconds a tick of `VideoFrame.pts`.
        duration_s, estimated_frames: of the wanted part; None where the file does not say.
        audio, subtitles: names of the streams, such as "aac 44100 Hz stereo (deu)".
        colour, pixel_aspect: what the images' numbers mean, and width of a pixel divided by its height.
        deep: of films of more than 8 bits; else None.
        metadata, stream_metadata: texts of the container and of the video stream.
        whole: the video was asked for from its start to its end.
        start, end: of what has been read so far, in seconds on the file's clock.
        stop: time at which the wanted part ends, on the same clock; None = the end of the file.
        shift: seconds to take off every time when writing, sound included: `start` of a part, or of a video
            that begins before zero; the start of the clock of a broadcast; else 0.
        count, exhausted: frames read so far, and whether there are no more.
        convert_s: seconds spent on the change of colours.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        start_s: float | None = None,
        end_s: float | None = None,
        fps: Fraction | float | None = None,
    ) -> None:
        """Open a video and decode its first frame.

        Args:
            path: a video file, a GIF, or a numbered sequence of pictures such as "frame_%03d.png".
            start_s, end_s: leave out what begins before, and at or after so many seconds; None = nothing.
            fps: frames a second of a sequence; None for other videos.

        Raises:
            VideoError: missing, no video, damaged from the start, no frame in the wanted part, or a sequence
                without fps.
        """
        self.path = Path(path)
        self.count, self.exhausted, self.convert_s = 0, False, 0.0
        self._next: Timed | None = None
        self._container = open_video(self.path, fps)
        try:
            self._stream = video_stream(self._container, self.path)
            self._describe(start_s, end_s)
            self._next = self._first()
        except BaseException:
            self._container.close()
            raise

    def __iter__(self) -> Iterator[VideoFrame]:
        """The frames that have not been read yet."""
        while self._next is not None:
            frame, pts = self._next
            index, self.count = self.count, self.count + 1
            self.end = (pts + (frame.duration or self._step)) * self.time_base
            start = time.perf_counter()
            image, planes = self._upright(frame)
            self.convert_s += time.perf_counter() - start
            self._next = next(self._frames, None)
            yield VideoFrame(image, pts, self.time_base, index, frame.duration, planes)
        self.exhausted = True

    def close(self) -> None:
        """Close the file. Calling it twice does no harm."""
        self._next = None
        self._frames.close()
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _describe(self, start_s: float | None, end_s: float | None) -> None:
        """All that the container says; nothing is decoded."""
        container, stream = self._container, self._stream
        self.time_base = Fraction(stream.time_base or 1)
        self.rate = Fraction(stream.average_rate or stream.guessed_rate or _DEFAULT_RATE)
        self._step = round(1 / self.rate / self.time_base) or 1
        self.audio = tuple(stream_name(each) for each in container.streams.audio)
        self.subtitles = tuple(stream_name(each) for each in container.streams.subtitles)
        self.metadata, self.stream_metadata = dict(container.metadata), dict(stream.metadata)
        self.whole = start_s is None and end_s is None
        self._resized = False
        # The clock of a broadcast (MPEG-TS) shows any time of day: zero is where its first stream begins.
        begins = [
            each.start_time * each.time_base
            for each in container.streams
            if each.start_time is not None and each.time_base
        ]
        broadcast = bool(container.format.flags & int(cast(Any, Flags.ts_discont).value))
        origin = min(begins, default=Fraction(0)) if broadcast else Fraction(0)
        self._origin = origin // self.time_base * self.time_base
        self._from = None if start_s is None else self._origin + _exact(start_s)
        self.stop = None if end_s is None else self._origin + _exact(end_s)
        decoder = Decoder(container, stream, str(self.path), self._step)
        self._frames = decoder.frames(self._from, self.stop)

    def _first(self) -> Timed:
        """The first wanted frame, and all that only a frame says."""
        declared = declared_end(self._stream)
        if declared is None and self._container.duration is not None:
            declared = self._origin + Fraction(self._container.duration, av.time_base)
        held = next(self._frames, None)
        if held is None:
            if self.whole:
                raise VideoError(f"{self.path} is damaged: not one frame can be decoded.")
            length = None if declared is None else f"It is {float(declared - self._origin):.2f} seconds long."
            raise VideoError(f"{self.path} has no frame in the part that was asked for.", length)
        frame, pts = held
        self.start = self.end = pts * self.time_base
        self.shift = self._origin if self._from is None else self.start
        if self.start < self.shift:
            log.warning("%s begins %.3f s before zero; all is moved there.", self.path, -float(self.start))
            self.shift = self.start
        self._look_at(frame)
        ends = [each for each in (declared, self.stop) if each is not None]
        self.duration_s = max(0.0, float(min(ends) - self.start)) if ends else None
        guess = max(1, round((min(ends) - self.start) * self.rate)) if ends else None
        self.estimated_frames = self._stream.frames if self.whole and self._stream.frames else guess
        return held

    def _look_at(self, frame: av.VideoFrame) -> None:
        """Colours, size and position from the first frame; says what will be lost."""
        self.colour = Colour.of(frame)
        self.deep: Deep | None = None
        if is_coloured_yuv(frame) and (bits(frame) > 8 or self.colour.transfer in (PQ, HLG)):
            self.deep = Deep(self.colour)
            self.colour = self.deep.copy_colour
        turned = orientation(frame)
        if turned is None:
            log.warning("%s is to be shown at a slant, which aif does not do.", self.path)
        self._orientation = turned or 1
        self.pixel_aspect = Fraction(self._stream.sample_aspect_ratio or 1)
        self.width, self.height = frame.width, frame.height
        if self._orientation >= 5:  # of EXIF's numbers, those that exchange rows and columns
            self.width, self.height = self.height, self.width
            self.pixel_aspect = 1 / self.pixel_aspect
        kept = 8 if self.deep is None else 10
        if bits(frame) > kept:
            log.warning("%s has %d bits a channel; %d are read.", self.path, bits(frame), kept)
        if is_see_through(frame):
            log.warning("%s is transparent in parts; they become white.", self.path)

    def _upright(self, frame: av.VideoFrame) -> tuple[UInt8Array, Planes | None]:
        """The image, and the 10-bit samples that it is a copy of."""
        if self.deep is not None:
            planes = self.deep.planes(frame, self._orientation)
            if planes[0].shape != (self.height, self.width):
                self._say_resized(planes[0])
                planes = resized(planes, self.width, self.height)
            return self.deep.copy(planes), planes
        image = np.ascontiguousarray(upright(frame_to_bgr(frame, self.colour), self._orientation))
        if image.shape[:2] == (self.height, self.width):
            return image, None
        self._say_resized(image)
        grown = cv2.resize(image, (self.width, self.height), interpolation=cv2.INTER_AREA)
        return np.asarray(grown, dtype=np.uint8), None

    def _say_resized(self, image: np.ndarray[Any, Any]) -> None:
        if not self._resized:
            self._resized = True
            size = f"{image.shape[1]} x {image.shape[0]}"
            log.warning("%s changes its size to %s; it is resized to the first frame's.", self.path, size)


def _exact(seconds: float) -> Fraction:
    """The time that was meant: 0.04 is 1/25, not the next number that a float can hold."""
    return Fraction(seconds).limit_denominator(1_000_000)
