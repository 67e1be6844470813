"""A report as one HTML page that needs nothing else: no server, no network, no other file."""

from __future__ import annotations

import base64
import io
import math
import re
from dataclasses import dataclass
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from aif.runtime.errors import DataError
from aif.train.paper.render_markdown import (
    ARROWS,
    MISSING,
    n_text,
    pieces,
    range_text,
    reading_notes,
    seeds_text,
)
from aif.train.paper.report import Cell, Column, Picture, Report, Row, Table

SCREEN_DPI = 96
"""Pixels an inch in CSS."""


@dataclass(frozen=True)
class _Bar:
    """A bar of a share, in per cent of its full length: filled to `value`, darker from `low` to `high`."""

    value: str
    low: str
    width: str


@dataclass(frozen=True)
class _CellView:
    value: str
    beside: str
    """Interval or spread."""
    n: str
    """Where it is not the n of the heading."""
    sort: str
    """What the column is sorted by; empty for a missing value, which stays last."""
    best: bool
    note: int | None
    """Number of its footnote."""
    hint: str
    bar: _Bar | None


@dataclass(frozen=True)
class _RowView:
    row: Row
    seeds: str
    cells: tuple[_CellView, ...]


@dataclass(frozen=True)
class _ColumnView:
    column: Column
    id: str
    aside: str
    """Which way is better, and n where all systems share one."""
    digits: float
    """Width of its widest value in digits, so that values stand one below the other."""


@dataclass(frozen=True)
class _PartView:
    """A table or a picture as the template wants it."""

    part: Table | Picture
    id: str
    columns: tuple[_ColumnView, ...] = ()
    rows: tuple[_RowView, ...] = ()
    footnotes: tuple[str, ...] = ()
    data: str = ""
    width: int = 0
    height: int = 0


def render_html(report: Report) -> str:
    """The report as a single page of HTML.

    Pictures are embedded, style and script stand in the page, and its content security policy forbids every
    request. Without JavaScript all is readable; with it tables can be sorted by their headings.

    Raises:
        DataError: a picture does not exist or is not a PNG file.
    """
    template = resources.files("aif.train.paper").joinpath("report.html.j2").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    parts = [
        _table(part, f"part-{number}-{_slug(part.name)}")
        if isinstance(part, Table)
        else _picture(part, f"part-{number}-{_slug(part.name)}")
        for number, part in enumerate(report.parts, start=1)
    ]
    environment.filters["words"] = _words
    return environment.from_string(template).render(
        report=report,
        parts=parts,
        reading=reading_notes(report) if report.tables else [],
        bars=any(cell.bar for part in parts for row in part.rows for cell in row.cells),
    )


def _table(table: Table, anchor: str) -> _PartView:
    shared = [table.column_n(k) for k in range(len(table.columns))]
    best = [table.best_row(k) for k in range(len(table.columns))]
    notes = table.footnotes()
    rows = []
    for number, row in enumerate(table.rows):
        cells = [
            _cell(column, cell, first == number, n, notes)
            for column, cell, n, first in zip(table.columns, row.cells, shared, best, strict=True)
        ]
        rows.append(_RowView(row, seeds_text(row), tuple(cells)))
    columns = []
    for k, (column, n) in enumerate(zip(table.columns, shared, strict=True)):
        digits = max((_width(row.cells[k].value) for row in rows), default=0.0)
        columns.append(_ColumnView(column, f"{anchor}-column-{k + 1}", _aside(column, n), digits))
    return _PartView(table, anchor, tuple(columns), tuple(rows), notes)


def _aside(column: Column, n: int | None) -> str:
    arrow = ARROWS[column.better] if column.better is not None else ""
    return " \N{MIDDLE DOT} ".join(word for word in (arrow, "" if n is None else n_text(n, n)) if word)


def _cell(column: Column, cell: Cell, best: bool, shared_n: int | None, notes: tuple[str, ...]) -> _CellView:
    summary, note = cell.summary(), cell.footnote()
    number = notes.index(note) + 1 if note else None
    if summary is None:
        return _CellView(MISSING, "", "", "", False, number, note, None)
    n = n_text(summary.n_least, summary.n_most)
    own_n = (summary.n_least, summary.n_most) != (shared_n, shared_n)
    hint = f"{n}; {note}" if note else n
    if summary.seeds > 1:
        values = (
            MISSING if one is None or not math.isfinite(one.value) else column.write(one.value)
            for one in cell.numbers
        )
        hint = f"seeds: {', '.join(values)}; {hint}"
    bar = None
    if column.percent and 0 <= summary.value <= 1:
        low, high = (summary.value if end is None else end for end in (summary.low, summary.high))
        low, high = max(0.0, low), min(1.0, high)
        bar = _Bar(*(f"{100 * share:.2f}%" for share in (summary.value, low, high - low)))
    value, beside = column.write(summary.value), range_text(column, summary)
    return _CellView(value, beside, n if own_n else "", repr(summary.value), best, number, hint, bar)


def _picture(picture: Picture, anchor: str) -> _PartView:
    try:
        content = picture.path.read_bytes()
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            size, dpi = image.size, image.info.get("dpi", (SCREEN_DPI, SCREEN_DPI))
    except OSError as error:
        raise DataError(
            f"Picture {picture.name} is no readable PNG file ({error}).", "Draw it, then write the report."
        ) from error
    data = base64.b64encode(content).decode("ascii")
    width, height = (round(side * SCREEN_DPI / max(SCREEN_DPI, d)) for side, d in zip(size, dpi, strict=True))
    return _PartView(picture, anchor, data=data, width=width, height=height)


def _words(text: str, heading: bool = False) -> Markup:
    """Words as HTML: code in back-quotes as code; in a heading a line may break after an underscore."""
    parts = (Markup("<code>{}</code>" if quoted else "{}").format(piece) for piece, quoted in pieces(text))
    found = Markup("").join(parts)
    return found.replace("_", Markup("_<wbr>")) if heading else found


def _width(text: str) -> float:
    """Of a value, in digits: a point or comma takes half a digit in common typefaces."""
    return sum(0.5 if character in ".," else 1.0 for character in text)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
