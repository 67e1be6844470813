"""Edit files, a camera's picture, or many pictures on a cluster, and print how it went."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

# What takes long to load (OpenCV, ONNX Runtime ...) is imported once the command line makes sense.
from aif.cli import console
from aif.runtime.batch.machine import Machine
from aif.runtime.batch.places import Files, Job, plan_outputs
from aif.runtime.batch.plan import EditPlan, Look, Output, Show, VideoChoices
from aif.runtime.batch.sources import find_sources
from aif.runtime.errors import AifError, ConfigError, NoFaceError

if TYPE_CHECKING:
    from aif.runtime.batch.record import FileRecord
    from aif.runtime.live.choices import LiveChoices


MOST_SHOWN = 10
"""Failures that are printed; the report has all of them."""


def edit_here(
    files: Files,
    look: Look,
    output: Output,
    video: VideoChoices,
    machine: Machine,
    bundle: Path | None,
    show: Show,
) -> int:
    """Edit pictures and videos, or look at them; the exit code.

    Raises:
        AifError: options that contradict each other, no input, or the only input failed.
    """
    _check(files, look, show)
    sources = find_sources(files.inputs, files.recursive)
    jobs = [Job(source, None) for source in sources]
    if look:
        jobs = plan_outputs(sources, files.out, look.tag, output.kind, files.overwrite)
    from aif.runtime.bundle.bundle import Bundle

    opened = Bundle.open(bundle)
    edit, known = look.edit(opened.manifest), opened.manifest.attributes
    from aif.cli.edit.progress import bars
    from aif.cli.edit.show import MORE_FACES, announce, far_away, print_record, print_timings, summarised
    from aif.runtime.batch.build_engines import build_for
    from aif.runtime.batch.run import edit_files, exit_code
    from aif.runtime.faces.detect import resolve_detector
    from aif.runtime.threads import shared_threads

    if any(source.is_video for source in sources):
        machine = replace(machine, threads=shared_threads(machine.threads))
    plan = EditPlan(edit, output, video, machine.threads)
    plan.check(jobs)
    announce(edit.all_settings, known)
    if machine.build_engines:
        build_for(opened, sources, machine, output.max_megapixels, console.notice)
    with machine.load(opened) as editor, bars(len(jobs)) as (advance, frames):

        def finished(record: FileRecord) -> None:
            print_record(record, show, known, edit.faces, alone=len(jobs) == 1)
            advance()

        records = edit_files(editor, plan, jobs, finished, frames)
    if show.timings and not show.as_json:
        print_timings(records)
    if len(jobs) > 1:
        console.say(summarised(records, edit.faces))
    finder, _ = resolve_detector(machine.detector, opened, machine.yunet)  # type: ignore[arg-type]
    if finder != "yunet" and not show.as_json and any(map(far_away, records)):
        console.say(MORE_FACES)
    return exit_code(records)


def edit_live(choices: LiveChoices, look: Look, machine: Machine, bundle: Path | None) -> int:
    """Edit a camera's picture until the user ends it; the exit code.

    Raises:
        AifError: a wrong option, the camera cannot be opened, there is no display.
    """
    from aif.runtime.live.choices import check_live

    check_live(choices)
    if machine.build_engines:
        from aif.runtime.batch.build_engines import NO_FACES

        raise ConfigError("Engines are checked on faces in pictures before a camera is opened.", NO_FACES)
    from aif.runtime.bundle.bundle import Bundle

    opened = Bundle.open(bundle)
    edit = look.edit(opened.manifest)
    from aif.cli.edit.show import announce
    from aif.runtime.live.run import run_live
    from aif.runtime.threads import shared_threads

    choices = replace(choices, mode=edit.mode, faces=edit.faces)
    announce(edit.settings, opened.manifest.attributes)
    with replace(machine, threads=shared_threads(machine.threads)).load(opened) as editor:
        return run_live(editor, choices, edit.settings, console.say)


def _check(files: Files, look: Look, show: Show) -> None:
    """Find options that contradict each other before a bundle is opened."""
    looks = show.attributes or show.as_json
    if not look and not looks:
        raise ConfigError(
            "There is nothing to do.", "Say what to change (--set Smiling=1), or add --show-attributes."
        )
    if not look and files.out is not None:
        raise ConfigError(
            "--out has no picture to write: nothing is to be edited.",
            "Say what to change (--set Smiling=1). What is printed goes to a file with > FILE.",
        )
    look.check()
    if look and files.to_stdout and looks:
        raise ConfigError(
            "Standard output cannot carry the picture and a report.",
            "Write the picture to a file: --out FILE",
        )
    if look and files.to_stdout and sys.stdout.isatty():
        raise ConfigError(
            "The picture would go to the terminal.", "Name a file with --out, or pipe it: ... | display"
        )


def edit_many(
    files: Files, look: Look, output: Output, machine: Machine, bundle: Path | None, workers: int | None
) -> int:
    """Edit pictures on a Ray cluster; the exit code, as `aif edit` has it.

    Raises:
        ConfigError: an option at odds with another.
        AifError: nothing to edit, or the cluster cannot be reached.
    """
    source, destination = _places(files)
    if not look:
        raise ConfigError("There is nothing to do.", "Say what to change: --set Smiling=1")
    look.check()
    from aif.cli.edit.show import announce
    from aif.runtime.batch.run import summary
    from aif.runtime.bundle.bundle import Bundle
    from aif.runtime.ray.job import run_job
    from aif.runtime.ray.places import Place
    from aif.runtime.ray.setup import Setup
    from aif.runtime.ray.tasks import find_tasks

    opened = Bundle.open(bundle)
    edit = look.edit(opened.manifest)
    announce(edit.all_settings, opened.manifest.attributes)
    here = os.environ.get("RAY_ADDRESS", "local") in ("", "local")
    setup = Setup.of(EditPlan(edit, output), machine, opened, bundle, here)
    tasks = find_tasks(Place(source), Place(destination), files.recursive, files.overwrite, output.kind)
    if tasks.others:
        counts = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in tasks.others.items())
        console.say(f"Left out, as --engine ray edits pictures: {counts}.")
    if tasks.done:
        console.say(f"{tasks.done} pictures have a result already; --overwrite makes it anew.")
    result = run_job(tasks, setup, workers, sys.stderr.isatty())
    for record in result.failures[:MOST_SHOWN]:
        error = str(record["error"])
        console.show_error(AifError(error if record["input"] in error else f"{record['input']}: {error}"))
    if result.failures:
        report = tasks.destination.name(tasks.report)
        count = f"Without a result: {len(result.failures)} pictures, named in {report}"
        console.say(f"{count}; the same command tries them again.")
    console.notice(summary(result.statuses) or "nothing was left to do")
    if "failed" in result.statuses:
        return 1
    return NoFaceError.exit_code if "no_face" in result.statuses else 0


def _places(files: Files) -> tuple[str, str]:
    """Source and destination."""
    words = [*files.inputs, *([] if files.out is None else [files.out])]
    if len(words) != 2 or not files.inputs:
        raise ConfigError(
            f"--engine ray takes one source and one destination, not {len(words)} places.",
            "Write: aif-edit --engine ray SRC DST --set Smiling=1 (folders, or s3://bucket/folder ...)",
        )
    if "-" in words or words[0] == "demo":
        raise ConfigError(
            "--engine ray edits files, no streams and no demo.", "Name folders, or leave out --engine ray."
        )
    return words[0], words[1]
