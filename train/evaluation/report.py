"""Writing down what was measured: JSON for programs, Markdown tables for people."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aif.runtime.files import write_text
from aif.train.evaluators.identity_kept import IdentityScore
from aif.train.statistics import Share, without_nan


def to_json(value: object) -> str:
    """Nested results as JSON text: a share with its rate and 95 % interval, null for what is no number."""
    return json.dumps(without_nan(_plain(value)), indent=1) + "\n"


def markdown_table(rows: Sequence[Mapping[str, object]]) -> str:
    """A table whose heading is the keys of the first row; empty without rows."""
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(map(str, row.values())) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_report(out: Path, name: str, text: str, value: object, **figures: float) -> None:
    """Write NAME.md and NAME.json into the folder `out`, and metrics.json where there are `figures`.

    None of them is ever seen half written. `figures` are what `aif export --metrics` takes.
    """
    write_text(out / f"{name}.md", text)
    write_text(out / f"{name}.json", to_json(value))
    if figures:
        write_text(out / "metrics.json", to_json(figures))


def _plain(value: object) -> Any:
    if isinstance(value, Share):
        return {"successes": value.successes, "n": value.n, "rate": value.rate, "interval": value.interval}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {**fields, "kept": value.kept} if isinstance(value, IdentityScore) else fields
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
