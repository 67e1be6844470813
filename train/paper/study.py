"""From the name of a table or figure to its report: train what is missing, measure it, put it together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aif.runtime.arrays import Float32Array
from aif.runtime.errors import UnknownAttributeError
from aif.train.evaluators.quality import lpips_lacks
from aif.train.paper.charts import bar_chart
from aif.train.paper.columns import column
from aif.train.paper.exhibits import Exhibit, System
from aif.train.paper.experiment import Experiment, Measured, editing_model, system
from aif.train.paper.pictures import draw_strips, edit_strip
from aif.train.paper.report import Cell, Number, Picture, Report, Row, Table
from aif.train.training.loop import Progress
from aif.train.training.run import load_run

Tell = Callable[[str, Progress], None]


@dataclass(frozen=True)
class Study:
    """An experiment, the attributes that it is about, and the faces that its pictures show.

    Attributes:
        attributes: the first is edited everywhere; figures 2, 5 and 7 show all.
        portraits: float32 (N, 3, S, S) RGB crops in [0, 1] for the pictures.
    """

    experiment: Experiment
    attributes: tuple[str, ...]
    portraits: Float32Array

    def __post_init__(self) -> None:
        known = self.experiment.instruments.evaluator.attributes
        for name in self.attributes:
            if name not in known:
                raise UnknownAttributeError(name, known, "the evaluator")


def report(study: Study, title: str, exhibits: Sequence[Exhibit], progress: Tell | None = None) -> Report:
    """All parts of a report; trains and measures what is not done yet."""
    parts: list[Table | Picture] = []
    for exhibit in exhibits:
        parts += show(study, exhibit, progress)
    experiment, evaluator = study.experiment, study.experiment.instruments.evaluator
    worth = ", ".join(f"{name} {100 * evaluator.accuracy[name]:.1f}%" for name in study.attributes)
    notes = [f"The evaluator's own accuracy on held-out real faces: {worth}."]
    if (identity := experiment.instruments.identity) is not None:
        v = identity.verification
        notes.append(
            f"The identity network's own verification accuracy on people whom it has not seen: "
            f"{100 * v.accuracy:.1f}% of {v.pairs} pairs."
        )
    return Report(title, str(experiment.budget), experiment.command, tuple(parts), tuple(notes))


def show(study: Study, exhibit: Exhibit, progress: Tell | None) -> list[Table | Picture]:
    """One table or figure."""
    learnt = study.attributes if exhibit.several else study.attributes[:1]
    seeds = study.experiment.budget.seeds
    rows: list[tuple[System, tuple[Measured, ...]]] = [
        (
            shown,
            tuple(
                system(study.experiment, shown.preset, seed, learnt, study.attributes, progress)
                for seed in seeds
            ),
        )
        for shown in exhibit.systems
    ]
    if exhibit.kind == "picture":
        return [_picture(study, exhibit, learnt, rows)]
    names = study.attributes if exhibit.kind == "chart" else study.attributes[:1]
    keys = dict.fromkeys(key.replace("{a}", name) for name in names for key in exhibit.columns)
    table = Table(
        exhibit.name,
        exhibit.title,
        exhibit.caption,
        tuple(column(key, _worth(study, key)) for key in keys),
        tuple(_row(shown.label, found, tuple(keys)) for shown, found in rows)
        + _references(study, exhibit, tuple(keys)),
    )
    if exhibit.kind == "table":
        return [table]
    path = study.experiment.out / "pictures" / f"{exhibit.name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    bar_chart(table, tuple(keys), path)
    return [table, Picture(f"{exhibit.name}-bars", f"{exhibit.title}, as bars", "The same numbers.", path)]


def _worth(study: Study, key: str) -> str:
    """What the evaluator is worth on the attribute of a measure, as a sentence."""
    evaluator = study.experiment.instruments.evaluator
    first = key.split(".", maxsplit=1)[0]
    name = study.attributes[0] if first == "paper" else first
    if name not in evaluator.accuracy:
        return ""
    return f"The evaluator itself is right on {100 * evaluator.accuracy[name]:.1f}% of real faces for {name}."


def _row(label: str, found: tuple[Measured, ...], keys: tuple[str, ...]) -> Row:
    cells = []
    for key in keys:
        numbers = tuple(measured.numbers.get(key) for measured in found)
        cells.append(Cell(numbers, "" if any(numbers) else _why(key)))
    return Row(label, tuple(cells), tuple(measured.provenance for measured in found))


def _why(key: str) -> str:
    if key.startswith("identity"):
        return "no identity network was given (aif fit identity, then --identity)"
    if key == "lpips":
        return lpips_lacks() or "not measured"
    return "does not apply to this system"


def _references(study: Study, exhibit: Exhibit, keys: tuple[str, ...]) -> tuple[Row, ...]:
    """Rows that are no trained system: the evaluator itself, where classification is compared."""
    if exhibit.name != "figure2":
        return ()
    scores = study.experiment.instruments.evaluator.scores
    cells = [
        Cell((Number(scores[key.split(".", 1)[1]].accuracy, scores[key.split(".", 1)[1]].n),)) for key in keys
    ]
    return (Row("the evaluator (ResNet-18)", tuple(cells), source="its own held-out accuracy"),)


def _picture(
    study: Study, exhibit: Exhibit, learnt: tuple[str, ...], rows: list[tuple[System, tuple[Measured, ...]]]
) -> Picture:
    """The first seed's edits of the portraits."""
    strips = [
        edit_strip(editing_model(load_run(found[0].folder)), study.portraits, shown.label, learnt)
        for shown, found in rows
    ]
    path = study.experiment.out / "pictures" / f"{exhibit.name}.png"
    draw_strips(strips, path)
    return Picture(exhibit.name, exhibit.title, exhibit.caption, path)
