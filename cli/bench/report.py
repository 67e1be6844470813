"""What a benchmark found, as tables for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from aif.cli.console import output_console
from aif.runtime.bench.measure import Row
from aif.runtime.bench.networks import NetworkRow
from aif.runtime.bench.run import Outcome
from aif.runtime.bench.steadiness import SteadinessRow
from aif.runtime.errors import AifError
from aif.runtime.files import write_text

if TYPE_CHECKING:
    from rich.table import Table


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
        try:
            write_text(Path(json_file), outcome.as_json())
        except OSError as error:
            raise _cannot_write(Path(json_file), error) from error


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


def _tables(outcome: Outcome) -> Iterator[Table]:
    rows = outcome.rows
    if networks := [row for row in rows if isinstance(row, NetworkRow)]:
        yield from _network_tables(networks)
    elif films := [row for row in rows if isinstance(row, SteadinessRow)]:
        yield from _steadiness_tables(films)
    elif setups := [row for row in rows if isinstance(row, Row)]:
        times = [
            {stage: f"{s.p50_ms:.2f} / {s.p95_ms:.2f}" for stage, s in row.stages.items()} for row in setups
        ]
        figures = [{name: _figure(value) for name, value in row.figures.items()} for row in setups]
        yield _setup_table("ms, p50 / p95", setups, times)
        yield _setup_table("", setups, figures)


def _setup_table(corner: str, rows: Sequence[Row], cells: Sequence[dict[str, str]]) -> Table:
    """A line a stage or figure, a column a setup."""
    from rich.table import Table

    table = Table()
    table.add_column(corner)
    for row in rows:
        table.add_column(row.title, justify="right")
    for name in dict.fromkeys(name for column in cells for name in column):
        table.add_row(name, *(column.get(name, "") for column in cells))
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
