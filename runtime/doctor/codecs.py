"""Which video encoders open: each is given one frame, in memory."""

from __future__ import annotations

import io
from pathlib import Path
from typing import get_args

import av
import numpy as np

from aif.runtime.doctor.finding import Finding
from aif.runtime.errors import AifError
from aif.runtime.video.codecs import Codec, Hardware, add_video_stream, choose_encoding

_FILES: dict[Codec, str] = {"h264": "a.mp4", "h265": "a.mp4", "vp9": "a.webm", "av1": "a.mp4", "gif": "a.gif"}


def check_codecs(bundle: str) -> list[Finding]:
    """The encoders that run on the processor."""
    opened: list[str] = []
    missing: list[str] = []
    for codec in _FILES:
        (opened if encoder_opens(codec) else missing).append(codec)
    text = ", ".join(opened) or "none"
    if missing:
        text += f"; not in this build of FFmpeg: {', '.join(missing)}"
    fine = "h264" in opened
    fix = None if fine else "pip install --force-reinstall av"
    facts = {"opened": opened, "missing": missing, "ffmpeg_from": f"PyAV {av.__version__}"}
    return [Finding("software encoders", "ok" if fine else "problem", text, fix, facts)]


def check_hardware_codecs(bundle: str) -> list[Finding]:
    """The encoders on graphics cards, of those that this build of FFmpeg knows."""
    opened: list[str] = []
    refused: list[str] = []
    for hardware in get_args(Hardware):
        for codec in ("h264", "h265", "av1"):
            try:
                name = choose_encoding(Path("a.mp4"), codec, hardware=hardware).encoder
            except AifError:
                continue
            (opened if encoder_opens(codec, hardware) else refused).append(name)
    text = ", ".join(opened) or "none opens here"
    if refused:
        text += f" (built in: {', '.join(refused)})"
    facts = {"opened": opened, "refused": refused}
    return [Finding("hardware encoders", "ok" if opened else "absent", text, facts=facts)]


def encoder_opens(codec: Codec, hardware: str | None = None) -> bool:
    """Whether it opens and takes a frame of 256 by 256 pixels."""
    name = _FILES[codec]
    try:
        encoding = choose_encoding(Path(name), codec, hardware=hardware)
        if encoding.container is None:
            return False
        with av.open(io.BytesIO(), "w", format=encoding.container.format) as output:
            stream = add_video_stream(output, encoding)
            stream.width = stream.height = 256
            stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
            frame = av.VideoFrame.from_ndarray(np.full((256, 256, 3), 90, np.uint8), format="bgr24")
            frame.pts = 0
            output.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
    except (AifError, av.FFmpegError, OSError, RuntimeError, NotImplementedError, ValueError):
        return False
    return True
