"""Do what `aif-edit` was asked: read, edit, write, one input after the other, and say how it went."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

from aif.cli import console
from aif.cli.edit.paths import DEMO, STREAM, Job
from aif.cli.edit.progress import Bars, video_bars
from aif.cli.edit.report import Report, already_line, print_attributes, print_timings
from aif.cli.edit.video import VideoChoices, VideoReport, run_video
from aif.runtime.arrays import UInt8Array
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.bundle.manifest import Mode
from aif.runtime.editing.editor import Editor, FaceChoice, FaceEdit
from aif.runtime.editing.options import describe
from aif.runtime.editing.sheets import compare_sheet, lay_out
from aif.runtime.editing.sweep import sweep_rows
from aif.runtime.errors import AifError, NoFaceError
from aif.runtime.faces.detect import DetectorName
from aif.runtime.image.io import (
    SUFFIXES,
    Format,
    Picture,
    demo_picture,
    read_bytes,
    read_image,
    write_bytes,
    write_image,
)
from aif.runtime.networks.sessions import Provider

# Stages as the editor calls them to stages of the whole, where reading a file is the first decoding.
_RENAMED = {"decode": "decode_faces"}


@dataclass(frozen=True)
class EditPlan:
    """What to do with every picture and video.

    Attributes:
        settings: attribute to wanted value.
        faces: which faces to edit.
        mode: how to blend; None = the bundle's default.
        sweep: attribute to show through its range, and the values; None = no sweep.
        compare: write original and result side by side.
        kind: format to write; None = by the output's suffix, else as read.
        quality: of JPEG and WebP (None = as read) and of videos (None = looks like the original).
        max_megapixels: larger pictures are refused; None = no limit.
        copy_unedited: a picture without a face is copied to its output.
        show_attributes, as_json, timings: what to print.
        keep_going: go on to the next picture after a failure.
        video: what was asked for of videos only.
        threads: of the networks; None = one a core.
    """

    settings: Mapping[str, float] = field(default_factory=dict)
    faces: FaceChoice = "all"
    mode: Mode | None = None
    sweep: tuple[str, tuple[float, ...]] | None = None
    compare: bool = False
    kind: Format | None = None
    quality: int | None = None
    max_megapixels: float | None = None
    copy_unedited: bool = False
    show_attributes: bool = False
    as_json: bool = False
    timings: bool = False
    keep_going: bool = True
    video: VideoChoices = field(default_factory=VideoChoices)
    threads: int | None = None

    @property
    def edits(self) -> bool:
        """Whether pictures are made, not only looked at."""
        return bool(self.settings) or self.sweep is not None


def load_editor(
    bundle: Bundle,
    provider: str,
    detector: str,
    yunet: Path | None,
    threads: int | None,
    precision: str | None = None,
) -> Editor:
    """The editor for the command line's choices, which `check_options` has found to be known ones.

    Raises:
        AifError: see `Editor.load`; a ConfigError when the YuNet file cannot be used.
    """
    finder = cast(DetectorName, detector)
    return Editor.load(bundle, cast(Provider, provider), finder, threads, precision, yunet=yunet)


def run_plan(editor: Editor, plan: EditPlan, jobs: Sequence[Job]) -> int:
    """Work through the jobs; the exit code: 0, 3 when all failures were missing faces, else 1.

    Raises:
        AifError: the only picture failed, or the first one that fails when not told to keep going.
    """
    reports: list[Report] = []
    failures: list[AifError] = []
    go_on = plan.keep_going and len(jobs) > 1
    videos = any(job.source.is_video for job in jobs)
    with video_bars() if videos else console.progress_bar("Editing") as progress:
        progress(0, len(jobs))
        for done, job in enumerate(jobs, start=1):
            kind = VideoReport if job.source.is_video else Report
            report = kind(job.source.label, settings=plan.settings)
            failure = _attempt(editor, plan, job, report, go_on, progress)
            reports.append(report)
            if plan.as_json:
                print(report.as_json(plan.timings), flush=True)
            elif plan.show_attributes and report.faces:
                print_attributes(report, editor.model.manifest.attributes)
            if len(jobs) == 1 or console.state.verbose:
                _say(report)
            if failure is not None:
                failures.append(failure)
                if not go_on:
                    raise failure
                console.show_error(failure)
            progress(done, len(jobs))
    if plan.timings and not plan.as_json:
        print_timings(reports)
    if len(jobs) > 1:
        console.notice(_summary(reports))
    if not failures:
        return 0
    return NoFaceError.exit_code if all(isinstance(error, NoFaceError) for error in failures) else 1


def _attempt(
    editor: Editor,
    plan: EditPlan,
    job: Job,
    report: Report,
    go_on: bool,
    progress: Callable[[int, int], None],
) -> AifError | None:
    """Do one job, and return what a person should know of its failure."""
    try:
        if isinstance(report, VideoReport):
            run_video(editor, plan, job, report, cast(Bars, progress))
        else:
            _run_job(editor, plan, job, report)
        return None
    except AifError as error:
        report.status = "no_face" if isinstance(error, NoFaceError) else "failed"
        failure = error
    except Exception as error:
        if not go_on:
            raise
        # A fault of ours in one picture of many: shown in full, but the others get their turn.
        traceback.print_exc(file=sys.stderr)
        failure = AifError(f"{type(error).__name__}: {error}", console.REPORT)
    report.target, report.error = None, failure.message
    if job.source.label not in failure.message:
        failure.message = f"{job.source.label}: {failure.message}"
    return failure


def _run_job(editor: Editor, plan: EditPlan, job: Job, report: Report) -> None:
    start = time.perf_counter()
    picture, data = _read(job, plan)
    report.size = (picture.width, picture.height)
    report.seconds["decode"] = time.perf_counter() - start
    if not plan.edits:
        report.faces, report.status = editor.analyse(picture.pixels_hwc_bgr, plan.faces), "analysed"
        return
    report.target = STREAM if job.target is None else str(job.target)
    try:
        result, pixels = edited_picture(editor, plan, picture, report)
    except NoFaceError:
        if not plan.copy_unedited:
            raise
        _copy(plan, job, picture, data)
        report.status = "copied"
        return
    start = time.perf_counter()
    write_image(result, pixels, job.target or STREAM, _kind(plan, job, picture), plan.quality)
    report.seconds["write"] = time.perf_counter() - start
    report.status = "edited"


def _read(job: Job, plan: EditPlan) -> tuple[Picture, bytes]:
    """The picture, and its file's bytes (none for the demo)."""
    source = job.source
    if source.label == DEMO and source.path is None:
        return demo_picture(), b""
    data = sys.stdin.buffer.read() if source.path is None else read_bytes(source.path)
    return read_image(data, source.label, plan.max_megapixels), data


def edited_picture(
    editor: Editor, plan: EditPlan, picture: Picture, report: Report
) -> tuple[Picture, UInt8Array]:
    """What to write: the picture itself with edited pixels, or a sheet; the report gets its faces and times.

    Raises:
        AifError: see `Editor.edit`.
    """
    frame = picture.pixels_hwc_bgr
    if plan.sweep is not None:
        pixels = _sweep(editor, plan, picture, report)
        return picture.sheet(pixels), pixels
    result = editor.edit(frame, plan.settings, plan.mode, plan.faces)
    report.faces = result.faces
    _add_seconds(report, result.timings)
    if plan.compare:
        sheet = compare_sheet(frame, picture.settle(result.image_hwc_bgr), describe(plan.settings))
        return picture.sheet(sheet), sheet
    return picture, result.image_hwc_bgr


def _sweep(editor: Editor, plan: EditPlan, picture: Picture, report: Report) -> UInt8Array:
    """A row of panels a face: the original, then one attribute through its range."""
    assert plan.sweep is not None
    report.faces = editor.analyse(picture.pixels_hwc_bgr, plan.faces)
    rows = sweep_rows(
        editor, picture, report.faces, plan.sweep, plan.settings, plan.mode, partial(_add_seconds, report)
    )
    return lay_out(rows)


def _copy(plan: EditPlan, job: Job, picture: Picture, data: bytes) -> None:
    """The input as it is: its very bytes where the output has the same format."""
    kind = _kind(plan, job, picture)
    if job.target is not None and data and kind == picture.format:
        write_bytes(job.target, data)
    elif job.target is None and data and kind == picture.format:
        sys.stdout.buffer.write(data)
    else:
        write_image(picture, picture.pixels_hwc_bgr, job.target or STREAM, kind, plan.quality)


def _kind(plan: EditPlan, job: Job, picture: Picture) -> Format:
    """The format asked for, else the one that the output's suffix means, else the picture's own."""
    by_suffix = SUFFIXES.get(job.target.suffix.lower()) if job.target is not None else None
    return plan.kind or by_suffix or picture.format


def _say(report: Report) -> None:
    """One line on what was written."""
    place = "standard output" if report.target == STREAM else report.target
    if report.status == "copied":
        console.notice(f"{report.source}: no face, copied to {place}")
    elif report.status == "edited":
        count = len(report.faces)
        what = f"{count} {'face' if count == 1 else 'faces'}"
        if isinstance(report, VideoReport):
            what = f"{report.frames} frames, {report.frames_with_faces} with faces, {report.fps:.1f} a second"
        away = sum(isinstance(face, FaceEdit) and face.strength < 1 for face in report.faces)
        what += f"; {away} turned away and edited less, or not at all" if away else ""
        console.notice(f"{report.source} -> {place} ({what})")
        if line := already_line(report):
            console.notice(f"{report.source}: {line}")


def _add_seconds(report: Report, timings: Mapping[str, float]) -> None:
    for stage, seconds in timings.items():
        name = _RENAMED.get(stage, stage)
        report.seconds[name] = report.seconds.get(name, 0.0) + seconds


def _summary(reports: list[Report]) -> str:
    words = {
        "edited": "edited",
        "analysed": "looked at",
        "copied": "copied without a face",
        "no_face": "without a face",
        "failed": "failed",
    }
    counts = [(sum(report.status == status for report in reports), text) for status, text in words.items()]
    return ", ".join(f"{count} {text}" for count, text in counts if count)
