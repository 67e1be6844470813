"""Where live frames go beside the window: a recording, a virtual camera, a screenshot."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Collection
from pathlib import Path

import cv2

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import AifError
from aif.runtime.image.io import write_bytes
from aif.runtime.live.camera import CameraFormat
from aif.runtime.live.choices import LiveChoices
from aif.runtime.live.fit import mirrored
from aif.runtime.live.loop import LiveFrame
from aif.runtime.live.record import Recorder, Recording
from aif.runtime.live.virtual_camera import VirtualCamera


class Outlets:
    """Takes every edited frame from the editing thread and passes it on; a fault of one is said and survived.

    `latencies`: of all edited frames, seconds from capture to the end of the edit.
    """

    def __init__(self, choices: LiveChoices) -> None:
        """Prepare; nothing is opened yet."""
        self.mirror, self.latencies = choices.mirror, array("f")
        self.recorder: Recorder | None = None
        self.camera: VirtualCamera | None = None
        self._record, self._fps = choices.record, choices.wanted.fps or 30.0
        self._coding = choices.quality, choices.codec, choices.hardware
        self._overwrite = choices.overwrite
        self._lock = threading.Lock()
        self._ending: list[Recorder] = []
        self._said: set[Path] = set()

    def each(self, frame: LiveFrame) -> None:
        """Take a frame; in the editing thread."""
        self.latencies.append(frame.edited_s - frame.captured_s)
        with self._lock:
            recorder, camera = self.recorder, self.camera
        if recorder is None and camera is None:
            return
        image = mirrored(frame.image) if self.mirror else frame.image
        if recorder is not None:
            recorder.put(image, frame.captured_s)
        if camera is not None:
            camera.put(image)

    def start_recording(self) -> str:
        """Begin a recording; a line that says where. VideoError where the place cannot be written."""
        path = self._record or Path(f"{_dated()}.mp4")
        first = not self._said and self._record is not None  # the name on the command line is the first one's
        path = path if first else free_name(path, self._said)
        self._said.add(path)
        recorder = Recorder(path, self._fps, *self._coding, new=not (first and self._overwrite))
        with self._lock:
            self.recorder = recorder
        return f"Recording to {recorder.path}"

    def open_virtual_camera(self, form: CameraFormat) -> str:
        """Begin to send to a virtual camera of that form; a line that says which. Errors as there."""
        self.camera = VirtualCamera(form.width or 1280, form.height or 720, form.fps or 30.0)
        return f"Sending to the virtual camera {self.camera.device}"

    def stop_recording(self) -> str | None:
        """Have the recording finished, which `news` will tell of; None where there was none."""
        with self._lock:
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
            with self._lock:
                camera, self.camera = self.camera, None
            camera.close()
            found.append(f"The virtual camera stopped: {camera.error}")
        return found

    def save(self, picture_hwc_bgr: UInt8Array) -> str:
        """Save a screenshot as PNG, beside the recording or in the current folder; a line that says where."""
        folder = self._record.parent if self._record is not None else Path()
        path = free_name(folder / f"{_dated()}.png")
        good, data = cv2.imencode(".png", picture_hwc_bgr)
        try:
            if not good:
                raise AifError("the picture cannot be encoded.")
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
