"""Where edited frames go: a video file or numbered pictures, chosen by the path."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Protocol, Self

import cv2

from aif.runtime.arrays import UInt8Array
from aif.runtime.image.io import write_bytes
from aif.runtime.video.codecs import choose_encoding
from aif.runtime.video.kinds import sequence_name
from aif.runtime.video.read import VideoFrame, VideoSource
from aif.runtime.video.write import VideoSink, say_flattened

log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where a pipeline puts its frames."""

    frames: int

    def write(self, image_hwc_bgr: UInt8Array, frame: VideoFrame) -> None:
        """Take the next image, to be shown when `frame` was."""
        ...


class SequenceSink:
    """Writes edited frames as numbered PNG pictures, from 1 on, without loss; times and sound have no place
    there.
    """

    def __init__(self, path: str | os.PathLike[str], like: VideoSource) -> None:
        """Prepare to write; ConfigError where `path` is no pattern of PNG files."""
        self.path = Path(path)
        self.frames, self.new = 0, False
        choose_encoding(self.path)
        say_flattened(self.path, like)
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
