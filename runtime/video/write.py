"""Edited frames to a video file that differs from its source in nothing but the pixels, or to pictures."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
import cv2

from aif.runtime.arrays import UInt8Array
from aif.runtime.files import part_beside, put_in_place_or_beside
from aif.runtime.image.io import write_bytes
from aif.runtime.video.codecs import StreamForm, choose_encoding, open_video_stream
from aif.runtime.video.deep import deep_frame
from aif.runtime.video.kinds import VideoError, is_sequence, sequence_name
from aif.runtime.video.open import gif_loops
from aif.runtime.video.pixels import Palette, bgr_to_yuv420p
from aif.runtime.video.read import VideoFrame, VideoSource
from aif.runtime.video.streams import Passage, kept_texts

log = logging.getLogger(__name__)

# Containers that count time in ticks of their own, in seconds; the others take the source's.
_OWN_TICKS = {"matroska": Fraction(1, 1000), "webm": Fraction(1, 1000), "gif": Fraction(1, 100)}

# What a muxer writes itself.
_MUXERS_OWN = {"encoder", "major_brand", "minor_version", "compatible_brands", "duration"}

KEYFRAME_INTERVAL = 250


class VideoSink:
    """Writes edited frames, with the source's timestamps, sound, subtitles, colours and texts. For one
    thread.

        with VideoSource("in.mp4") as source, VideoSink("out.mp4", source) as sink:
            for frame in source:
                sink.write(edit(frame.image_hwc_bgr, frame.time_s), frame)

    Each frame keeps its own timestamp to the tick in MP4 and MOV; Matroska and WebM count in milliseconds and
    GIF in hundredths of a second, to which times are rounded one by one, so that no error adds up.

    The file is written beside its place and renamed when whole: on leaving the `with` block without an error,
    and also on KeyboardInterrupt, when it holds what had been done. After any other error nothing is left.

    H.264 and H.265 with 4:2:0 chroma, the one kind that plays everywhere, need even sides: an odd one grows
    by one pixel, a copy of its neighbour. A film of 10 bits, HDR or not, stays so in H.265 (the default then)
    and AV1, if the frames have its size; else the images' own colours are written, which of HDR are BT.709.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        like: VideoSource,
        codec: str | None = None,
        quality: int | None = None,
        hardware: str | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Open the encoder and the file beside `path`.

        Args:
            path: .mp4, .m4v, .mov, .mkv, .webm or .gif; folders are made; a link is followed.
            like: the source of the frames; it is read again for the sound.
            codec, quality, hardware: see `choose_encoding`.
            size: width and height of the frames in pixels; None = the source's.

        Raises:
            ConfigError: codec, quality and suffix do not fit each other.
            VideoError: an encoder that does not open, sound that does not fit into such a file, or a place
                that cannot be written.
        """
        self.path = Path(path)
        self.frames, self.convert_s = 0, 0.0
        self.new = False  # True: what has come to the place by the end stays, the video gets another name
        self._like = like
        self._held: av.VideoFrame | None = None
        self._last = 0
        self._passage: Passage | None = None
        size = size or (like.width, like.height)
        deep = like.deep is not None and size == (like.width, like.height)
        self._encoding = choose_encoding(self.path, codec, quality, hardware, deep)
        self._deep = like.deep if self._encoding.deep else None
        if self._deep is None:
            _say_flattened(self.path, like)
        container = self._encoding.container
        if container is None:
            raise VideoError(f"{path} is for numbered pictures.", "Use open_sink() or SequenceSink for them.")
        with contextlib.suppress(OSError, RuntimeError):
            self.path = self.path.resolve()  # replace what a link points to, not the link
        self._part = part_beside(self.path)
        ticks = _OWN_TICKS.get(container.format)
        self._ticks = like.time_base if ticks is None else ticks
        options = {"movie_timescale": str(like.time_base.denominator)} if ticks is None else {}
        if self._encoding.codec == "gif" and like.path.suffix.lower() == ".gif":
            options["loop"] = str(gif_loops(like.path))
        with _writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._part.touch(exist_ok=False)
            self._output = av.open(str(self._part), "w", container.format, container_options=options)
        try:
            self._open_encoder(size)
            self._add_streams(ticks is None)
        except BaseException:
            self.discard()
            raise

    def _open_encoder(self, size: tuple[int, int]) -> None:
        like, encoding = self._like, self._encoding
        colour = like.colour if self._deep is None else self._deep.colour
        form = StreamForm(*size, like.rate, self._ticks, KEYFRAME_INTERVAL, colour, like.pixel_aspect)
        self._shape, self._stream = (size[1], size[0], 3), open_video_stream(self._output, encoding, form)
        wide, high = self._stream.width, self._stream.height
        if (wide, high) != size:
            what = "%s: %s needs even sides: %d x %d becomes %d x %d, the edge repeated."
            log.warning(what, self.path, encoding.codec, *size, wide, high)
        self._palette = Palette(wide, high, self._ticks) if encoding.codec == "gif" else None
        if encoding.codec == "gif" and like.rate > 50 and like.estimated_frames != 1:
            log.warning("%s: GIF viewers show at most 50 frames a second.", self.path)
        self._stream.metadata.update(kept_texts(like.stream_metadata))

    def _add_streams(self, signed: bool) -> None:
        like = self._like
        texts = {key: text for key, text in like.metadata.items() if key.lower() not in _MUXERS_OWN}
        self._output.metadata.update(texts)
        if self._encoding.codec == "gif" or is_sequence(like.path):
            if like.audio or like.subtitles:
                log.warning("%s: a GIF has no sound and no subtitles; they are left out.", self.path)
            return
        self._passage = Passage(self._output, like, signed)

    def write(self, image_hwc_bgr: UInt8Array, frame: VideoFrame) -> None:
        """Encode one frame, uint8 (H, W, 3) of the sink's size, to be shown when `frame` of the source was.

        Raises:
            VideoError: the disk is full or the place has gone.
            ValueError: the image has another size.
        """
        if image_hwc_bgr.shape != self._shape:
            raise ValueError(f"the frame is {image_hwc_bgr.shape}, the video {self._shape}")
        at = frame.pts * frame.time_base - self._like.shift
        shown = frame.duration * frame.time_base or 1 / self._like.rate
        picture, pts = self._picture(image_hwc_bgr, frame), round(at / self._ticks)
        before, self._held = self._held, None
        if before is not None:
            # Only now is it known how long the one before is shown.
            pts = max(pts, self._last + 1)
            before.duration = pts - self._last
            self._encode(before)
        picture.pts, picture.time_base = pts, self._ticks
        picture.duration = max(1, round(shown / self._ticks))
        self._held, self._last, self._until = picture, pts, at + shown
        if self._passage is not None:
            with _writing(self.path):
                self._passage.up_to(at)
        self.frames += 1

    def _picture(self, image_hwc_bgr: UInt8Array, frame: VideoFrame) -> av.VideoFrame:
        start = time.perf_counter()
        if self._deep is not None and frame.planes is not None:
            planes = self._deep.changed(frame.planes, frame.image_hwc_bgr, image_hwc_bgr)
            picture = deep_frame(planes, self._encoding.even)
            picture.color_range, picture.colorspace = self._deep.colour.range, self._deep.colour.matrix
        elif self._palette is not None:
            picture = av.VideoFrame.from_ndarray(image_hwc_bgr, format="bgr24")
        else:
            picture = bgr_to_yuv420p(image_hwc_bgr, self._like.colour, self._encoding.even)
        self.convert_s += time.perf_counter() - start
        return picture

    def _encode(self, picture: av.VideoFrame | None) -> None:
        """Hand a picture, or the end, to the encoder, and what comes out of it to the file."""
        with _writing(self.path):
            for each in [picture] if self._palette is None else self._palette.indexed(picture):
                self._output.mux(self._stream.encode(each))

    def finish(self) -> None:
        """Write what is left and put the file in its place; VideoError where the disk is full."""
        try:
            if self.frames:
                if self._held is not None:
                    self._encode(self._held)
                self._encode(None)
                with _writing(self.path):
                    self._put_in_place()
        finally:
            self.discard()

    def _put_in_place(self) -> None:
        like = self._like
        end: Fraction | None = self._until
        if like.exhausted and self.frames == like.count:
            end = None if like.stop is None else like.stop - like.shift
        if self._passage is not None:
            self._passage.finish(end)
            self._passage.close()  # a file that is open cannot be replaced on Windows
        self._output.close()
        self.path = put_in_place_or_beside(self._part, self.path, self.new)

    def discard(self) -> None:
        """Give up: close and remove what is not in its place. Calling it twice does no harm."""
        self._held = None
        if self._passage is not None:
            self._passage.close()
        with contextlib.suppress(av.FFmpegError, OSError):
            self._output.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, KeyboardInterrupt):
            self.finish()
        else:
            self.discard()


class SequenceSink:
    """Writes edited frames as numbered PNG pictures, from 1 on; times and sound have no place there."""

    def __init__(self, path: str | os.PathLike[str], like: VideoSource) -> None:
        """Prepare to write; `path` is a pattern of PNG files (see `open_sink`)."""
        self.path = Path(path)
        self.frames, self.new = 0, False
        _say_flattened(self.path, like)
        if like.audio or like.subtitles:
            log.warning("%s: pictures have no sound and no subtitles; they are left out.", self.path)

    def write(self, image_hwc_bgr: UInt8Array, frame: VideoFrame) -> None:
        """Write one picture, uint8 (H, W, 3); ImageError where the place cannot be written."""
        ok, data = cv2.imencode(".png", image_hwc_bgr)
        assert ok, "PNG takes every picture of this shape"
        self.frames += 1
        write_bytes(self.path.with_name(sequence_name(self.path, self.frames)), data.tobytes(), self.new)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do: each picture is whole when it is written."""


def open_sink(
    path: str | os.PathLike[str],
    like: VideoSource,
    codec: str | None = None,
    quality: int | None = None,
    hardware: str | None = None,
    size: tuple[int, int] | None = None,
) -> VideoSink | SequenceSink:
    """The sink for a path: numbered pictures for a pattern, else a video. Arguments and errors as there."""
    if choose_encoding(Path(path), codec, quality, hardware).codec == "png":
        return SequenceSink(path, like)
    return VideoSink(path, like, codec, quality, hardware, size)


def _say_flattened(path: Path, like: VideoSource) -> None:
    """Say what a film of more than eight bits loses where its result holds eight."""
    if like.deep is not None:
        what = "HDR becomes SDR (BT.709, tone mapped)" if like.deep.is_hdr else "10 bits a channel become 8"
        log.warning("%s: %s; .mp4, .mov and .mkv keep it in H.265, .webm in AV1.", path, what)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or error
        raise VideoError(f"Cannot write {path}: {reason}.", "Choose another place with --out.") from error
