"""The report of `aif doctor`: one screen for people, JSON for machines."""

from __future__ import annotations

import json
from typing import Any

from aif.cli.console import output_console
from aif.runtime.doctor.run import Findings

SCHEMA = 1
"""Raised whenever a field of the JSON is dropped or changes its meaning."""

# Check to the heading under which its findings stand.
_TITLES = {
    "versions": "Versions",
    "machine": "Machine",
    **dict.fromkeys(("cpu", "cuda", "openvino", "ort-tensorrt"), "Providers"),
    **dict.fromkeys(("bundle", "engines", "detectors"), "Model"),
    **dict.fromkeys(("cameras", "codecs", "hardware-codecs", "display"), "Video"),
    "editing": "Editing",
}
_NO_FIX = "Try once more; if it stays, please report it with what aif doctor --json says."
_MARKS = {
    "ok": ("ok", "green"),
    "absent": ("-", "dim"),
    "unknown": ("?", "dim"),
    "problem": ("!", "yellow"),
    "broken": ("X", "bold red"),
}


def editing_works(found: Findings) -> bool:
    """Whether the edit that was tried came out."""
    return bool(found["editing"]) and all(each["status"] == "ok" for each in found["editing"])


def as_json(found: Findings, version: str | None, seconds: float) -> str:
    """Everything, as documented in docs/doctor.md."""
    record = {
        "schema": SCHEMA,
        "aif": version,
        "editing_works": editing_works(found),
        "seconds": round(seconds, 2),
        "checks": found,
    }
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def show(found: Findings, seconds: float) -> None:
    """Print a table, then what to mend and the verdict."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    last = None
    for name, findings in found.items():
        for each in findings:
            title = _TITLES.get(name, name)
            mark, style = _MARKS[each["status"]]
            row = (Text(mark, style), Text(each["name"], style), Text(each["text"]))
            table.add_row("" if title == last else title, *row)
            last = title
    console = output_console()
    console.print(table)
    every = [each for findings in found.values() for each in findings]
    for word, style, chosen in (
        ("Mend", "yellow", [each for each in every if each["status"] in {"problem", "broken"}]),
        ("Could be added", "dim", [each for each in every if each["status"] == "absent" and each["fix"]]),
    ):
        names: dict[str, list[str]] = {}
        for each in chosen:
            names.setdefault(each["fix"] or _NO_FIX, []).append(each["name"])
        for fix, those in names.items():
            console.print(Text.assemble((f"{word}, {', '.join(dict.fromkeys(those))}: ", style), fix))
    console.print(_verdict(editing_works(found), every, seconds))


def _verdict(works: bool, every: list[dict[str, Any]], seconds: float) -> Any:
    from rich.text import Text

    problems = sum(each["status"] in {"problem", "broken"} for each in every)
    counted = f"{problems or 'no'} problem{'s' * (problems != 1)}"
    words = f"Editing works; {counted}" if works else f"Editing cannot work; {counted}"
    return Text(f"{words} ({seconds:.1f} s).", "bold green" if works else "bold red")
