"""What aif writes videos with: containers by suffix, encoders, one scale of quality for all of them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, cast, get_args

import av
from av.codec.context import Flags
from av.codec.hwaccel import HWAccel
from av.container import OutputContainer
from av.video.stream import VideoStream

from aif.runtime.errors import ConfigError, nearest_names
from aif.runtime.video.deep import FORMAT
from aif.runtime.video.kinds import VideoError, is_sequence
from aif.runtime.video.pixels import Colour

Codec = Literal["h264", "h265", "vp9", "av1", "gif", "png"]
Hardware = Literal["nvenc", "videotoolbox", "vaapi", "qsv", "amf"]

# Quality that looks like the original to most eyes: libx264's CRF 18, or 17 with its preset veryfast, which
# takes half the time of preset faster for 0.9 to 1.1 times the bytes.
DEFAULT_QUALITY = 75


@dataclass(frozen=True)
class Container:
    """A kind of file: FFmpeg's name of it, and what may be in it, the usual codec first."""

    format: str
    codecs: tuple[Codec, ...]


_MP4 = Container("mp4", ("h264", "h265", "av1", "vp9"))
CONTAINERS: dict[str, Container] = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": Container("mov", ("h264", "h265")),
    ".mkv": Container("matroska", ("h264", "h265", "av1", "vp9")),
    ".webm": Container("webm", ("vp9", "av1")),
    ".gif": Container("gif", ("gif",)),
}


@dataclass(frozen=True)
class _Encoder:
    """An encoder on the processor: its CRF at quality 75, and by how much CRF rises with each step below."""

    name: str
    crf: float
    step: float
    options: dict[str, str] = field(default_factory=dict)
    even: bool = False


_SOFTWARE: dict[Codec, _Encoder] = {
    "h264": _Encoder("libx264", 17, 0.4, {"preset": "veryfast"}, even=True),
    "h265": _Encoder("libx265", 22, 0.38, {"preset": "fast", "x265-params": "log-level=none"}, even=True),
    "vp9": _Encoder("libvpx-vp9", 24, 0.5, {"b:v": "0", "row-mt": "1", "deadline": "good", "cpu-used": "4"}),
    "av1": _Encoder("libsvtav1", 26, 0.48, {"preset": "8"}),
}
# Encoders that take 10 bits and whose films are played with them; of H.264, hardly any player does.
_DEEP: tuple[Codec, ...] = ("h265", "av1")
_FAMILY: dict[Codec, str] = {"h264": "h264", "h265": "hevc", "av1": "av1", "vp9": "vp9"}

# What hardware encoders call constant quality; {crf} is that of H.264's scale, {lambda} that of -q:v.
_CONSTANT_QUALITY: dict[Hardware, dict[str, str]] = {
    "nvenc": {"rc": "vbr", "cq": "{crf}", "b": "0"},
    "videotoolbox": {"flags": "+qscale", "global_quality": "{lambda}"},
    "vaapi": {"rc_mode": "CQP", "qp": "{crf}"},
    "qsv": {"global_quality": "{crf}"},
    "amf": {"rc": "cqp", "qp_i": "{crf}", "qp_p": "{crf}"},
}
_NEEDS: dict[Hardware, str] = {
    "nvenc": "It needs an NVIDIA card with an encoder (data-centre cards often have none) and its driver.",
    "videotoolbox": "It needs a Mac.",
    "vaapi": "It needs Linux, an Intel or AMD card, its VA-API driver and access to /dev/dri/renderD128.",
    "qsv": "It needs an Intel processor or card with Quick Sync, and its driver.",
    "amf": "It needs Windows, an AMD card and its driver.",
}


@dataclass(frozen=True)
class Encoding:
    """How a video is to be written; `container` None means numbered pictures, `even` even sides only."""

    container: Container | None
    codec: Codec
    encoder: str
    options: dict[str, str] = field(default_factory=dict)
    even: bool = False
    hardware: Hardware | None = None
    deep: bool = False
    """With 10 bits a channel."""


def choose_encoding(
    path: Path,
    codec: str | None = None,
    quality: int | None = None,
    hardware: str | None = None,
    deep: bool = False,
) -> Encoding:
    """The encoding for a file by its suffix and the user's choices.

    Args:
        path: of the file to write; a pattern such as "out/%04d.png" means numbered pictures.
        codec: one of `Codec`; None = the usual one for the suffix.
        quality: constant quality, 1 to 100; None = 75, which looks like the original. GIF and PNG have none.
        hardware: one of `Hardware`; None = the processor, which gives better pictures in fewer bytes.
        deep: 10 bits are to be kept where codec, hardware and kind of file allow it.

    Raises:
        ConfigError: no such kind of file; an unknown or unfitting codec, quality or hardware.
        VideoError: this build of FFmpeg lacks the encoder.
    """
    _check("codec", codec, get_args(Codec))
    _check("hardware", hardware, get_args(Hardware))
    if quality is not None and not 1 <= quality <= 100:
        raise ConfigError(f"The quality must be 1 to 100, not {quality}.")
    if is_sequence(path) or path.suffix.lower() == ".png":
        return _pictures(path, codec, hardware)
    container = CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise ConfigError(
            f"aif cannot write videos of the kind {path.suffix!r}.",
            f"Use one of: {', '.join(CONTAINERS)}, or numbered pictures: frames/%04d.png",
        )
    usual = [each for each in container.codecs if each in _DEEP] if deep and hardware is None else []
    chosen = (usual or container.codecs)[0] if codec is None else cast(Codec, codec)
    if chosen not in container.codecs:
        fitting = [suffix for suffix, kind in CONTAINERS.items() if chosen in kind.codecs]
        raise ConfigError(
            f"{path.suffix} files cannot hold {chosen}.",
            f"It can hold {', '.join(container.codecs)}; {chosen} goes into "
            f"{', '.join(fitting) or 'numbered pictures: frames/%04d.png'}.",
        )
    distance = 0 if quality is None else DEFAULT_QUALITY - quality
    if hardware is not None:
        return _on_hardware(container, chosen, distance, cast(Hardware, hardware))
    if chosen == "gif":
        return Encoding(container, chosen, "gif")
    known = _SOFTWARE[chosen]
    if known.name not in av.codecs_available:
        there = [name for name, each in _SOFTWARE.items() if each.name in av.codecs_available]
        raise VideoError(
            f"This build of FFmpeg has no encoder {known.name}.", f"It has: --codec {' or '.join(there)}"
        )
    if chosen == "av1":
        os.environ.setdefault("SVT_LOG", "1")  # its banner would go around every log setting
    options = {**known.options, "crf": str(round(known.crf + known.step * distance))}
    return Encoding(container, chosen, known.name, options, known.even, deep=deep and chosen in _DEEP)


def _on_hardware(container: Container, codec: Codec, distance: int, hardware: Hardware) -> Encoding:
    name = f"{_FAMILY.get(codec, codec)}_{hardware}"
    if name not in av.codecs_available:
        known = {f"{family}_{kind}" for family in _FAMILY.values() for kind in get_args(Hardware)}
        there = sorted(known & av.codecs_available)
        raise VideoError(
            f"This build of FFmpeg has no encoder {name}.",
            f"{_NEEDS[hardware]} This build knows {', '.join(there) or 'none'}; leave out --hardware to use "
            "the processor.",
        )
    crf = round(_SOFTWARE["h264"].crf + _SOFTWARE["h264"].step * distance)
    scale = {"crf": str(crf), "lambda": str(118 * max(1, 65 - distance))}
    options = {key: value.format(**scale) for key, value in _CONSTANT_QUALITY[hardware].items()}
    return Encoding(container, codec, name, options, even=True, hardware=hardware)


def _pictures(path: Path, codec: str | None, hardware: str | None) -> Encoding:
    number_them = f"Number them: {path.with_name('%04d.png')}"
    if path.suffix.lower() != ".png":
        raise ConfigError(f"{path}: numbered pictures are written as PNG.", number_them)
    if not is_sequence(path):
        raise ConfigError(f"{path} is one picture, and a video has many.", number_them)
    if codec not in {None, "png"} or hardware is not None:
        raise ConfigError("Numbered pictures are PNG; --codec and --hardware are for video files.")
    return Encoding(None, "png", "png")


def _check(what: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise ConfigError(f"There is no {what} {value!r}.", nearest_names(value, known))


@dataclass(frozen=True)
class StreamForm:
    """What the frames of a stream are to be: size in pixels (odd sides grow where they must be even), frames
    a second, seconds a tick, most frames between key frames, colours, and width of a pixel over its height.
    """

    width: int
    height: int
    rate: Fraction
    ticks: Fraction
    key_every: int
    colour: Colour
    pixel_aspect: Fraction = Fraction(1)


def open_video_stream(output: OutputContainer, encoding: Encoding, form: StreamForm) -> VideoStream:
    """A stream in a container that is being written, its encoder open; VideoError where it does not open."""
    try:
        onto = HWAccel("vaapi") if encoding.hardware == "vaapi" else None
        added = output.add_stream(encoding.encoder, options=dict(encoding.options), hwaccel=onto)
        stream = cast(VideoStream, added)
        context = stream.codec_context
        context.width = form.width + encoding.even * (form.width % 2)
        context.height = form.height + encoding.even * (form.height % 2)
        context.framerate = form.rate.limit_denominator(100_000)
        context.time_base = stream.time_base = form.ticks
        context.flags |= Flags.frame_duration
        if encoding.codec == "gif":
            context.pix_fmt = "pal8"
        else:
            context.pix_fmt = "nv12" if encoding.hardware == "qsv" else FORMAT if encoding.deep else "yuv420p"
            context.gop_size = form.key_every
            context.sample_aspect_ratio = form.pixel_aspect.limit_denominator(10_000)
            context.color_range, context.colorspace = form.colour.range, form.colour.matrix
            context.color_primaries, context.color_trc = form.colour.primaries, form.colour.transfer
        if encoding.codec == "h265" and output.format.name != "matroska":
            context.codec_tag = "hvc1"  # the name under which Apple's players know it
        context.open()
    except (av.FFmpegError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        if encoding.hardware is None:
            raise VideoError(f"The encoder {encoding.encoder} does not open: {error}.") from error
        raise VideoError(
            f"The hardware encoder {encoding.encoder} does not open on this machine.",
            f"{_NEEDS[encoding.hardware]} Leave out --hardware {encoding.hardware} to use the processor.",
        ) from error
    return stream
