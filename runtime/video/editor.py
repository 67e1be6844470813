"""Frames of a film or camera in, edited frames out: one tracked face is edited alike from frame to frame.

Faces are tracked with smoothed landmarks (`FaceTracker`), what the networks say of a face is averaged over
time and asked for only where there is something new (`FaceMemory`), and effects come and go gently.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aif.runtime.arrays import UInt8Array
from aif.runtime.bundle.manifest import Mode
from aif.runtime.editing.edit_path import EditPath, FaceView
from aif.runtime.editing.editor import Editor, FaceChoice
from aif.runtime.editing.values import touched
from aif.runtime.errors import AifError, ConfigError
from aif.runtime.faces.landmarks import LandmarkNet
from aif.runtime.machine import core_count
from aif.runtime.tracking.pick import FacePicker
from aif.runtime.tracking.tracker import FaceTracker, TrackedFace, check_seconds
from aif.runtime.video.face_memory import FaceMemory


@dataclass(frozen=True)
class VideoFrameResult:
    """An edited frame.

    Attributes:
        image_hwc_bgr: uint8, as large as the frame, and no part of it.
        faces: all faces, left to right; `weight` is the strength with which each was edited, 0 for none
            (of its hair, where that is coloured: a face that is turned away is edited less).
        y: attribute values of the edited faces by their numbers, averaged over time.
        timings: seconds by stage: track, align, encode, decode, composite.
        renewed: numbers of the faces at which encoder and decoder have looked in this frame.
    """

    image_hwc_bgr: UInt8Array
    faces: tuple[TrackedFace, ...]
    y: dict[int, dict[str, float]] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    renewed: tuple[int, ...] = ()


class VideoEditor:
    """Edits one stream of frames with an editor that may serve others at the same time.

    Frames must come in the order in which they are shown; a time before the last one begins anew, like a cut.
    Every method may be called from any thread.
    """

    def __init__(
        self,
        editor: Editor,
        edits: Mapping[str, float],
        mode: Mode | None = None,
        faces: FaceChoice = "all",
        *,
        every: int = 15,
        settle_s: float = 0.1,
        fade_s: float = 0.25,
        threads: int | None = None,
        tracker: FaceTracker | None = None,
    ) -> None:
        """Begin a stream.

        Args:
            editor: detector and model; it stays the caller's to close.
            edits: as for `Editor.edit`.
            mode: how to blend; None = the bundle's default.
            faces: "all"; "largest", which changes over only to a clearly larger face; or a number from the
                left, from 0 on: whoever has that place at first is edited until it has gone.
            every: frames from one detection to the next (see `FaceTracker`).
            settle_s: time constant in seconds of the average of what the networks say; 0 = no average.
            fade_s: seconds in which an effect comes and goes; 0 = at once.
            threads: threads of the landmark network where the stream has one of its own; None = one a core.
            tracker: one of your own, in place of what `every`, `fade_s` and `threads` would make.

        Raises:
            UnknownAttributeError: the bundle has no such attribute.
            ConfigError: a value or setting out of its range, an unknown mode or choice of faces.
        """
        check_seconds(settle_s=settle_s, fade_s=fade_s)
        self._mode = editor.path.mode(mode)
        self._picker = FacePicker(faces, fade_s)
        if tracker is None:
            tracker = FaceTracker(editor, landmark_finder(editor, threads), every, fade_s=fade_s)
        self._editor = editor
        self._tracker: FaceTracker | None = tracker
        self._memory = FaceMemory(settle_s)
        self._lock = threading.Lock()
        self.set_edits(edits)

    def set_edits(self, edits: Mapping[str, float]) -> None:
        """Change what is edited, from the next frame on; errors as at the beginning."""
        self._columns = self._editor.columns(edits)
        self._of_hair = touched(self._editor.model.manifest, self._columns).hair

    def process(self, frame_hwc_bgr: UInt8Array, time_s: float) -> VideoFrameResult:
        """Edit the next frame; one without faces comes back as it was.

        Args:
            frame_hwc_bgr: uint8 (H, W, 3); left as it is.
            time_s: when it is shown, in seconds.

        Raises:
            AifError: this video editor or its editor has been closed.
            ImageError: the frame is no uint8 (H, W, 3) array.
            ValueError: the time is not finite.
        """
        return self.begin(frame_hwc_bgr, time_s)()

    def begin(self, frame_hwc_bgr: UInt8Array, time_s: float) -> Callable[[], VideoFrameResult]:
        """Look at the next frame; what comes back makes the picture of what was seen.

        That may run in another thread, beside the next frame's `begin`; with one core it is done at once.
        Arguments and errors as `process`; the frame must stay as it is until the picture is made.
        """
        with self._lock:
            if self._tracker is None:
                raise AifError("This video editor has been closed.", "Make a new one.")
            path, columns = self._editor.path, self._columns
            start = time.perf_counter()
            faces = self._picker(self._tracker.update(frame_hwc_bgr, time_s), time_s)
            self._memory.keep([face.id for face in faces])
            if self._of_hair:
                shown = tuple(dataclasses.replace(face, weight=face.hair_weight) for face in faces)
            else:
                shown = faces
            edited = [face for face, each in zip(faces, shown, strict=True) if each.weight > 0]
            tracked = time.perf_counter()
            timings = dict.fromkeys(("track", "align", "encode", "decode", "composite"), 0.0)
            timings["track"] = tracked - start
            if not edited:
                return lambda: VideoFrameResult(frame_hwc_bgr.copy(), shown, {}, timings)
            views = [face_view(path, face) for face in edited]
            timings["align"] = time.perf_counter() - tracked
            said = self._memory.update(path, frame_hwc_bgr, edited, views, columns, time_s)
            timings |= {"encode": said.encode_s, "decode": said.decode_s}
            rows = [dict(zip(path.model.attributes, row, strict=True)) for row in said.y.tolist()]
            y = {face.id: row for face, row in zip(edited, rows, strict=True)}

        def picture() -> VideoFrameResult:
            begun = time.perf_counter()
            image = path.apply(frame_hwc_bgr, views, said.changes, self._mode)
            timings["composite"] = time.perf_counter() - begun
            return VideoFrameResult(image, shown, y, timings, said.renewed)

        if core_count() > 1:
            return picture
        result = picture()  # threads would only wait for each other
        return lambda: result

    def edit_frames(self, frames: Iterable[tuple[UInt8Array, float]]) -> Iterator[VideoFrameResult]:
        """Edit (frame, time in seconds) after (frame, time); one is taken when its result is asked for."""
        for frame, time_s in frames:
            yield self.process(frame, time_s)

    def reset(self) -> None:
        """Forget all faces, for the next frame begins another stream."""
        with self._lock:
            if self._tracker is not None:
                self._tracker.reset()  # and as numbers are never given twice, what they stand for goes, too

    def close(self) -> None:
        """Let go of tracker and faces; the editor stays open. Calling it twice does no harm."""
        with self._lock:
            self._tracker = None
            self._memory.keep([])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def landmark_finder(editor: Editor, threads: int | None = None) -> LandmarkNet | None:
    """What follows the faces of a stream: the editor's landmark network, or, for models without one of their
    own, a new one on so many threads (None = one a core); None where the bundle brings none.
    """
    path = editor.path
    if path.net is not None or path.model.manifest.landmarks is None:
        return path.net
    return LandmarkNet(path.model.bundle, threads)


def face_view(path: EditPath[Any], face: TrackedFace) -> FaceView:
    """A tracked face as a path takes it; ConfigError where the path needs dense landmarks and it has none."""
    if path.net is None:
        view = path.view(face.landmarks, face.confidence)
        return dataclasses.replace(view, fade=face.weight, hair_fade=face.hair_weight)
    if face.points is None:
        raise ConfigError(
            "This tracker knows five landmarks of a face, and the bundle needs dense ones.",
            "Give it a landmark network: FaceTracker(editor, editor.path.net).",
        )
    view = path.view(face.points, face.confidence, face.yaw, face.seen)
    return dataclasses.replace(view, fade=face.weight, hair_fade=face.hair_weight)
