"""What is asked for of a live picture (`aif-edit --webcam`), and whether that can work."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from aif.runtime.bundle.manifest import Mode
from aif.runtime.editing.editor import FaceChoice
from aif.runtime.errors import ConfigError
from aif.runtime.live.camera import CameraFormat
from aif.runtime.live.record import SUFFIXES
from aif.runtime.live.window import check_display

_SIZE = re.compile(r"(\d{2,5})[x*](\d{2,5})")


@dataclass(frozen=True)
class LiveChoices:
    """What was asked for of a live picture: its source (see `open_camera`), what the window shows at first
    (mirrored recordings, too), and what becomes of it.

    Attributes:
        record: the file to record to from the start; None = only when the key is pressed.
        seconds: end by itself after so long; None = never.
        quality, codec, hardware: of recordings, see `choose_encoding`.
        mode, faces, threads: see `VideoEditor`.
    """

    source: str
    wanted: CameraFormat
    record: Path | None = None
    overwrite: bool = False
    headless: bool = False
    virtual_camera: bool = False
    compare: bool = False
    mirror: bool = False
    seconds: float | None = None
    timings: bool = False
    quality: int | None = None
    codec: str | None = None
    hardware: str | None = None
    mode: Mode | None = None
    faces: FaceChoice = "all"
    threads: int | None = None


def parse_format(size: str | None, fps: float | None, fourcc: str | None) -> CameraFormat:
    """What to ask a camera for, from the command line's words; ConfigError where they make no sense."""
    found = None if size is None else _SIZE.fullmatch(size.strip().lower())
    if size is not None and found is None:
        raise ConfigError(f"--camera-size {size} is no size.", "Write width x height: --camera-size 1280x720")
    if fps is not None and not 0 < fps <= 1000:
        raise ConfigError(f"--camera-fps {fps:g} is out of range.", "Usual rates are 15, 30 and 60.")
    if fourcc is not None and not re.fullmatch(r"[!-~]{4}", fourcc):
        raise ConfigError(f"--camera-format {fourcc} is no format.", "It has four letters: MJPG, YUYV, H264.")
    width, height = (int(found[1]), int(found[2])) if found else (None, None)
    return CameraFormat(width, height, fps, None if fourcc is None else fourcc.upper())


def check_live(choices: LiveChoices) -> None:
    """Find what cannot work before anything is loaded.

    Raises:
        ConfigError: options that do not go together, a recording that exists or of an unknown kind, no
            display.
    """
    record = choices.record
    if record is not None and record.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--record {record}: unknown kind of file.", f"Known: {', '.join(SUFFIXES)}")
    if record is not None and record.exists() and not choices.overwrite:
        raise ConfigError(f"{record} exists.", "Choose another name, or add --overwrite.")
    if choices.seconds is not None and choices.seconds <= 0:
        raise ConfigError("--end must be after the beginning.", "Write seconds or hh:mm:ss: --end 1:00")
    if not choices.headless:
        check_display()
        return
    if choices.compare:
        raise ConfigError("--compare is for the window; recordings hold the result alone.")
    if record is None and not choices.virtual_camera and not choices.timings:
        raise ConfigError(
            "--headless alone shows nothing to anyone.",
            "Add --record out.mp4, --virtual-camera or --timings.",
        )
