"""Live pictures to a file, in a thread of its own: never in the way of the view, safe from a full disk."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import threading
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.frame import PictureType

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import first_line
from aif.runtime.files import put_in_place_or_beside
from aif.runtime.live.drawing import fitted
from aif.runtime.threads import Channel, step_back
from aif.runtime.video.codecs import StreamForm, choose_encoding, open_video_stream
from aif.runtime.video.kinds import VideoError
from aif.runtime.video.pixels import MATRIX_BT709, RANGE_LIMITED, Colour, bgr_to_yuv420p

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")

# Frames that may wait for the encoder; with more, new ones are left out, so that memory has its bound.
WAITING = 16

# What a full disk or a power cut takes is at most so much: fragments and key frames are this far apart.
FRAGMENT_S = 1.0

_TICKS = Fraction(1, 90_000)
_COLOUR = Colour(MATRIX_BT709, RANGE_LIMITED, 1, 1)

# Quick enough for 720p on half a core, and without frames held back.
_LIVE_OPTIONS = {"libx264": {"preset": "superfast", "bf": "0"}, "libx265": {"preset": "ultrafast", "bf": "0"}}


@dataclass(frozen=True)
class Recording:
    """What was recorded: the file (not `kept` where nothing could be), frames and seconds given to the
    encoder, frames for which it was too slow, and why it stopped by itself.
    """

    path: Path
    kept: bool
    frames: int
    seconds: float
    left_out: int
    error: str | None = None


class Recorder:
    """Writes frames with their own times. `put` may be called from any thread and never waits or fails.

    While it is being written the file is called NAME.part, and plays up to its last second even when the
    program is killed (MP4 and MOV are written in fragments); in the end it becomes an ordinary file of its
    name. `error`: why recording stopped by itself; None while it goes on.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float = 30.0,
        quality: int | None = None,
        codec: str | None = None,
        hardware: str | None = None,
        new: bool = False,
    ) -> None:
        """Create the file beside its place; the size is that of the first frame.

        Args:
            path: of one of `SUFFIXES`; what is there in the end is replaced, or stays where this is to be
                `new`, and the recording gets another name.
            fps: about how many frames a second will come; each is shown at its own time.
            quality, codec, hardware: see `choose_encoding`.

        Raises:
            VideoError: an encoder that is not there, or a place that cannot be written.
            ConfigError: codec, quality and suffix do not fit each other.
        """
        self.path = Path(path)
        self._encoding = choose_encoding(self.path, codec, quality, hardware)
        self._fps, self._new = fps, new
        self._part = self.path.with_name(f"{self.path.name}.part")
        if self._part.exists():  # left behind, or another one's: both are better left alone
            self._part = self.path.with_name(f"{self.path.name}.{secrets.token_hex(3)}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._part.touch(exist_ok=False)
        except OSError as error:
            raise VideoError(
                f"Cannot write {self.path}: {error.strerror}.", "Choose another place."
            ) from error
        self._waiting: Channel[tuple[UInt8Array, float]] = Channel(WAITING)
        self.error: str | None = None
        self._frames = self._left_out = 0
        self._first_s = self._last_s = 0.0
        self._output: OutputContainer | None = None
        self._thread = threading.Thread(target=self._work, name="aif-record", daemon=True)
        self._thread.start()

    @property
    def seconds(self) -> float:
        """How long the recording is so far."""
        return self._last_s - self._first_s

    def put(self, image_hwc_bgr: UInt8Array, time_s: float) -> None:
        """Record a frame, uint8 (H, W, 3), not to be changed afterwards, taken at `time_s` of a clock that
        does not go back; it is left out when the encoder is far behind, fitted in where its size is another.
        """
        if self._waiting.closed or self.error is not None:
            return
        if not self._waiting.put((image_hwc_bgr, time_s), "refuse"):
            self._left_out += 1

    @property
    def finished(self) -> bool:
        """Whether the file is in its place, or given up."""
        return not self._thread.is_alive()

    def end(self) -> None:
        """Take no more frames; what waits is written, and the file put in its place, while others work."""
        self._waiting.close()

    def close(self) -> Recording:
        """Wait until what waits is written and the file in its place. Calling it again does no harm."""
        self.end()
        self._thread.join()
        return self._result

    def _work(self) -> None:
        step_back()
        for item in self._waiting:
            if self.error is not None:
                continue
            try:
                self._encode(*item)
            except Exception as error:  # whatever it is, the view goes on
                self.error = _reason(error)
        self._result = self._finish()

    def _encode(self, image: UInt8Array, time_s: float) -> None:
        if self._output is None:
            self._open(image.shape[1], image.shape[0])
            self._first_s = self._last_s = time_s
            self._pts, self._key_s = -1, -FRAGMENT_S
        at = time_s - self._first_s
        picture = bgr_to_yuv420p(fitted(image, self._size), _COLOUR, True)
        self._pts = max(self._pts + 1, round(at / _TICKS))
        picture.pts, picture.time_base = self._pts, _TICKS
        picture.duration = round(1 / self._fps / _TICKS)
        if at - self._key_s >= FRAGMENT_S:
            picture.pict_type, self._key_s = PictureType.I, at
        self._mux(picture)
        self._frames, self._last_s = self._frames + 1, time_s

    def _open(self, width: int, height: int) -> None:
        encoding = self._encoding
        assert encoding.container is not None
        kind = encoding.container.format
        fragments = {"movflags": "hybrid_fragmented+frag_keyframe+empty_moov+default_base_moof"}
        options = {} if kind == "matroska" else fragments
        self._output = av.open(str(self._part), "w", kind, container_options=options)
        self._size = width, height
        rate = Fraction(self._fps).limit_denominator(1000)
        between_keys = max(1, round(10 * FRAGMENT_S * self._fps))  # most are set by the clock
        form = StreamForm(width, height, rate, _TICKS, between_keys, _COLOUR)
        live = dict(encoding.options) | _LIVE_OPTIONS.get(encoding.encoder, {})
        encoding = dataclasses.replace(encoding, options=live, even=True)
        self._stream = open_video_stream(self._output, encoding, form)

    def _mux(self, picture: av.VideoFrame | None) -> None:
        assert self._output is not None
        self._output.mux(self._stream.encode(picture))

    def _finish(self) -> Recording:
        """Close the file and give it its name.

        FFmpeg writes nothing more to a file once a write has failed, so that what came before stays good.
        """
        kept = self._frames > 0
        try:
            if self._output is not None:
                with contextlib.closing(self._output):
                    if self.error is None:
                        self._mux(None)
        except (OSError, ValueError) as error:
            self.error = self.error or _reason(error)
        try:
            if self.error is not None:
                kept = kept and _plays(self._part)
            if kept:
                self.path = put_in_place_or_beside(self._part, self.path, self._new)
            else:
                self._part.unlink(missing_ok=True)
        except OSError as error:
            self.error, kept = self.error or f"{self.path}: {error.strerror}", False
        return Recording(self.path, kept, self._frames, self.seconds, self._left_out, self.error)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or first_line(error)


def _plays(path: Path) -> bool:
    """Whether a file that broke off has a first frame."""
    with contextlib.suppress(OSError, ValueError, LookupError), av.open(str(path)) as film:
        return next(film.decode(video=0), None) is not None
    return False
