"""`aif edit --engine ray SRC DST`: many pictures on many machines, from folders or object stores."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from aif.cli import console
from aif.runtime.batch.machine import Machine
from aif.runtime.batch.places import Files
from aif.runtime.batch.plan import EditPlan, Look, Output
from aif.runtime.errors import AifError, ConfigError, NoFaceError

MOST_SHOWN = 10
"""Failures that are printed; the report has all of them."""


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
