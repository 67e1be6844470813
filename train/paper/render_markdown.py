"""A report as Markdown: tables that read well as plain text, with the meaning and origin of the numbers."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from aif.runtime.errors import DataError
from aif.train.paper.report import Column, Picture, Provenance, Report, Row, Summary, Table

MISSING = "\N{EN DASH}"
ARROWS = {"high": "\N{UPWARDS ARROW}", "low": "\N{DOWNWARDS ARROW}"}
HASH_DIGITS = 12
"""How much of a checkpoint's SHA-256 is shown to people."""


def render_markdown(report: Report, folder: Path) -> str:
    """The report as Markdown (CommonMark with tables).

    A cell reads `98.6% [97.1, 99.3]`, and over several seeds `98.2% (97.6–98.9)`; a missing one is a dash
    with the number of a footnote. Of the report's words none is read as markup, save for code in back-quotes.

    Args:
        report: what to write.
        folder: where the text is going to be kept; pictures are linked relative to it.

    Raises:
        DataError: a picture does not exist.
    """
    lines = [f"# {literal(report.title)}", "", literal(report.budget), "", "Made by", ""]
    lines += [f"    {line}" for line in report.command.splitlines()]
    if report.notes:
        lines += ["", *(f"- {literal(note)}" for note in report.notes)]
    if report.tables:
        lines += ["", "**Reading the tables.** " + literal(" ".join(reading_notes(report)))]
    for part in report.parts:
        lines += ["", f"## {literal(part.title)}", "", literal(part.caption), ""]
        lines += _table(part) if isinstance(part, Table) else [_picture(part, folder)]
    return "\n".join(lines) + "\n"


def reading_notes(report: Report) -> list[str]:
    """Sentences on how the tables are to be read; only what occurs in this report."""
    tables = report.tables
    summaries = [s for t in tables for row in t.rows for c in row.cells if (s := c.summary()) is not None]
    better = {column.better for table in tables for column in table.columns}
    notes = []
    if any(s.seeds == 1 and s.low is not None for s in summaries):
        notes.append("A value is followed by its 95\N{NO-BREAK SPACE}% interval in square brackets.")
    if any(s.seeds > 1 for s in summaries):
        notes.append(
            "Where a system was trained with several seeds, the value is their mean, followed by the "
            "smallest and the largest value in round brackets."
        )
    notes.append(
        "n counts the faces (or pairs) behind a number, for each seed; it stands in the heading where all "
        "systems share it."
    )
    if any(not row.provenance for table in tables for row in table.rows):
        notes.append("Rows in italics are references, not systems trained here.")
    if better & ARROWS.keys():
        notes.append(
            " and ".join(f"{ARROWS[way]} means {way}er is better" for way in ARROWS if way in better) + "."
        )
    if any(t.best_row(k) is not None for t in tables for k in range(len(t.columns))):
        notes.append(
            "The best system of a column is in bold only where its 95\N{NO-BREAK SPACE}% interval overlaps "
            "that of no other system trained here (of several seeds: from the lowest to the highest end of "
            "their intervals)."
        )
    return notes


def range_text(column: Column, summary: Summary) -> str:
    """What stands beside a value: "[97.1, 99.3]", over several seeds "(97.6–98.9)"; empty where unknown."""
    if summary.low is None or summary.high is None:
        return ""
    low, high = column.write(summary.low, unit=False), column.write(summary.high, unit=False)
    if summary.seeds == 1:
        return f"[{low}, {high}]"
    return f"({low} to {high})" if summary.low < 0 else f"({low}\N{EN DASH}{high})"


def n_text(least: int, most: int) -> str:
    """ "n = 2,000", or "n = 1,990–2,000" where seeds differ."""
    return f"n = {least:,}" if least == most else f"n = {least:,}\N{EN DASH}{most:,}"


def seeds_text(row: Row) -> str:
    """ "3 seeds", or nothing for a single one."""
    return f"{len(row.provenance)} seeds" if len(row.provenance) > 1 else ""


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The text in one line, cut into plain words and (True) what stands between back-quotes."""
    for number, piece in enumerate(re.split(r"(?<!`)`([^`]+)`(?!`)", " ".join(text.split()))):
        if piece:
            yield piece, number % 2 == 1


def literal(text: str) -> str:
    """One line of Markdown that shows `text` as it is, code in back-quotes as code."""
    # A bar ends a table's cell even within code.
    parts = (
        code(piece) if quoted and "|" not in piece else _escaped(piece) for piece, quoted in pieces(text)
    )
    return re.sub(r"^(\d+(?=[.)])|(?=[-+#=]))", r"\1\\", "".join(parts))


def _escaped(words: str, also: str = "") -> str:
    line = re.sub(rf"([\\`*<>|~&${re.escape(also)}]|\](?=[(\[:]))", r"\\\1", words)
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", line)  # within a word, as in Wearing_Hat, it is no markup


def code(text: str) -> str:
    """A code span that holds `text`, back-quotes and all."""
    line = " ".join(text.split())
    ticks = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{space}{line}{space}{ticks}"


def _table(table: Table) -> Iterator[str]:
    if not table.rows:
        yield "Nothing was measured."
        return
    shared = [table.column_n(k) for k in range(len(table.columns))]
    best = [table.best_row(k) for k in range(len(table.columns))]
    notes = table.footnotes()
    yield "| " + " | ".join(["", *map(_heading, table.columns, shared)]) + " |"
    yield "|---|" + "---:|" * len(table.columns)
    for number, row in enumerate(table.rows):
        label = literal(row.label) if row.provenance else f"*{literal(row.label)}*"
        cells = [f"{label} ({seeds})" if (seeds := seeds_text(row)) else label]
        for column, cell, n, first in zip(table.columns, row.cells, shared, best, strict=True):
            summary, note = cell.summary(), cell.footnote()
            mark = _superscript(notes.index(note) + 1) if note else ""
            cells.append(_cell(column, summary, n, first == number) + mark)
        yield "| " + " | ".join(cells) + " |"
    for number, note in enumerate(notes, start=1):
        yield from ("", f"{_superscript(number)} {literal(note)}")
    yield from ("", "Columns:", "")
    for column in table.columns:
        yield f"- **{literal(column.label)}**: {literal(column.definition)}"
    yield from ("", "Where the numbers come from:", "")
    for row in table.rows:
        yield from _origin(row)


def _heading(column: Column, n: int | None) -> str:
    words = [literal(column.label)]
    if column.better is not None:
        words.append(ARROWS[column.better])
    if n is not None:
        words.append(f"({n_text(n, n)})")
    return " ".join(words)


def _cell(column: Column, summary: Summary | None, shared_n: int | None, best: bool) -> str:
    if summary is None:
        return MISSING
    value = column.write(summary.value)
    words = [f"**{value}**" if best else value, range_text(column, summary)]
    if (summary.n_least, summary.n_most) != (shared_n, shared_n):
        words.append(n_text(summary.n_least, summary.n_most))
    return " ".join(word for word in words if word)


def _origin(row: Row) -> Iterator[str]:
    if not row.provenance:
        yield f"- *{literal(row.label)}*: {literal(row.source or 'no source given')}"
    for one in row.provenance:
        yield f"- **{literal(row.label)}**: {_provenance(one)}"


def _provenance(one: Provenance) -> str:
    return (
        f"preset {literal(one.system)}, seed {one.seed}, {one.faces_seen:,} faces seen, {code(one.command)}; "
        f"checkpoint {code(one.checkpoint[:HASH_DIGITS])}; measured on {literal(one.data)}"
    )


def _picture(picture: Picture, folder: Path) -> str:
    title = _escaped(" ".join(picture.title.split()), also="[]")  # a bracket would end the title
    return f"![{title}]({quote(relative_path(picture, folder))})"


def relative_path(picture: Picture, folder: Path) -> str:
    """The picture's place as seen from `folder`, with forward slashes.

    Raises:
        DataError: it does not exist.
    """
    if not picture.path.is_file():
        raise DataError(
            f"Picture {picture.name} is missing: {picture.path}.", "Draw it, then write the report."
        )
    return Path(os.path.relpath(picture.path, folder)).as_posix()


def _superscript(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
