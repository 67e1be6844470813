"""`aif eval table1 ... all`: reproduce the paper's evidence."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from aif.train.paper.budget import Budget
    from aif.train.paper.measures import Effort
    from aif.train.training.loop import LoopOptions

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
    attributes: tuple[str, ...],
    portraits: list[str] | None,
    budget: Budget,
    effort: Effort,
    options: LoopOptions,
) -> None:
    """Train what is missing, measure it, and write the report."""
    from aif.cli.train import training_bar
    from aif.train.evaluators.evaluator import Evaluator
    from aif.train.evaluators.identity import IdentityNetwork
    from aif.train.paper import study as studies
    from aif.train.paper.exhibits import find_exhibits
    from aif.train.paper.experiment import Experiment, folder_hash
    from aif.train.paper.measures import Instruments
    from aif.train.paper.portraits import found_in, held_out

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
    study = studies.Study(experiment, attributes, faces)
    with training_bar() as show:
        studies.reproduce(study, exhibits, show)
    typer.echo(f"Wrote {out / name}.md and .json.")
