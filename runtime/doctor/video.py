"""Which video encoders open, each given one frame in memory; and whether a window can open, without one."""

from __future__ import annotations

import io
import sys
from fractions import Fraction
from pathlib import Path
from typing import get_args

import av
import cv2

from aif.runtime.doctor.finding import Finding, Status
from aif.runtime.errors import AifError, ConfigError
from aif.runtime.live.window import check_display
from aif.runtime.video.codecs import Codec, Hardware, StreamForm, choose_encoding, open_video_stream
from aif.runtime.video.pixels import Colour

_FILES: dict[Codec, str] = {"h264": "a.mp4", "h265": "a.mp4", "vp9": "a.webm", "av1": "a.mp4", "gif": "a.gif"}


def check_codecs(bundle: str) -> list[Finding]:
    """The encoders that run on the processor."""
    opened = [codec for codec in _FILES if encoder_opens(codec)]
    missing = [codec for codec in _FILES if codec not in opened]
    text = ", ".join(opened) or "none"
    if missing:
        text += f"; not in this build of FFmpeg: {', '.join(missing)}"
    fine = "h264" in opened
    fix = None if fine else "pip install --force-reinstall av"
    facts = {"opened": opened, "missing": missing, "ffmpeg_from": f"PyAV {av.__version__}"}
    return [Finding("software encoders", "ok" if fine else "problem", text, fix, facts)]


def check_hardware_codecs(bundle: str) -> list[Finding]:
    """The encoders on graphics cards, of those that this build of FFmpeg knows."""
    found: dict[bool, list[str]] = {True: [], False: []}
    for hardware in get_args(Hardware):
        for codec in ("h264", "h265", "av1"):
            try:
                name = choose_encoding(Path("a.mp4"), codec, hardware=hardware).encoder
            except AifError:
                continue
            found[encoder_opens(codec, hardware)].append(name)
    text = ", ".join(found[True]) or "none opens here"
    if found[False]:
        text += f" (built in: {', '.join(found[False])})"
    facts = {"opened": found[True], "refused": found[False]}
    return [Finding("hardware encoders", "ok" if found[True] else "absent", text, facts=facts)]


def encoder_opens(codec: Codec, hardware: str | None = None) -> bool:
    """Whether it opens and takes a frame of 256 by 256 pixels."""
    try:
        encoding = choose_encoding(Path(_FILES[codec]), codec, hardware=hardware)
        if encoding.container is None:
            return False
        form = StreamForm(256, 256, Fraction(25), Fraction(1, 100), 25, Colour(1, 1, 1, 1))
        with av.open(io.BytesIO(), "w", format=encoding.container.format) as output:
            stream = open_video_stream(output, encoding, form)
            frame = av.VideoFrame(256, 256, stream.pix_fmt or "yuv420p")
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.pts, frame.time_base = 0, form.ticks
            output.mux(stream.encode(frame))
    except (AifError, av.FFmpegError, OSError, RuntimeError, NotImplementedError, ValueError):
        return False
    return True


def check_window(bundle: str) -> list[Finding]:
    """OpenCV's windows, and on Linux the display."""
    toolkit = cv2.currentUIFramework()
    status: Status = "ok"
    text, fix = f"the display answers, and OpenCV has {toolkit}", None
    if not toolkit:
        status, text = "absent", "this OpenCV is built without windows (opencv-python-headless)"
        fix = 'For live editing: pip uninstall opencv-python-headless && pip install "opencv-python<5"'
    elif sys.platform != "linux":
        status, text = "unknown", f"OpenCV has {toolkit}; whether it opens shows when used"
    else:
        try:
            check_display()
        except ConfigError as error:
            status, text, fix = "absent", error.message, error.fix
    return [Finding("window", status, text, fix, {"toolkit": toolkit})]
