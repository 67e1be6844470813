"""What a benchmark found, as tables for people and as JSON."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from aif.cli.console import output_console
from aif.runtime.bench.measure import Row
from aif.runtime.bench.run import Outcome
from aif.runtime.files import write_text

if TYPE_CHECKING:
    from rich.table import Table


def present(outcome: Outcome, json_file: str | None, new: bool = False) -> None:
    """Print tables, or the JSON for "-"; write the JSON where a file is named."""
    if json_file == "-":
        typer.echo(outcome.as_json(), nl=False)
        return
    console = output_console()
    for line in _heading(outcome):
        console.print(line, markup=False, soft_wrap=True)
    for table in _tables(outcome):
        console.print(table)
    for line in [*outcome.notes, *(f"{name} has not run: {why}" for name, why in outcome.not_run.items())]:
        console.print(line, markup=False, soft_wrap=True)
    if json_file is not None:
        write_text(Path(json_file), outcome.as_json(), new)


def _heading(outcome: Outcome) -> list[str]:
    machine, settings = outcome.machine, dict(outcome.settings)
    model = settings.pop("bundle", None)
    about = [
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in settings.items()
        if value is not None and name != "set"
    ]
    if model is not None:
        about.insert(0, f"bundle {model['name']} {model['version']} ({model['image_size']} px)")
    if "set" in settings:
        about.append("set " + ", ".join(f"{name}={value:g}" for name, value in settings["set"].items()))
    load = f"{machine['load_average']} before, {machine['load_average_after']} after"
    return [
        f"aif bench {outcome.what}: {', '.join(about)}",
        f"{machine['processor']}, {machine['cores']} cores; load average {load}",
    ]


def _tables(outcome: Outcome) -> Iterator[Table]:
    """A line a row where there are many rows, else a column a row; a table a film."""
    for _, group in itertools.groupby(outcome.rows, lambda row: row.labels.get("film")):
        rows = list(group)
        titles = [" ".join(map(str, row.labels.values())) for row in rows]
        cells = [_cells(row) for row in rows]
        names = list(dict.fromkeys(name for each in cells for name in each))
        table = [[name, *(each.get(name, "") for each in cells)] for name in names]
        lines = [["", *titles], *table]
        yield _table(list(zip(*lines, strict=True)) if outcome.what == "networks" else lines)


def _cells(row: Row) -> dict[str, str]:
    """Stages as median and 95th percentile, figures as they are."""
    stages = {
        f"{name} ms": f"{each['p50_ms']:.2f} / {each['p95_ms']:.2f}" for name, each in row.stages.items()
    }
    return stages | {name: _figure(value) for name, value in row.figures.items()}


def _table(lines: Sequence[Sequence[str]]) -> Table:
    """The first line is the heading, the first column holds words."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for place, head in enumerate(lines[0]):
        table.add_column(head, justify="right" if place else "left", no_wrap=not place)
    for line in lines[1:]:
        table.add_row(*line)
    return table


def _figure(value: float) -> str:
    """Whole numbers as such, others with three digits or two places."""
    return f"{value:g}" if value == int(value) else f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"
