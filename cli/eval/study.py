"""`aif eval table1 ... all`: reproduce the paper's evidence."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from aif.train.paper.budget import Budget
    from aif.train.paper.measures import Effort
    from aif.train.training.loop import LoopOptions, Progress

PORTRAITS = 4
"""Held-out faces in a picture, where no portraits are named."""


def reproduce(
    name: str,
    data: Path | None,
    evaluator: Path,
    out: Path,
    *,
    table: Path | None,
    identity: Path | None,
    attributes: list[str],
    portraits: list[str] | None,
    budget: Budget,
    effort: Effort,
    options: LoopOptions,
) -> None:
    """Train what is missing, measure it, and write the report."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from aif.cli.console import error_console
    from aif.train.evaluators.evaluator import Evaluator
    from aif.train.evaluators.identity import IdentityNetwork
    from aif.train.paper.exhibits import find_exhibits
    from aif.train.paper.experiment import Experiment, folder_hash
    from aif.train.paper.measures import Instruments
    from aif.train.paper.portraits import found_in, held_out
    from aif.train.paper.study import Study, report
    from aif.train.paper.write import write_report

    place = None if data is None or str(data) == "synthetic" else data.resolve()
    exhibits = find_exhibits(name, synthetic=place is None)
    instruments = Instruments(
        Evaluator.load(evaluator), None if identity is None else IdentityNetwork.load(identity)
    )
    experiment = Experiment(
        out, place, table, instruments, folder_hash(evaluator, identity), budget, effort, options,
        command=" ".join(["aif", *sys.argv[1:]]),
    )  # fmt: skip
    size = budget.image_size or 64
    faces = (
        found_in(list(portraits), size)
        if portraits
        else held_out(experiment.faces(attributes).validation, PORTRAITS, size)
    )
    study = Study(experiment, tuple(attributes), faces)
    console = error_console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} faces/s"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, rate="-")

        def show(preset: str, now: Progress) -> None:
            bar.update(
                task,
                description=preset,
                total=now.steps,
                completed=now.step,
                rate=f"{now.faces_per_second:.0f}",
            )

        for exhibit in exhibits:  # each is written as soon as it is there
            write_report(report(study, exhibit.title, [exhibit], show), out, exhibit.name)
    if len(exhibits) > 1:
        write_report(report(study, "The paper's evidence, measured", exhibits), out, "all")
    typer.echo(f"Wrote {out / name}.html, .md and .json.")
