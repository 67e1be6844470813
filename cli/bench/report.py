"""What a benchmark found, as tables for people and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from aif.cli.console import output_console
from aif.runtime.bench.measure import Row
from aif.runtime.bench.networks import NetworkRow
from aif.runtime.bench.steadiness import SteadinessRow
from aif.runtime.errors import AifError
from aif.runtime.files import write_text

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = 1
"""Raised whenever a field of the JSON is dropped or changes its meaning."""


@dataclass
class Outcome:
    """One benchmark.

    Attributes:
        what: its name.
        machine: as `describe_machine`, and the load after the run.
        settings: what was measured with what.
        rows: of image, video and live, one a setup.
        network_rows: of networks.
        steadiness_rows: of steadiness.
        not_run: providers that are not there, with the reason.
        notes: what else a reader should know.
    """

    what: str
    machine: dict[str, Any]
    settings: dict[str, Any]
    rows: Sequence[Row] = ()
    network_rows: Sequence[NetworkRow] = ()
    steadiness_rows: Sequence[SteadinessRow] = ()
    not_run: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add_missing(self, missing: Mapping[str, str]) -> None:
        """Providers that were not measured, and why."""
        self.not_run |= missing

    def as_json(self) -> str:
        """Everything, as documented in docs/benchmarks.md."""
        record: dict[str, Any] = {
            "schema": SCHEMA,
            "benchmark": self.what,
            "machine": self.machine,
            "settings": self.settings,
            "not_run": self.not_run,
            "notes": self.notes,
            "results": [
                *map(_record, self.rows),
                *map(_record, self.network_rows),
                *map(_record, self.steadiness_rows),
            ],
        }
        return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _record(row: Row | NetworkRow | SteadinessRow) -> dict[str, Any]:
    values = dataclasses.asdict(row)
    return _rounded({**values.pop("setup", {}), **values})


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    """Six digits are more than any clock here gives."""

    def short(value: Any) -> Any:
        if isinstance(value, dict):
            return _rounded(value)
        return float(f"{value:.6g}") if isinstance(value, float) else value

    return {name: short(value) for name, value in values.items()}


def present(outcome: Outcome, json_file: str | None) -> None:
    """Print tables, or the JSON for "-"; write the JSON where a file is named.

    Raises:
        AifError: the file cannot be written.
    """
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
        _write(Path(json_file), outcome.as_json())


def check_json_place(json_file: str | None) -> None:
    """Make the folder for the JSON before anything takes time.

    Raises:
        AifError: it cannot be made, or the name is a folder's.
    """
    if json_file is None or json_file == "-":
        return
    place = Path(json_file)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(place, error) from error
    if place.is_dir():
        raise AifError(f"Cannot write {place}: it is a folder.", "Name a file with --json.")


def _write(place: Path, text: str) -> None:
    try:
        write_text(place, text)
    except OSError as error:
        raise _cannot_write(place, error) from error


def _cannot_write(place: Path, error: OSError) -> AifError:
    return AifError(f"Cannot write {place}: {error.strerror or error}.", "Choose another place with --json.")


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


def _tables(outcome: Outcome) -> list[Table]:
    if outcome.network_rows:
        return list(_network_tables(outcome.network_rows))
    if outcome.steadiness_rows:
        return list(_steadiness_tables(outcome.steadiness_rows))
    return [_stage_table(outcome.rows), _figure_table(outcome.rows)]


def _stage_table(rows: Sequence[Row]) -> Table:
    """A line a stage, a column a setup."""
    table = _table("ms, p50 / p95", rows)
    for stage in dict.fromkeys(name for row in rows for name in row.stages):
        spreads = [row.stages.get(stage) for row in rows]
        table.add_row(stage, *("" if s is None else f"{s.p50_ms:.2f} / {s.p95_ms:.2f}" for s in spreads))
    return table


def _figure_table(rows: Sequence[Row]) -> Table:
    """A line a figure, a column a setup."""
    table = _table("", rows)
    for name in dict.fromkeys(name for row in rows for name in row.figures):
        values = [row.figures.get(name) for row in rows]
        table.add_row(name, *("" if value is None else _figure(value) for value in values))
    return table


def _steadiness_tables(rows: Sequence[SteadinessRow]) -> Iterator[Table]:
    """A table a film: a line a way; lower is calmer."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    for film in dict.fromkeys(row.film for row in rows):
        table = Table(title=film, title_justify="left", box=SIMPLE_HEAD, padding=0)  # 80 columns
        table.add_column("edited", no_wrap=True)
        for name in ("accel.", "change", "worst", "at rest", "strength", "ratio", "renewed"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            of = row.figures
            ratio = of.edit_change / of.strength if of.strength else None
            shaking = (of.acceleration, of.edit_change, of.worst_change, of.still_change)
            values = (*shaking, of.strength, ratio, of.renewed)
            if row.film == film:
                table.add_row(row.way, *("" if value is None else _figure(value) for value in values))
        yield table


def _figure(value: float) -> str:
    """Whole numbers as such, others with three digits or two places."""
    return f"{value:g}" if value == int(value) else f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


def _table(corner: str, rows: Sequence[Row]) -> Table:
    from rich.table import Table

    table = Table()
    table.add_column(corner)
    for row in rows:
        table.add_column(row.title, justify="right")
    return table


def _network_tables(rows: Sequence[NetworkRow]) -> Iterator[Table]:
    """A table a setup and part: a line a rival, by batch size."""
    from rich.table import Table

    groups: dict[tuple[str, str], list[NetworkRow]] = {}
    for row in sorted(rows, key=lambda row: (str(row.setup), row.part != "encoder", row.batch)):
        groups.setdefault((str(row.setup), row.part), []).append(row)
    for (setup, part), group in groups.items():
        table = Table(title=f"{part} ({setup})", title_justify="left")
        for name in ("batch", "networks", "precision", "p50 ms", "p95 ms", "faces/s", "ratio"):
            table.add_column(
                name, justify="left" if name in ("networks", "precision") else "right", no_wrap=True
            )
        last: int | None = None
        for row in group:
            if last is not None and row.batch != last:
                table.add_section()
            call, rate = row.call, row.faces_per_second
            cells = (f"{call.p50_ms:.2f}", f"{call.p95_ms:.2f}", f"{rate:.0f}", f"{row.ratio:.2f}")
            table.add_row("" if row.batch == last else str(row.batch), row.name, row.precision, *cells)
            last = row.batch
        yield table
