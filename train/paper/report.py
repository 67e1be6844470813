"""What a report is made of: tables of numbers that say where they come from, pictures, and words.

`render_markdown` and `render_html` write it; nothing here knows how a number was measured. Words are plain
words, but for what stands between back-quotes, which is shown as code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Context, Decimal
from pathlib import Path

from aif.runtime.errors import ConfigError

WIDE = Context(prec=400)
"""Enough decimal digits for any float."""


@dataclass(frozen=True)
class Number:
    """One measured number.

    Attributes:
        value: the number itself; a share lies in [0, 1].
        n: faces (or pairs) that it rests on.
        low, high: its 95 % interval; None where there is none.
    """

    value: float
    n: int
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """(low, high), or None where there is none."""
        if self.low is None or self.high is None or not math.isfinite(self.low + self.high):
            return None
        return float(self.low), float(self.high)


@dataclass(frozen=True)
class Summary:
    """What the numbers of a cell come down to.

    Attributes:
        value: mean over the seeds that have a number.
        low, high: with one seed its 95 % interval, with several the smallest and largest value; None where
            there is none.
        n_least, n_most: smallest and largest n among the seeds.
        seeds: how many seeds have a number.
        hull: from the lowest to the highest end of all their 95 % intervals; None where one of them has none.
    """

    value: float
    low: float | None
    high: float | None
    n_least: int
    n_most: int
    seeds: int
    hull: tuple[float, float] | None


@dataclass(frozen=True)
class Provenance:
    """Where the numbers of one trained system come from."""

    system: str
    """Name of the preset."""
    seed: int
    """Seed of the training."""
    command: str
    """The command that trains it."""
    checkpoint: str
    """SHA-256 of the checkpoint that was measured."""
    data: str
    """Name and fingerprint of the validation faces."""
    faces_seen: int
    """Length of the training in faces."""


@dataclass(frozen=True)
class Column:
    """One measure: its key, its heading, what it means, and how it is written."""

    key: str
    label: str
    definition: str
    percent: bool = False
    """Whether values are shares to be written in per cent."""
    digits: int = 1
    """Digits after the point."""
    better: str | None = None
    """"high" or "low": which way is better; None where neither is."""

    def __post_init__(self) -> None:
        if self.better not in ("high", "low", None):
            raise ValueError(f'column {self.key}: better is "high", "low" or None, not {self.better!r}')

    def write(self, value: float, unit: bool = True) -> str:
        """The value as text, "98.6%" or "1,234.5"; without the per cent sign where `unit` is false.

        Halves are rounded away from zero, as in print: 13 of 16 are 81.3%.
        """
        exact = Decimal(repr(float(value))).scaleb(2 if self.percent else 0, WIDE)
        text = f"{exact.quantize(Decimal(1).scaleb(-self.digits), ROUND_HALF_UP, WIDE):,f}"
        if not text.strip("-0.,"):
            text = text.lstrip("-")
        return text.replace("-", "\N{MINUS SIGN}") + ("%" if self.percent and unit else "")


@dataclass(frozen=True)
class Cell:
    """One number a seed, in the order of the row's provenances; None where it was not measured, and why."""

    numbers: tuple[Number | None, ...]
    why_missing: str = ""

    def summary(self) -> Summary | None:
        """Mean and spread of the numbers that are there and finite; None where there are none."""
        found = [number for number in self.numbers if number is not None and math.isfinite(number.value)]
        if not found:
            return None
        values, counts = [float(number.value) for number in found], [int(number.n) for number in found]
        intervals = [number.interval for number in found if number.interval is not None]
        whole = len(intervals) == len(found)
        hull = (min(i[0] for i in intervals), max(i[1] for i in intervals)) if whole else None
        low, high = (hull or (None, None)) if len(found) == 1 else (min(values), max(values))
        mean = math.fsum(values) / len(values)
        return Summary(mean, low, high, min(counts), max(counts), len(found), hull)

    def footnote(self) -> str:
        """Why a number is missing, in plain words; empty where none is."""
        gaps = [number for number in self.numbers if number is None or not math.isfinite(number.value)]
        if self.numbers and not gaps:
            return ""
        reason = self.why_missing
        if not reason and any(number is not None for number in gaps):
            empty = all(number is not None and number.n == 0 for number in gaps)
            reason = "there was no face to measure on" if empty else "the value is not a finite number"
        reason = reason or "not measured"
        if len(gaps) == len(self.numbers):
            return reason
        return f"{len(gaps)} of {len(self.numbers)} seeds missing: {reason}"


@dataclass(frozen=True)
class Row:
    """One system in a table."""

    label: str
    cells: tuple[Cell, ...]
    provenance: tuple[Provenance, ...] = ()
    """One a seed; empty for a reference row such as real faces or a quoted figure."""
    source: str = ""
    """Where a reference row's figures come from."""


@dataclass(frozen=True)
class Table:
    """A table with a heading and a line on what it shows."""

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        keys = [column.key for column in self.columns]
        if len(set(keys)) < len(keys):
            raise ValueError(f"table {self.name}: two columns share a key: {', '.join(keys)}")
        for row in self.rows:
            where = f"table {self.name}, row {row.label}"
            if len(row.cells) != len(self.columns):
                raise ValueError(f"{where}: {len(row.cells)} cells for {len(self.columns)} columns")
            seeds = len(row.provenance)
            if seeds and any(len(cell.numbers) not in (0, seeds) for cell in row.cells):
                raise ValueError(f"{where}: a cell has not one number for each of the {seeds} seeds")

    def column_n(self, index: int) -> int | None:
        """The n that all systems of a column share, references aside; None where they differ."""
        systems = [row for row in self.rows if row.provenance] or self.rows
        found = [s for row in systems if (s := row.cells[index].summary()) is not None]
        counts = {n for s in found for n in (s.n_least, s.n_most)}
        return counts.pop() if len(counts) == 1 else None

    def best_row(self, index: int) -> int | None:
        """Which row leads a column beyond doubt: its 95 % interval overlaps that of no other row.

        Of several seeds the hull of their intervals counts. Rows without provenance do not compete. None
        where neither way is better, where fewer than two rows compete, or where one has no interval.
        """
        better = self.columns[index].better
        hulls: dict[int, tuple[float, float]] = {}
        for number, row in enumerate(self.rows):
            summary = row.cells[index].summary()
            if summary is None or not row.provenance:
                continue
            if summary.hull is None:
                return None
            low, high = summary.hull
            hulls[number] = (low, high) if better == "high" else (-high, -low)
        if better is None or len(hulls) < 2:
            return None
        first = max(hulls, key=lambda number: hulls[number][0])
        rivals = [high for number, (_, high) in hulls.items() if number != first]
        return first if hulls[first][0] > max(rivals) else None

    def footnotes(self) -> tuple[str, ...]:
        """Why cells are missing: each reason once, in the order of the cells."""
        found = (cell.footnote() for row in self.rows for cell in row.cells)
        return tuple(dict.fromkeys(note for note in found if note))


@dataclass(frozen=True)
class Picture:
    """A PNG file with a line on what it shows."""

    name: str
    title: str
    caption: str
    path: Path


@dataclass(frozen=True)
class Report:
    """Everything that one `aif eval` writes."""

    title: str
    budget: str
    """Plain words: faces seen, width, image size, seeds."""
    command: str
    """The command that made the report."""
    parts: tuple[Table | Picture, ...]
    notes: tuple[str, ...] = field(default=())
    """Plain words that a reader must know, such as the evaluator's own accuracy."""

    def __post_init__(self) -> None:
        if not self.parts:
            raise ConfigError("The report is empty.", "Name at least one table or picture to put into it.")
        names = [part.name for part in self.parts]
        if len(set(names)) < len(names):
            raise ValueError(f"two parts of the report share a name: {', '.join(names)}")

    @property
    def tables(self) -> tuple[Table, ...]:
        """The parts that are tables."""
        return tuple(part for part in self.parts if isinstance(part, Table))
