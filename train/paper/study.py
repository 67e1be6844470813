"""From tables and figures to their report: train what is missing, measure it, put it together."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aif.runtime.arrays import Float32Array
from aif.runtime.errors import UnknownAttributeError
from aif.train.evaluation.measure import TorchModel
from aif.train.paper.exhibits import Exhibit, System
from aif.train.paper.experiment import Experiment, Measured, system
from aif.train.paper.measures import Number
from aif.train.paper.pictures import draw_strips, edit_strip
from aif.train.paper.report import Picture, Report, Table, number_table, write_report
from aif.train.training.loop import Progress
from aif.train.training.run import load_run

OnProgress = Callable[[str, Progress], None]
"""Called with a preset and where its training stands."""
Found = list[tuple[System, list[Measured]]]
"""The systems of an exhibit, each measured with its seeds."""


@dataclass(frozen=True)
class Study:
    """An experiment, the attributes that it is about, and the faces that its pictures show.

    Attributes:
        attributes: the first is edited everywhere; figures 2, 5 and 7 show all.
        portraits: float32 (N, 3, S, S) RGB crops in [0, 1] for the pictures.

    Raises:
        UnknownAttributeError: the evaluator does not know an attribute.
    """

    experiment: Experiment
    attributes: tuple[str, ...]
    portraits: Float32Array

    def __post_init__(self) -> None:
        known = self.experiment.instruments.evaluator.attributes
        for name in self.attributes:
            if name not in known:
                raise UnknownAttributeError(name, known, "the evaluator")


def reproduce(study: Study, exhibits: Sequence[Exhibit], progress: OnProgress | None = None) -> None:
    """Train and measure what is not done yet, and write a report of each exhibit, and `all` of several."""
    out = study.experiment.out
    for exhibit in exhibits:  # each is written as soon as it is there
        write_report(report(study, exhibit.title, [exhibit], progress), out, exhibit.name)
    if len(exhibits) > 1:
        write_report(report(study, "The paper's evidence, measured", exhibits), out, "all")


def report(
    study: Study, title: str, exhibits: Sequence[Exhibit], progress: OnProgress | None = None
) -> Report:
    """The report of some exhibits; trains and measures what is not done yet."""
    parts: list[Table | Picture] = []
    numbers: list[dict[str, Any]] = []
    for exhibit in exhibits:
        learnt = study.attributes if exhibit.several else study.attributes[:1]
        found = [(shown, _measured(study, shown, learnt, progress)) for shown in exhibit.systems]
        path = study.experiment.out / "pictures" / f"{exhibit.name}.png"
        if exhibit.kind == "picture":
            _draw(study, found, learnt, path)
            parts.append(Picture(exhibit.name, exhibit.title, exhibit.caption, path))
            continue
        names = study.attributes if exhibit.kind == "chart" else study.attributes[:1]
        keys = tuple(dict.fromkeys(key.replace("{a}", name) for name in names for key in exhibit.columns))
        numbers += [*_rows(exhibit.name, found, keys), *_references(study, exhibit, keys)]
        parts.append(Table(exhibit.name, exhibit.title, exhibit.caption, keys))
    e = study.experiment
    return Report(title, str(e.budget), e.command, tuple(parts), number_table(numbers), _notes(study))


def _measured(
    study: Study, shown: System, learnt: tuple[str, ...], progress: OnProgress | None
) -> list[Measured]:
    seeds = study.experiment.budget.seeds if shown.repeated else study.experiment.budget.seeds[:1]
    return [
        system(study.experiment, shown.preset, seed, learnt, study.attributes, progress) for seed in seeds
    ]


def _notes(study: Study) -> tuple[str, ...]:
    """How good the instruments are."""
    instruments = study.experiment.instruments
    accuracy = instruments.evaluator.accuracy
    worth = ", ".join(f"{name} {100 * accuracy[name]:.1f}%" for name in study.attributes)
    notes = [f"The evaluator's own accuracy on held-out real faces: {worth}."]
    if instruments.identity is not None and (v := instruments.identity.verification) is not None:
        notes.append(
            f"The identity network's own verification accuracy on people whom it has not seen: "
            f"{100 * v.accuracy:.1f}% of {v.pairs} pairs."
        )
    return tuple(notes)


def _rows(table: str, found: Found, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of the long table (see `report.py`)."""
    for shown, seeds in found:
        for measured in seeds:
            for key in keys:
                number = measured.numbers.get(key)
                yield {
                    **{"table": table, "label": shown.label, "key": key},
                    **({} if number is None else dataclasses.asdict(number)),
                    "why": _why(key, number),
                    **dataclasses.asdict(measured.provenance),
                }


def _why(key: str, number: Number | None) -> str | None:
    """Why a measure is missing; None where it is there."""
    if number is not None:
        return "there was nothing to measure" if math.isnan(number.value) else None
    if key.endswith(".kept"):
        return "no identity network was given (aif fit identity, then --identity)"
    return "does not apply to this system"


def _references(study: Study, exhibit: Exhibit, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of no trained system: the evaluator itself, where classification is compared."""
    if exhibit.name == "figure2":
        for key in keys:
            score = study.experiment.instruments.evaluator.scores[key.split(".", 1)[1]]
            label = "the evaluator itself (ResNet-18)"
            yield {"table": exhibit.name, "label": label, "key": key, "value": score.accuracy, "n": score.n}


def _draw(study: Study, found: Found, learnt: tuple[str, ...], path: Path) -> None:
    """The first seed's edits of the portraits."""
    strips = [
        edit_strip(TorchModel.of(load_run(seeds[0].folder)), study.portraits, shown.label, learnt)
        for shown, seeds in found
    ]
    draw_strips(strips, path)
