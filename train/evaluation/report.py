"""Writing down what was measured: JSON for programs, Markdown tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pydantic_core

from aif.runtime.files import write_text


def to_json(value: object) -> str:
    """Nested results as JSON text: a share with its rate and 95 % interval, null for what is no number."""
    return pydantic_core.to_json(value, indent=1, inf_nan_mode="null").decode() + "\n"


def markdown_table(rows: Sequence[Mapping[str, object]]) -> str:
    """A table whose heading is the keys of the first row; empty without rows."""
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(map(str, row.values())) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_report(out: Path, name: str, text: str, value: object, new: bool = False, **figures: float) -> None:
    """Write NAME.md and NAME.json into the folder `out`, and metrics.json where there are `figures`.

    None of them is ever seen half written. `figures` are what `aif export --metrics` takes.

    Raises:
        TakenError: one of them is there, and they were to be `new`.
    """
    write_text(out / f"{name}.md", text, new)
    write_text(out / f"{name}.json", to_json(value), new)
    if figures:
        write_text(out / "metrics.json", to_json(figures), new)
