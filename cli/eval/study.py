"""`aif eval table1 ... all`: reproduce the paper's evidence."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from aif.cli.options import check_new

if TYPE_CHECKING:
    from aif.cli.eval.measure import Request
    from aif.train.paper.budget import Budget
    from aif.train.paper.measures import Effort
    from aif.train.training.loop import LoopOptions

PORTRAITS = 4
"""Held-out faces in a picture, where no portraits are named."""


def reproduce(
    name: str, asked: Request, portraits: list[str], budget: Budget, effort: Effort, options: LoopOptions
) -> None:
    """Train what is missing, measure it, and write the report; no report of another command is replaced."""
    from aif.cli.train import training_bar
    from aif.train.evaluators.evaluator import Evaluator
    from aif.train.evaluators.identity import IdentityNetwork
    from aif.train.paper import study as studies
    from aif.train.paper.exhibits import find_exhibits
    from aif.train.paper.experiment import Experiment, folder_hash
    from aif.train.paper.measures import Instruments
    from aif.train.paper.portraits import found_in, held_out

    out, evaluator, identity = asked.out, asked.evaluator, asked.identity
    assert out is not None and evaluator is not None
    place = None if asked.data is None or str(asked.data) == "synthetic" else asked.data.resolve()
    exhibits, command = find_exhibits(name, synthetic=place is None), " ".join(["aif", *sys.argv[1:]])
    for each in {name, *(exhibit.name for exhibit in exhibits)}:
        earlier = out / f"{each}.json"
        check_new(earlier, asked.overwrite or _goes_on(earlier, command))
    instruments = Instruments(
        Evaluator.load(evaluator), None if identity is None else IdentityNetwork.load(identity)
    )
    judges = folder_hash(evaluator, identity)
    experiment = Experiment(
        out, place, asked.table, instruments, judges, budget, effort, options, command
    )  # fmt: skip
    size, attributes = budget.image_size or 64, asked.attributes or ("Smiling",)
    if portraits:
        faces = found_in([*portraits], size)
    else:
        faces = held_out(experiment.faces(attributes).validation, PORTRAITS, size)
    study = studies.Study(experiment, attributes, faces)
    with training_bar() as show:
        studies.reproduce(study, exhibits, show)
    typer.echo(f"Wrote {out / name}.md and .json.")


def _goes_on(report: Path, command: str) -> bool:
    """Whether a report was made by the same command, whatever of the paper it was to reproduce."""
    from aif.train.paper.exhibits import NAMES

    try:
        said = str(json.loads(report.read_bytes())["command"])
    except (OSError, ValueError, TypeError, KeyError):
        return False
    ours, theirs = (
        [word for word in text.split() if word not in (*NAMES, "all", "--overwrite")]
        for text in (command, said)
    )
    return ours == theirs
