"""What a check of `aif doctor` found: one line for people, facts for machines, a command that fixes it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Status = Literal["ok", "absent", "unknown", "problem", "broken"]
"""ok: works. absent: an optional thing that is not here. unknown: could not be found out. problem: something
is wrong that editing survives. broken: editing cannot work."""


@dataclass(frozen=True)
class Finding:
    """One line of the report: words, the command that fixes it (if any), and JSON values for machines."""

    name: str
    status: Status
    text: str
    fix: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def lost(cls, check: str, text: str, fix: str | None, facts: dict[str, Any]) -> Finding:
        """A check that came to no end: broken where it was the edit, else a problem."""
        return cls(check, "broken" if check == "editing" else "problem", text, fix, facts)

    def as_dict(self) -> dict[str, Any]:
        """JSON values, the home folder written as ~."""
        return dict(_tidy(asdict(self)))


def _tidy(value: Any) -> Any:
    if isinstance(value, str):
        home = str(Path.home())
        return value.replace(home, "~") if len(home) > 1 else value
    if isinstance(value, dict):
        return {key: _tidy(each) for key, each in value.items()}
    return [_tidy(each) for each in value] if isinstance(value, list) else value
