"""One video: its frames edited, its file written, and what to do where there is no face."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aif.runtime.arrays import UInt8Array
from aif.runtime.batch.places import Job
from aif.runtime.batch.plan import EditPlan, VideoChoices
from aif.runtime.batch.record import FileRecord, VideoFigures
from aif.runtime.editing.editor import Editor, FaceAnalysis
from aif.runtime.errors import NoFaceError
from aif.runtime.faces.choice import VISIBLE
from aif.runtime.faces.detect import Detection
from aif.runtime.files import replacing
from aif.runtime.geometry.align import alignment_residual, similarity_transform
from aif.runtime.threads import shared_cores, shared_threads
from aif.runtime.video.kinds import VideoError

if TYPE_CHECKING:
    from aif.runtime.tracking.tracker import TrackedFace
    from aif.runtime.video.editor import VideoFrameResult
    from aif.runtime.video.read import VideoSource

FrameProgress = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]
"""Called with a video's name and its number of frames (None = not known); the function in the context is
called with the number of frames that are done."""


class FaceEdits:
    """Edits frames one after the other and records the faces; a frame without one stays as it is."""

    def __init__(self, editor: Editor, plan: EditPlan, record: FileRecord, figures: VideoFigures) -> None:
        """Begin a video: tracking starts afresh."""
        from aif.runtime.video.editor import VideoEditor

        edit = plan.edit
        self._frames = VideoEditor(editor, edit.settings, edit.mode, edit.faces, threads=plan.threads)
        self._size, self._compare = editor.model.image_size, edit.compare
        self._record, self._figures = record, figures
        self.time_s = 0.0

    def __call__(self, image_hwc_bgr: UInt8Array, time_s: float) -> Callable[[], UInt8Array]:
        """What makes the edited frame, uint8 (H, W, 3) BGR; beside the original where both were asked for."""
        return partial(self._made, self._frames.begin(image_hwc_bgr, time_s), image_hwc_bgr, time_s)

    def _made(
        self, make: Callable[[], VideoFrameResult], image_hwc_bgr: UInt8Array, time_s: float
    ) -> UInt8Array:
        result, self.time_s = make(), time_s
        edited = [face for face in result.faces if face.weight > 0]
        self._figures.with_faces += bool(edited)
        self._figures.most = max(self._figures.most, len(result.faces))
        if edited and not self._record.faces:
            self._record.faces = [self._analysis(face, result.y[face.id]) for face in edited]
        self._record.add_seconds(result.timings)
        if self._compare:
            return np.ascontiguousarray(np.hstack([image_hwc_bgr, result.image_hwc_bgr]))
        return result.image_hwc_bgr

    def close(self) -> None:
        """Let go of the tracker."""
        self._frames.close()

    def _analysis(self, face: TrackedFace, y: dict[str, float]) -> FaceAnalysis:
        matrix = similarity_transform(face.landmarks, self._size)
        found = Detection(face.box, face.landmarks, face.confidence)
        return FaceAnalysis(found, matrix, y, alignment_residual(face.landmarks, matrix, self._size))


def edit_video(
    editor: Editor,
    plan: EditPlan,
    job: Job,
    record: FileRecord,
    stop: threading.Event,
    progress: FrameProgress,
) -> None:
    """Edit one video, or look at it where nothing is to be edited; the record is filled in.

    Where `stop` ended the video, the record says so, and the video holds what came before.

    Raises:
        NoFaceError: not one frame has a wanted face, and the video is not to be copied then.
        VideoError: it cannot be read or written.
    """
    from aif.runtime.video.read import VideoSource

    assert job.source.path is not None
    choices, figures = plan.video, VideoFigures()
    record.video = figures
    with VideoSource(job.source.path, choices.start, choices.end, choices.fps) as source:
        record.size = (source.width, source.height)
        megapixels = source.width * source.height / 1e6
        if plan.output.max_megapixels is not None and megapixels > plan.output.max_megapixels:
            raise VideoError(
                f"{job.source.label} has frames of {megapixels:.0f} megapixels.",
                f"Allow it with --max-megapixels {megapixels + 1:.0f}",
            )
        if not plan.edit:
            _look(editor, plan, source, record, figures)
            return
        assert job.target is not None
        record.target = str(job.target)
        if plan.output.strip_location:
            for texts in (source.metadata, source.stream_metadata):
                for key in [key for key in texts if "location" in key.lower()]:
                    del texts[key]
        try:
            _write(editor, plan, job, source, record, stop, progress)
        except NoFaceError:
            if not plan.output.copy_unedited:
                raise
            _copy(job.source.path, job.target, job.new)
            record.status = "copied"


def _write(
    editor: Editor,
    plan: EditPlan,
    job: Job,
    source: VideoSource,
    record: FileRecord,
    stop: threading.Event,
    progress: FrameProgress,
) -> None:
    from aif.runtime.video.pipeline import run_pipeline
    from aif.runtime.video.write import open_sink

    choices, quality, figures, target = plan.video, plan.output.quality, record.video, job.target
    assert figures is not None and target is not None
    size = (source.width * (1 + plan.edit.compare), source.height)
    with (
        shared_cores(shared_threads(plan.threads)),
        contextlib.closing(FaceEdits(editor, plan, record, figures)) as edits,
        open_sink(target, source, choices.codec, quality, choices.hardware, size) as sink,
        progress(source.path.name, source.estimated_frames) as done,
    ):
        sink.new = job.new
        result = run_pipeline(source, edits, sink, stop=stop, progress=done)
        source.close()  # a file that is open cannot be replaced on Windows
        record.status, figures.frames, figures.fps = "edited", result.frames, result.fps
        record.seconds["read"] = result.stage_seconds["decode"]
        record.seconds["write"] = result.stage_seconds["encode"]
        if result.stopped_early:
            figures.stopped_s = edits.time_s - float(source.start)
        elif not figures.with_faces:
            if not plan.output.copy_unedited or _may_be_the_same_bytes(plan, source, target):
                raise _missed(figures, plan)
            record.status = "copied"
    if sink.path.name != target.resolve().name:
        record.target = str(sink.path)


def _may_be_the_same_bytes(plan: EditPlan, source: VideoSource, target: Path) -> bool:
    """Whether the unedited result may be a copy of the file: nothing else was asked for."""
    output = plan.output
    as_is = output.quality is None and plan.video == VideoChoices() and not plan.edit.compare
    return as_is and not output.strip_location and source.path.suffix.lower() == target.suffix.lower()


def _copy(source: Path, target: Path, new: bool) -> None:
    """The file as it is."""
    try:
        if not (target.exists() and target.samefile(source)):
            with replacing(target, new) as part:
                shutil.copyfile(source, part)
    except OSError as error:
        raise VideoError(f"Cannot write {target}: {error.strerror or error}.") from error


def _look(
    editor: Editor, plan: EditPlan, source: VideoSource, record: FileRecord, figures: VideoFigures
) -> None:
    """The faces of the first frame that has any wanted one."""
    for frame in source:
        figures.frames += 1
        try:
            record.faces = editor.analyse(frame.image_hwc_bgr, plan.edit.faces)
        except NoFaceError as error:
            figures.most = max(figures.most, error.found)
        else:
            figures.with_faces, record.status = 1, "analysed"
            return
    raise _missed(figures, plan)


def _missed(figures: VideoFigures, plan: EditPlan) -> NoFaceError:
    """What to say of a video without any wanted face."""
    wanted, frames = plan.edit.faces, figures.frames
    if isinstance(wanted, int) and 0 < figures.most <= wanted:
        there = "1 face" if figures.most == 1 else f"{figures.most} faces"
        message = f"There is no face number {wanted} in any of the {frames} frames: at most {there} at once."
        return NoFaceError(message, "They are numbered from left to right, from 0 on.", figures.most)
    return NoFaceError(f"No face was found in any of the {frames} frames.", VISIBLE)
