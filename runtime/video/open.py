"""Open a video file for reading: what is a video and what only looks like one to FFmpeg."""

from __future__ import annotations

import logging
import re
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from aif.runtime.files import missing_file
from aif.runtime.video.kinds import VideoError, is_sequence, sequence_files

log = logging.getLogger(__name__)

# FFmpeg also opens pictures, text (as terminal art) and playlists, which name other files and addresses.
_NO_VIDEO = re.compile(
    r"image2|\w+_pipe|tty|bin|xbin|adf|idf|hls|concat|dash|sdp|lavfi|ffmetadata|webvtt|srt|ass"
)
_COPY_AGAIN = "Copy or download it again; it should open in a player such as VLC."


def open_video(path: Path, fps: Fraction | float | None = None) -> InputContainer:
    """The opened container of a video, or of a sequence of pictures with `fps`; nothing but files is read.
    VideoError: missing, a folder, unreadable, no video, cut short at its start, or fps does not fit.
    """
    if is_sequence(path):
        return _open_sequence(path, fps)
    if fps is not None:
        raise VideoError(f"{path} has its own frame rate.", "--fps is for numbered pictures: frame_%04d.png")
    if path.is_dir():
        raise VideoError(f"{path} is a folder, not a video.", "For a folder of frames write frames/%04d.png")
    if not path.exists():
        missing = missing_file(path)
        raise VideoError(missing.message, missing.fix)
    if not path.stat().st_size:
        raise VideoError(f"{path} is empty (0 bytes).", "Copy or download it again.")
    try:
        # A path with a scheme in front cannot be taken for an address, whatever its name.
        container = av.open(
            f"file:{path.absolute()}",
            container_options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except PermissionError as error:
        raise VideoError(f"Cannot read {path}: {error.strerror}.") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _no_video(path) from error
    if _NO_VIDEO.fullmatch(container.format.name.split(",")[0]):
        container.close()
        raise VideoError(
            f"{path} is not a video.", "aif reads what FFmpeg reads: MP4, MOV, MKV, WebM, AVI, GIF ..."
        )
    return container


def _no_video(path: Path) -> VideoError:
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] in {b"ftyp", b"mdat", b"moov", b"wide", b"free"}:
        return VideoError(
            f"{path} is cut short or damaged: the index that MP4 and MOV files need is missing.",
            "Copy or download it again. Tools such as untrunc repair recordings that broke off.",
        )
    return VideoError(f"{path} is not a video, or is damaged at its start.", _COPY_AGAIN)


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The stream to edit: the first one that is moving pictures and no cover; VideoError without one."""
    moving = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
    if not moving:
        sound = "only sound" if container.streams.audio else "no pictures"
        raise VideoError(f"{path} has no video stream, {sound}.")
    if len(moving) > 1:
        log.warning(
            "%s has %d video streams; the first is edited, the others are left out.", path, len(moving)
        )
    if moving[0].codec_context is None or moving[0].time_base is None:
        raise VideoError(f"{path} has a video stream that this build of FFmpeg cannot decode.")
    return moving[0]


def stream_name(stream: Stream) -> str:
    """What to call a stream in a message: "aac 44100 Hz stereo (deu)"."""
    context = stream.codec_context
    words = [context.name if context is not None else "unknown codec"]
    if stream.type == "audio" and context is not None:
        words += [f"{context.sample_rate} Hz", context.layout.name]  # type: ignore[attr-defined]
    language = stream.metadata.get("language", "und")
    return " ".join(words) + (f" ({language})" if language != "und" else "")


def declared_end(stream: VideoStream) -> Fraction | None:
    """Seconds on the stream's clock at which the stream itself says that it ends; None where it does not."""
    assert stream.time_base is not None
    if stream.duration:
        return (stream.duration + (stream.start_time or 0)) * stream.time_base
    found = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))  # Matroska
    if found is None:
        return None
    return int(found[1]) * 3600 + int(found[2]) * 60 + Fraction(found[3])


def gif_loops(path: Path) -> int:
    """How often a GIF says that it repeats: 0 = for ever, -1 = it plays once."""
    data = path.read_bytes()
    found = re.search(rb"NETSCAPE2\.0\x03\x01(..)", data, re.DOTALL)
    return -1 if found is None else int.from_bytes(found[1], "little")


def _open_sequence(pattern: Path, fps: Fraction | float | None) -> InputContainer:
    numbers = list(sequence_files(pattern))
    if not numbers:
        raise VideoError(f"No file matches {pattern}.")
    if fps is None or fps <= 0:
        raise VideoError(
            f"How many frames a second are in {pattern}?", "Say it with --fps, for example --fps 25"
        )
    rate = Fraction(fps).limit_denominator(1001)
    whole = next((i for i, number in enumerate(numbers) if number != numbers[0] + i), len(numbers))
    if whole < len(numbers):
        log.warning("%s: number %d is missing; the sequence ends there.", pattern, numbers[0] + whole)
    options = {"framerate": str(rate), "start_number": str(numbers[0])}
    try:
        return av.open(str(pattern), format="image2", container_options=options)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"{pattern} cannot be read: {error}.") from error
