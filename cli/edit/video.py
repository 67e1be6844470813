"""`aif-edit` on videos: which part, with what, and what to do where there is no face."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aif.cli import console
from aif.cli.edit.paths import Job
from aif.cli.edit.progress import Bars
from aif.cli.edit.report import Report
from aif.runtime.arrays import UInt8Array
from aif.runtime.editing.editor import Editor, FaceAnalysis
from aif.runtime.errors import ConfigError, NoFaceError
from aif.runtime.faces.detect import Detection
from aif.runtime.geometry.align import alignment_residual, similarity_transform
from aif.runtime.signals import stop_on_signals
from aif.runtime.video.kinds import VideoError, is_sequence

if TYPE_CHECKING:
    from aif.cli.edit.run import EditPlan
    from aif.runtime.tracking.tracker import TrackedFace
    from aif.runtime.video.read import VideoSource

_VISIBLE = "Faces must look roughly at the camera and be at least about 20 pixels wide."
# Stages as the video editor calls them to those of a report, where "decode" means reading the file.
_RENAMED = {"track": "detect", "decode": "decode_faces"}

_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)")


@dataclass(frozen=True)
class VideoChoices:
    """What was asked for of videos; None = not asked.

    Attributes:
        start, end: of the part to keep, in seconds from the start of the video.
        codec, hardware: see `choose_encoding`.
        fps: frames a second of numbered pictures.
    """

    start: float | None = None
    end: float | None = None
    codec: str | None = None
    hardware: str | None = None
    fps: float | None = None


@dataclass
class VideoReport(Report):
    """A video's record: `faces` are those of the first frame with a face.

    Attributes:
        frames: edited or looked at.
        frames_with_faces: how many of them had a wanted face.
        fps: frames a second, all stages together.
    """

    frames: int = 0
    frames_with_faces: int = 0
    fps: float = 0.0

    def as_json(self, timings: bool) -> str:
        """One line of JSON."""
        record = json.loads(super().as_json(timings))
        record |= {"frames": self.frames, "frames_with_faces": self.frames_with_faces}
        if timings:
            record["fps"] = round(self.fps, 2)
        return json.dumps(record, ensure_ascii=False)


def parse_time(text: str | None, option: str) -> float | None:
    """Seconds, from "90", "90.5", "1:30" or "0:01:30.5"; None stays None.

    Raises:
        ConfigError: none of these; `option` is what to call it.
    """
    if text is None:
        return None
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{option} {text} is no time.", "Write seconds (90.5) or hh:mm:ss (0:01:30.5).")
    hours, minutes, seconds = found.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


def check_videos(
    jobs: Sequence[Job], choices: VideoChoices, edits: bool, sweep: bool, quality: int | None
) -> None:
    """Find what cannot work before anything is loaded.

    Raises:
        ConfigError: options of videos without a video, a sweep of a video, an end before the start, a codec
            that does not fit the file, a sequence without --fps.
        VideoError: such a file cannot be written here.
    """
    videos = [job for job in jobs if job.source.is_video]
    if not videos:
        if choices != VideoChoices():
            given = [name for name, value in vars(choices).items() if value is not None]
            raise ConfigError(f"--{given[0]} is for videos, and there is none among the inputs.")
        return
    if sweep:
        raise ConfigError(f"--sweep is for pictures; {videos[0].source.label} is a video.")
    if choices.start is not None and choices.end is not None and choices.end <= choices.start:
        raise ConfigError(f"--end {choices.end:g} is not after --start {choices.start:g} (in seconds).")
    if choices.fps is not None and choices.fps <= 0:
        raise ConfigError(f"--fps must be above 0, not {choices.fps:g}.")
    sequences = [job.source.label for job in videos if job.source.path and is_sequence(job.source.path)]
    if sequences and choices.fps is None:
        raise ConfigError(f"How many frames a second has {sequences[0]}?", "Say it: --fps 25")
    if choices.fps is not None and len(sequences) < len(videos):
        raise ConfigError("--fps is for numbered pictures (frame_%04d.png); a video has its own frame rate.")
    if edits:
        from aif.runtime.video.codecs import choose_encoding

        for job in videos:
            assert job.target is not None
            choose_encoding(job.target, choices.codec, quality, choices.hardware)


class FaceEdits:
    """Edits frames one after the other and keeps account of the faces; a frame without one stays as it is.

    Attributes:
        time_s: of the last frame, in seconds.
    """

    def __init__(self, editor: Editor, plan: EditPlan, report: VideoReport) -> None:
        """Begin a video: tracking starts afresh."""
        from aif.runtime.video.editor import VideoEditor

        self._frames = VideoEditor(editor, plan.settings, plan.mode, plan.faces, threads=plan.threads)
        self._size, self._compare, self._report = editor.model.image_size, plan.compare, report
        self.time_s = 0.0

    def __call__(self, image_hwc_bgr: UInt8Array, time_s: float) -> UInt8Array:
        """The edited frame, uint8 (H, W, 3) BGR; beside the original where both were asked for."""
        result, report = self._frames.process(image_hwc_bgr, time_s), self._report
        self.time_s = time_s
        edited = [face for face in result.faces if face.weight > 0]
        report.frames_with_faces += bool(edited)
        if edited and not report.faces:
            report.faces = [self._analysis(face, result.y[face.id]) for face in edited]
        for stage, seconds in result.timings.items():
            name = _RENAMED.get(stage, stage)
            report.seconds[name] = report.seconds.get(name, 0.0) + seconds
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


def run_video(editor: Editor, plan: EditPlan, job: Job, report: VideoReport, bars: Bars) -> None:
    """Edit one video, or look at it where nothing is to be edited.

    Raises:
        NoFaceError: not one frame has a wanted face, and the video is not to be copied then.
        VideoError: it cannot be read or written.
        KeyboardInterrupt: Ctrl-C or SIGTERM came; what had been done by then is in the output, playable.
    """
    from aif.runtime.video.read import VideoSource

    assert job.source.path is not None
    choices = plan.video
    with VideoSource(job.source.path, choices.start, choices.end, choices.fps) as source:
        report.size = (source.width, source.height)
        megapixels = source.width * source.height / 1e6
        if plan.max_megapixels is not None and megapixels > plan.max_megapixels:
            raise VideoError(
                f"{job.source.label} has frames of {megapixels:.0f} megapixels.",
                f"Allow it with --max-megapixels {megapixels + 1:.0f}",
            )
        if not plan.edits:
            _look(editor, plan, source, report)
            return
        assert job.target is not None
        report.target = str(job.target)
        _edit(editor, plan, job, source, report, bars)


def _edit(
    editor: Editor, plan: EditPlan, job: Job, source: VideoSource, report: VideoReport, bars: Bars
) -> None:
    from aif.runtime.video.pipeline import run_pipeline
    from aif.runtime.video.sinks import open_sink

    choices, target = plan.video, job.target
    assert target is not None and job.source.path is not None
    size = (source.width * (1 + plan.compare), source.height)
    try:
        with (
            stop_on_signals() as stop,
            contextlib.closing(FaceEdits(editor, plan, report)) as edits,
            open_sink(target, source, choices.codec, plan.quality, choices.hardware, size) as sink,
            bars.video(job.source.place.name, source.estimated_frames) as progress,
        ):
            result = run_pipeline(source, edits, sink, stop=stop, progress=progress)
            source.close()  # a file that is open cannot be replaced on Windows
            report.status, report.frames, report.fps = "edited", result.frames, result.fps
            report.seconds["decode"] = result.stage_seconds["decode"]
            report.seconds["write"] = result.stage_seconds["encode"]
            if not report.frames_with_faces and not result.stopped_early:
                if not plan.copy_unedited or _same_kind(plan, source, target):
                    raise NoFaceError(f"No face was found in any of the {result.frames} frames.", _VISIBLE)
                report.status = "copied"
    except NoFaceError:
        if not plan.copy_unedited:
            raise
        report.status = "copied"
        _copy(job.source.path, target)
    if result.stopped_early:
        _say_stopped(job, result.frames, edits.time_s - float(source.start))
        raise stop.interrupt()


def _same_kind(plan: EditPlan, source: VideoSource, target: Path) -> bool:
    """Whether the unedited result may be the very bytes of the source."""
    as_is = plan.quality is None and plan.video == VideoChoices() and not plan.compare
    return as_is and source.path.suffix.lower() == target.suffix.lower()


def _copy(source: Path, target: Path) -> None:
    """The file as it is, beside its place and then renamed."""
    part = target.with_name(f".aif-{os.getpid()}-{secrets.token_hex(6)}.part")
    try:
        if target.exists() and target.samefile(source):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(source, part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise VideoError(f"Cannot write {target}: {error.strerror or error}.") from error


def _look(editor: Editor, plan: EditPlan, source: VideoSource, report: VideoReport) -> None:
    """The faces of the first frame that has any wanted one."""
    for frame in source:
        report.frames += 1
        with contextlib.suppress(NoFaceError):
            report.faces = editor.analyse(frame.image_hwc_bgr, plan.faces)
            report.frames_with_faces, report.status = 1, "analysed"
            return
    raise NoFaceError(f"No face was found in any of the {report.frames} frames.", _VISIBLE)


def _say_stopped(job: Job, frames: int, seconds: float) -> None:
    """What there is after a signal; `seconds` is the time of the last frame."""
    what = f"{job.target} holds {frames} {'frame' if frames == 1 else 'frames'}, the last at {seconds:.1f} s"
    if not frames:
        what = "nothing was written"
    console.error_console().print(f"{job.source.label}: stopped; {what}.", markup=False)
