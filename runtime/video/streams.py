"""Sound and subtitles from one file to another, packet by packet; decoded only where WebM asks for Opus."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from aif.runtime.video.kinds import VideoError
from aif.runtime.video.open import open_video, stream_name
from aif.runtime.video.read import VideoSource

log = logging.getLogger(__name__)

# Texts about the stream as it was stored, which the result's own muxer writes anew.
_STALE = ("rotate", "encoder", "vendor_id", "duration", "bps", "number_of_frames", "number_of_bytes")

# Of sound by its channels, as Opus knows them; others become stereo.
_LAYOUTS = {1: "mono", 6: "5.1", 8: "7.1"}

# Packets of different streams may lie out of order in a file by so many seconds.
_OUT_OF_ORDER = 5


def kept_texts(metadata: dict[str, str]) -> dict[str, str]:
    """A stream's metadata without what describes how it was stored."""
    return {
        key: value
        for key, value in metadata.items()
        if key.lower().partition("-")[0] not in _STALE and not key.upper().startswith("_STATISTICS")
    }


class Passage:
    """Carries the sound and subtitle streams of a source into the container of its edited video.

    Packets keep their bytes, and their times less the source's shift. Those before the wanted part, or from
    its end on, are left out. Encoders put a little silence before time zero; where the container knows no
    such times (Matroska and WebM do for Opus only) it is left out, too, for else everything would be moved.
    Sound that WebM cannot hold becomes Opus.
    """

    def __init__(self, output: OutputContainer, like: VideoSource, signed: bool) -> None:
        """Add the streams to `output`, before anything is written; `signed`: it knows times below zero.
        VideoError where its kind of file cannot hold the sound.
        """
        self._output, self._like = output, like
        self._signed = signed
        self._input = open_video(like.path)
        self._streams: dict[int, Stream] = {}
        self._from_zero: set[int] = set()
        self._opus: dict[int, AudioStream] = {}
        try:
            for stream in (*self._input.streams.audio, *self._input.streams.subtitles):
                self._add(stream)
            if like.whole:
                output.set_chapters(self._input.chapters())
            elif self._streams:
                # To somewhere before; where that fails, reading begins at the front and takes longer.
                with contextlib.suppress(av.FFmpegError, OSError):
                    self._input.seek(max(0, int((like.start - 1) * av.time_base)))
        except BaseException:
            self._input.close()
            raise
        self._packets = self._read()
        self._held = next(self._packets, None)

    def _add(self, stream: Stream) -> None:
        path, kind = self._like.path, self._output.format.name
        try:
            copy = self._opus_for(stream) or self._output.add_stream_from_template(stream)
        except (ValueError, av.FFmpegError) as error:
            if stream.type == "audio":
                raise VideoError(
                    f"The sound of {path} ({stream_name(stream)}) cannot be stored in {kind} files.",
                    "Write to a file that can hold anything: --out NAME.mkv",
                ) from error
            what = "%s: subtitles (%s) do not fit into %s files and are left out; .mkv holds them."
            log.warning(what, path, stream_name(stream), kind)
            return
        copy.metadata.update(kept_texts(stream.metadata))
        copy.disposition = stream.disposition
        self._streams[stream.index] = copy
        if not self._like.whole or not (self._signed or stream.codec_context.name.endswith("opus")):
            self._from_zero.add(stream.index)

    def _opus_for(self, stream: Stream) -> AudioStream | None:
        """A stream that Opus is encoded into, for sound that WebM cannot hold; else None."""
        if self._output.format.name != "webm" or not isinstance(stream, AudioStream):
            return None
        if stream.codec_context.name in ("opus", "libopus", "vorbis", "libvorbis"):
            return None
        made = self._output.add_stream("libopus", rate=48_000)
        made.codec_context.layout = _LAYOUTS.get(stream.codec_context.channels, "stereo")
        made.codec_context.bit_rate = 64_000 * made.codec_context.layout.nb_channels
        log.warning(
            "%s: WebM cannot hold its sound (%s); it becomes Opus.", self._like.path, stream_name(stream)
        )
        self._opus[stream.index] = made
        return made

    def _read(self) -> Iterator[tuple[Fraction, Packet[Stream]]]:
        """Packets that belong into the result, at their times there."""
        if not self._streams:
            return
        try:
            for packet in self._input.demux([self._input.streams[index] for index in self._streams]):
                ticks = packet.pts if packet.pts is not None else packet.dts
                if ticks is None or not packet.size:
                    continue
                time = ticks * Fraction(packet.time_base) - self._like.shift
                if time >= 0 or packet.stream_index not in self._from_zero:
                    yield time, packet
        except (av.FFmpegError, OSError) as error:
            log.warning("%s: the sound breaks off: %s", self._like.path, error)

    def up_to(self, time: Fraction) -> None:
        """Write the packets up to the first that begins at `time` or later, in seconds of the result."""
        while self._held is not None and self._held[0] < time:
            self._write()

    def finish(self, end: Fraction | None) -> None:
        """Write the further packets that begin before `end`, in seconds of the result; None = all."""
        while self._held is not None and (end is None or self._held[0] < end + _OUT_OF_ORDER):
            if end is None or self._held[0] < end:
                self._write()
            else:
                self._held = next(self._packets, None)
        for opus in self._opus.values():
            self._output.mux(opus.encode(None))

    def _write(self) -> None:
        assert self._held is not None
        packet, self._held = self._held[1], next(self._packets, None)
        if packet.stream_index in self._opus:
            self._encode(packet)
            return
        shift = round(self._like.shift / packet.time_base)
        if packet.pts is not None:
            packet.pts -= shift
        if packet.dts is not None:
            packet.dts -= shift
        packet.stream = self._streams[packet.stream_index]
        self._output.mux(packet)

    def _encode(self, packet: Packet[Stream]) -> None:
        """A packet's sound as Opus."""
        opus = self._opus[packet.stream_index]
        try:
            frames = cast(list[av.AudioFrame], packet.decode())
        except av.FFmpegError as error:
            log.info("%s: damaged sound is left out: %s", self._like.path, error)
            return
        for frame in frames:
            if frame.pts is not None and frame.time_base is not None:
                frame.pts -= round(self._like.shift / frame.time_base)
            self._output.mux(opus.encode(frame))

    def close(self) -> None:
        """Close the file that is read from."""
        self._held = None
        self._input.close()
