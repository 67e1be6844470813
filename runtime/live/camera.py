"""Cameras and streams behind one small protocol: asked for a format, and saying what was negotiated."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import AifError, ConfigError, without_passwords

OPEN_SECONDS, READ_SECONDS = 8.0, 5.0
"""How long a network stream may take to open, and to give a frame."""


class CameraError(AifError):
    """A camera or stream cannot be opened, or gives no frames."""


@dataclass(frozen=True)
class CameraFormat:
    """Size, rate and pixel format; None where unknown or not asked for."""

    width: int | None = None
    height: int | None = None
    fps: float | None = None
    """As the camera claims; drivers lie, so the rate is also measured."""
    fourcc: str | None = None
    """Pixel format, such as MJPG or YUYV."""

    def __str__(self) -> str:
        parts = [
            f"{self.width}x{self.height}" if self.width and self.height else "",
            f"{self.fps:g} frames/s" if self.fps else "",
            self.fourcc or "",
        ]
        return ", ".join(part for part in parts if part) or "unknown format"


@dataclass(frozen=True)
class Captured:
    """A frame and when it was taken, in seconds of `time.monotonic`."""

    image_hwc_bgr: UInt8Array
    time_s: float


class Camera(Protocol):
    """What live editing takes frames from. `read` waits for the next frame; None: none will come.

    `endless`: an end is a fault, after which it is worth while to open the camera again.
    """

    @property
    def name(self) -> str: ...
    @property
    def granted(self) -> CameraFormat: ...
    @property
    def endless(self) -> bool: ...
    def read(self) -> Captured | None: ...
    def close(self) -> None: ...


def public_name(source: str | int) -> str:
    """What a source may be called in messages: user, password and query of an address are left out."""
    text = str(source)
    return f"camera {text}" if text.isdigit() else without_passwords(text)


def open_camera(source: str | int, wanted: CameraFormat | None = None) -> Camera:
    """Open a camera by number, a device (/dev/video0), a stream (rtsp://, http://) or a video file.

    `synthetic` is a camera that needs no hardware: a face that moves over a background.
    `synthetic:640x480@15` sets its size and rate.

    Raises:
        CameraError: it cannot be opened; says what to look at.
        ConfigError: the words after `synthetic:` make no sense.
        AifError: the portrait of the synthetic camera is not installed.
    """
    wanted, text = wanted or CameraFormat(), str(source)
    if text.split(":", 1)[0] == "synthetic":
        return _synthetic(text, wanted)
    return CaptureCamera(text, wanted)


class CaptureCamera:
    """Whatever OpenCV's VideoCapture can open. Not thread-safe: one thread reads and closes."""

    def __init__(self, source: str, wanted: CameraFormat) -> None:
        self.name = public_name(source)
        device, stream = re.fullmatch(r"(?:/dev/video)?(\d{1,9})", source), "://" in source
        self._file = not (device or stream or source.startswith("/dev/"))
        self.endless = not self._file
        self._start: float | None = None
        fix = "Is it a video? Try to play it with another program."
        if device:
            fix = (
                "Is it plugged in, is no other program using it, and may you read /dev/video*? "
                "Try another number: --webcam 1."
            )
            self._capture = cv2.VideoCapture(int(device[1]))
        elif stream:
            fix = "Check address, user name and password, and whether another program can play it."
            options = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(OPEN_SECONDS * 1000)]
            options += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(READ_SECONDS * 1000)]
            self._capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, options)
        elif self._file and not Path(source).exists():
            fix = "Give a camera number, a stream or a video file."
            raise CameraError(f"There is no file {self.name}.", fix)
        else:
            self._capture = cv2.VideoCapture(source)
        if not self._capture.isOpened():
            raise CameraError(f"{self.name} cannot be opened.", fix)
        if not (self._file or stream):
            self._ask(wanted)

    def _ask(self, wanted: CameraFormat) -> None:
        if wanted.fourcc:
            self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*wanted.fourcc))
        for prop, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, wanted.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, wanted.height),
            (cv2.CAP_PROP_FPS, wanted.fps),
            (cv2.CAP_PROP_BUFFERSIZE, 1),  # old frames are worth nothing
        ):
            if value:
                self._capture.set(prop, float(value))

    @property
    def granted(self) -> CameraFormat:
        """What the driver says that it gives."""
        get = self._capture.get
        letters = max(0, int(get(cv2.CAP_PROP_FOURCC))).to_bytes(4, "little").decode("latin-1")
        return CameraFormat(
            int(get(cv2.CAP_PROP_FRAME_WIDTH)) or None,
            int(get(cv2.CAP_PROP_FRAME_HEIGHT)) or None,
            get(cv2.CAP_PROP_FPS) or None,
            letters if letters.isprintable() and letters.strip() else None,
        )

    def read(self) -> Captured | None:
        """The next frame; a file's come at the file's own pace. None: the end, or the camera is gone."""
        good, image = self._capture.read()
        if not good or image is None:
            return None
        now = time.monotonic()
        if self._file:
            at = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            self._start = now - at if self._start is None else self._start
            if (wait := self._start + at - now) > 0:
                time.sleep(min(wait, 1.0))
                now = time.monotonic()
        return Captured(np.asarray(image, dtype=np.uint8), now)

    def close(self) -> None:
        """Release the device."""
        self._capture.release()


class SyntheticCamera:
    """A camera without hardware: a picture that sways and comes nearer, with sensor noise, at a steady rate.

    Beyond the picture its edge goes on: mirrored there, a second face would look in. A frame that nobody
    fetched in time is lost, as from a camera.
    """

    endless = True

    def __init__(
        self, picture_hwc_bgr: UInt8Array, width: int = 1280, height: int = 720, fps: float = 30.0
    ) -> None:
        self.name = "synthetic camera"
        self.granted = CameraFormat(width, height, fps, None)
        self._picture, self._period = picture_hwc_bgr, 1.0 / fps
        self._start = time.monotonic()
        self._number = -1
        self._noise = np.random.default_rng(0).integers(0, 5, (height + 64, width + 64, 3), dtype=np.uint8)

    def read(self) -> Captured | None:
        """The newest frame that is due; waits for the next one where that was fetched already."""
        number = int((time.monotonic() - self._start) / self._period)
        if number <= self._number:
            number = self._number + 1
            time.sleep(max(0.0, self._start + number * self._period - time.monotonic()))
        self._number = number
        frame = self.frame(number)
        return Captured(frame, time.monotonic())  # drawing it is no part of an edit's delay

    def frame(self, number: int) -> UInt8Array:
        """Frame `number`: a pure function of it."""
        width, height = self.granted.width or 0, self.granted.height or 0
        rows, columns = self._picture.shape[:2]
        phase = number * self._period
        scale = height / rows * (1.0 + 0.08 * np.sin(0.7 * phase))
        shift = (
            width / 2 - scale * columns / 2 + 0.04 * width * np.sin(0.9 * phase),
            height / 2 - scale * rows / 2 + 0.03 * height * np.sin(1.3 * phase),
        )
        matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], dtype=np.float32)
        moved = cv2.warpAffine(
            self._picture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        x, y = number * 37 % 64, number * 23 % 64
        return np.asarray(cv2.add(moved, self._noise[y : y + height, x : x + width]), dtype=np.uint8)

    def close(self) -> None:
        """Nothing is held."""


def _synthetic(words: str, wanted: CameraFormat) -> SyntheticCamera:
    """`synthetic` or `synthetic:WIDTHxHEIGHT@FPS`, showing the public-domain portrait of the demo."""
    from aif.runtime.image.io import demo_picture

    found = re.fullmatch(r"synthetic(?::(\d+)x(\d+)(?:@(\d+(?:\.\d+)?))?)?", words)
    if found is None:
        raise ConfigError(f"{words!r} is no synthetic camera.", "Write synthetic:1280x720@30.")
    width, height = int(found[1] or wanted.width or 1280), int(found[2] or wanted.height or 720)
    fps = float(found[3] or wanted.fps or 30.0)
    if not (32 <= width <= 7680 and 32 <= height <= 4320 and 0.1 <= fps <= 240):
        raise ConfigError(f"{words!r} is out of range.", "32 to 7680 px, 0.1 to 240 frames/s.")
    return SyntheticCamera(demo_picture().pixels_hwc_bgr, width, height, fps)
