"""`aif edit --engine ray SRC DST`: many pictures on many machines, from folders or object stores."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from aif.cli import console
from aif.cli.edit.show import announce
from aif.runtime.batch.machine import Machine
from aif.runtime.batch.places import Files
from aif.runtime.batch.plan import EditPlan, Look, Output
from aif.runtime.batch.run import summary
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import AifError, ConfigError, NoFaceError

_FOR_ONE_MACHINE = "Leave it out, or leave out --engine ray."
MOST_SHOWN = 10
"""Failures that are printed; the report has them all."""


def edit_many(
    engine: str,
    misplaced: str | None,
    files: Files,
    look: Look,
    output: Output,
    machine: Machine,
    bundle: Path | None,
    workers: int | None,
) -> int:
    """Edit pictures on a Ray cluster; the exit code, as `aif edit` has it.

    Args:
        engine: "ray"; others are refused.
        misplaced: an option that makes no sense here, if one was given.
        files, look, output, machine, bundle, workers: as asked for.

    Raises:
        ConfigError: an option that makes no sense here, or at odds with another.
        AifError: nothing to edit, or the cluster cannot be reached.
    """
    source, destination = _check(engine, misplaced, files, look)
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
    say = console.error_console().print
    if tasks.videos:
        say(f"{tasks.videos} videos are left out: --engine ray edits pictures.", markup=False)
    if tasks.done:
        say(f"{tasks.done} pictures have a result already; --overwrite makes it anew.", markup=False)
    result = run_job(tasks, setup, workers, sys.stderr.isatty())
    for record in result.failures[:MOST_SHOWN]:
        error = str(record["error"])
        console.show_error(AifError(error if record["input"] in error else f"{record['input']}: {error}"))
    if result.failures:
        report = tasks.destination.name(tasks.report)
        count = f"Without a result: {len(result.failures)} pictures, named in {report}"
        say(f"{count}; the same command tries them again.", markup=False)
    console.notice(summary(result.statuses) or "nothing was left to do")
    if "failed" in result.statuses:
        return 1
    return NoFaceError.exit_code if "no_face" in result.statuses else 0


def _check(engine: str, misplaced: str | None, files: Files, look: Look) -> tuple[str, str]:
    """Source and destination, where the options make sense."""
    if engine != "ray":
        unknown = f"There is no engine {engine!r}."
        raise ConfigError(
            "--workers is for --engine ray." if engine == "local" else unknown, "Known: --engine local, ray."
        )
    if misplaced is not None:
        raise ConfigError(f"{misplaced} makes no sense with --engine ray.", _FOR_ONE_MACHINE)
    words = [*files.inputs, *([] if files.out is None else [files.out])]
    if len(words) != 2 or not files.inputs:
        raise ConfigError(
            f"--engine ray takes one source and one destination, not {len(words)} places.",
            "Write: aif-edit --engine ray SRC DST --set Smiling=1 (folders, or s3://bucket/folder ...)",
        )
    if "-" in words or words[0] == "demo":
        raise ConfigError("--engine ray edits files, no streams and no demo.", _FOR_ONE_MACHINE)
    if not look:
        raise ConfigError("There is nothing to do.", "Say what to change: --set Smiling=1")
    look.check()
    return words[0], words[1]
