"""A report as JSON: every number by itself with all that it takes to doubt it or to measure it again."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aif.train.paper.render_markdown import relative_path
from aif.train.paper.report import Cell, Column, Number, Picture, Provenance, Report, Row, Table

FORMAT = 1
"""Raised when a reader of the file would have to change."""


def render_json(report: Report, folder: Path) -> str:
    """The whole report as JSON without NaN: what is not finite is null.

    Each number is an object with value, n, low, high (its 95 % interval) and the system, seed, command,
    checkpoint (SHA-256), data and faces_seen behind it; numbers of a reference row have a source instead. A
    number that was not measured is null, and so is a cell's summary, which is what the tables show, where
    nothing was.

    Args:
        report: what to write.
        folder: where the text is going to be kept; paths of pictures are relative to it.

    Raises:
        DataError: a picture does not exist.
    """
    values = {
        "format": FORMAT,
        "title": report.title,
        "budget": report.budget,
        "command": report.command,
        "notes": list(report.notes),
        "parts": [
            _table(part) if isinstance(part, Table) else _picture(part, folder) for part in report.parts
        ],
    }
    return json.dumps(values, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _table(table: Table) -> dict[str, Any]:
    return {
        "kind": "table",
        "name": table.name,
        "title": table.title,
        "caption": table.caption,
        "columns": [asdict(column) for column in table.columns],
        "rows": [_row(row, table.columns) for row in table.rows],
    }


def _row(row: Row, columns: tuple[Column, ...]) -> dict[str, Any]:
    cells = [_cell(cell, column, row) for cell, column in zip(row.cells, columns, strict=True)]
    provenance = [asdict(one) for one in row.provenance]
    return {"label": row.label, "source": row.source, "provenance": provenance, "cells": cells}


def _cell(cell: Cell, column: Column, row: Row) -> dict[str, Any]:
    origins: tuple[Provenance | None, ...] = row.provenance or (None,) * len(cell.numbers)
    summary = cell.summary()
    return {
        "column": column.key,
        "why_missing": cell.footnote(),
        "summary": None if summary is None else asdict(summary),
        "numbers": [_number(*pair, row.source) for pair in zip(cell.numbers, origins, strict=False)],
    }


def _number(number: Number | None, origin: Provenance | None, source: str) -> dict[str, Any] | None:
    if number is None:
        return None
    return {
        "value": _finite(number.value),
        "n": int(number.n),
        "low": _finite(number.low),
        "high": _finite(number.high),
        **({"source": source} if origin is None else asdict(origin)),
    }


def _picture(picture: Picture, folder: Path) -> dict[str, Any]:
    return {
        "kind": "picture",
        "name": picture.name,
        "title": picture.title,
        "caption": picture.caption,
        "path": relative_path(picture, folder),
    }


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
