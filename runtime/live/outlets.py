"""Where live frames go beside the window: a recording, a virtual camera, a screenshot."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import cv2

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import AifError, first_line
from aif.runtime.image.io import write_bytes
from aif.runtime.live.camera import CameraError, CameraFormat
from aif.runtime.live.choices import LiveChoices
from aif.runtime.live.drawing import fitted, mirrored
from aif.runtime.live.loop import LiveFrame
from aif.runtime.live.record import Recorder, Recording
from aif.runtime.threads import Channel

_NEEDS = {
    "linux": "It needs the kernel module v4l2loopback: sudo apt install v4l2loopback-dkms && "
    "sudo modprobe v4l2loopback exclusive_caps=1",
    "darwin": "It needs OBS Studio 30 or later: start its virtual camera once, stop it, and close OBS.",
    "win32": "It needs OBS Studio, which brings a virtual camera.",
}


class Outlets:
    """Passes every edited frame on; a fault of one outlet is said and survived."""

    def __init__(self, choices: LiveChoices) -> None:
        """Prepare; nothing is opened yet."""
        self.mirror = choices.mirror
        self.recorder: Recorder | None = None
        self.camera: VirtualCamera | None = None
        self._choices = choices
        self._ending: list[Recorder] = []
        self._said: set[Path] = set()

    def each(self, frame: LiveFrame) -> None:
        """Take a frame; in the editing thread."""
        recorder, camera = self.recorder, self.camera  # another thread may take them away
        if recorder is None and camera is None:
            return
        image = mirrored(frame.image) if self.mirror else frame.image
        if recorder is not None:
            recorder.put(image, frame.captured_s)
        if camera is not None:
            camera.put(image)

    def start_recording(self) -> str:
        """Begin a recording; a line that says where. VideoError where the place cannot be written."""
        choices = self._choices
        path = choices.record or Path(f"{_dated()}.mp4")
        first = not self._said and choices.record is not None  # what the command line names is the first one
        path = path if first else free_name(path, self._said)
        self._said.add(path)
        fps, new = choices.wanted.fps or 30.0, not (first and choices.overwrite)
        self.recorder = Recorder(path, fps, choices.quality, choices.codec, choices.hardware, new)
        return f"Recording to {path}"

    def open_virtual_camera(self, form: CameraFormat) -> str:
        """Begin to send to a virtual camera of that form; a line that says which. Errors as there."""
        self.camera = VirtualCamera(form.width or 1280, form.height or 720, form.fps or 30.0)
        return f"Sending to the virtual camera {self.camera.device}"

    def stop_recording(self) -> str | None:
        """Have the recording finished, which `news` will tell of; None where there was none."""
        recorder, self.recorder = self.recorder, None
        if recorder is None:
            return None
        recorder.end()
        self._ending.append(recorder)
        return f"Finishing {recorder.path} ..."

    def news(self) -> list[str]:
        """Recordings that were finished or failed since the last call, and a camera that is lost."""
        if self.recorder is not None and self.recorder.error is not None:
            self.stop_recording()
        over = [recorder for recorder in self._ending if recorder.finished]
        self._ending = [recorder for recorder in self._ending if recorder not in over]
        found = [described(recorder.close()) for recorder in over]
        if self.camera is not None and self.camera.error is not None:
            camera, self.camera = self.camera, None
            camera.close()
            found.append(f"The virtual camera stopped: {camera.error}")
        return found

    def save(self, picture_hwc_bgr: UInt8Array) -> str:
        """Save a screenshot as PNG, beside the recording or in the current folder; a line that says where."""
        record = self._choices.record
        path = free_name((record.parent if record else Path()) / f"{_dated()}.png")
        _, data = cv2.imencode(".png", picture_hwc_bgr)
        try:
            write_bytes(path, data.tobytes(), new=True)
        except AifError as error:
            return f"Not saved: {error.message}"
        return f"Saved {path}"

    def close(self) -> list[str]:
        """Finish what is under way; what became of it, in lines for the user."""
        self.stop_recording()
        if self.camera is not None:
            self.camera.close()
        return [described(recorder.close()) for recorder in self._ending]


def described(recording: Recording) -> str:
    """One line on a recording that is over."""
    if recording.error is not None:
        rest = f"{recording.path} holds what came before" if recording.kept else "nothing could be kept"
        return f"Recording stopped: {recording.error}. {rest}, {recording.seconds:.0f} s."
    if not recording.kept:
        return "Nothing was recorded: there was no frame."
    late = f", {recording.left_out} left out: the encoder is too slow" if recording.left_out else ""
    return f"{recording.path}: {recording.frames} frames, {recording.seconds:.1f} s{late}."


def free_name(path: Path, taken: Collection[Path] = ()) -> Path:
    """The path, or the first of NAME_2, NAME_3, ... that does not exist and is not taken."""
    number, candidate = 1, path
    while candidate.exists() or candidate in taken:
        number += 1
        candidate = path.with_stem(f"{path.stem}_{number}")
    return candidate


def _dated() -> str:
    return time.strftime("aif_%Y%m%d_%H%M%S")


class VirtualCamera:
    """Sends the newest picture to a virtual camera, which video-call programs list like any other, from a
    thread of its own. `put` never waits or fails; `error` is why sending stopped, None while it goes on.
    """

    def __init__(self, width: int, height: int, fps: float = 30.0) -> None:
        """Open it for pictures of this size (others are fitted into it) and about this rate.

        Raises:
            AifError: the package pyvirtualcam is not installed.
            CameraError: there is no virtual camera on this machine, or another program uses it.
        """
        try:
            import pyvirtualcam
        except ImportError as error:
            fix = 'Install it with: pip install "aif[camera]"'
            raise AifError("--virtual-camera needs the package pyvirtualcam.", fix) from error
        try:
            self._camera: Any = pyvirtualcam.Camera(width, height, fps, fmt=pyvirtualcam.PixelFormat.BGR)
        except (RuntimeError, ValueError) as error:
            raise CameraError(f"No virtual camera: {first_line(error)}", _NEEDS.get(sys.platform)) from error
        self.device = str(self._camera.device)
        self.error: str | None = None
        self._size = (width, height)
        self._newest: Channel[UInt8Array] = Channel()
        self._thread = threading.Thread(target=self._work, name="aif-virtual-camera", daemon=True)
        self._thread.start()

    def put(self, image_hwc_bgr: UInt8Array) -> None:
        """Show a picture, uint8 (H, W, 3) BGR, which is not to be changed afterwards."""
        self._newest.put(image_hwc_bgr, "drop")

    def close(self) -> None:
        """Give the virtual camera back. Calling it twice does no harm."""
        self._newest.close()
        self._thread.join(timeout=5)

    def _work(self) -> None:
        try:
            for image in self._newest:
                self._camera.send(fitted(image, self._size))
        except Exception as error:  # whatever it is, the view goes on
            self.error = first_line(error)
        finally:
            self._camera.close()
