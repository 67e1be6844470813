"""`aif doctor`: what works on this machine, what does not, and the command that fixes it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from aif.runtime.doctor.run import Findings

SCHEMA = 1
"""Raised whenever a field of the JSON is dropped or changes its meaning."""

# The headings of the report, and the checks whose findings stand under each.
_SECTIONS = {
    "Versions": ("versions",),
    "Machine": ("machine",),
    "Providers": ("cpu", "cuda", "openvino", "ort-tensorrt"),
    "Model": ("bundle", "engines", "detectors"),
    "Video": ("cameras", "codecs", "hardware-codecs", "display"),
    "Editing": ("editing",),
}
_NO_FIX = "Try once more; if it stays, please report it with what aif doctor --json says."
_MARKS = {
    "ok": ("ok", "green"),
    "absent": ("-", "dim"),
    "unknown": ("?", "dim"),
    "problem": ("!", "yellow"),
    "broken": ("X", "bold red"),
}
_NARROW = 60
"""Terminals with fewer columns get lines instead of a table."""
_WRONG = ("problem", "broken")


def doctor(
    bundle: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Look at this bundle, not the embedded one.")
    ] = None,
    json_wanted: Annotated[
        bool, typer.Option("--json", help="Print JSON, as documented in docs/doctor.md.")
    ] = False,
) -> None:
    """Look at versions, devices, providers, bundle, cameras, codecs and display, and try an edit.

    For each problem it names the command that fixes it. It installs nothing, downloads nothing and changes
    nothing. Each check runs apart from the others, so that a broken part spoils its own line only.

    The exit code is 0 where editing works and 1 where it cannot.
    """
    from aif.runtime.doctor.run import run_all

    start = time.perf_counter()
    found = run_all("" if bundle is None else str(bundle.absolute()))
    seconds = time.perf_counter() - start
    if json_wanted:
        typer.echo(as_json(found, seconds), nl=False)
    else:
        show(found, seconds)
    if not editing_works(found):
        raise typer.Exit(1)


def editing_works(found: Findings) -> bool:
    """Whether the edit that was tried came out."""
    return bool(found["editing"]) and all(each["status"] == "ok" for each in found["editing"])


def as_json(found: Findings, seconds: float) -> str:
    """Everything, as documented in docs/doctor.md."""
    record = {
        "schema": SCHEMA,
        "aif": next(
            (each["facts"].get("version") for each in found["versions"] if each["name"] == "aif"), None
        ),
        "editing_works": editing_works(found),
        "seconds": round(seconds, 2),
        "checks": found,
    }
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def show(found: Findings, seconds: float) -> None:
    """Print a table, then what to do and the verdict."""
    from rich.table import Table
    from rich.text import Text

    from aif.cli.console import output_console

    console = output_console()
    narrow = console.width < _NARROW
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    for style in ("bold", "", ""):
        table.add_column(style=style, no_wrap=True)
    table.add_column(overflow="fold")
    for title, checks in _SECTIONS.items():
        for number, each in enumerate(each for check in checks for each in found[check]):
            mark, style = _MARKS[each["status"]]
            if narrow:
                console.print(Text.assemble((f"{mark} {each['name']}: ", style), each["text"]))
                continue
            table.add_row(
                "" if number else title, Text(mark, style), Text(each["name"], style), Text(each["text"])
            )
    if not narrow:
        console.print(table)
    every = [each for findings in found.values() for each in findings]
    wrong = [each for each in every if each["status"] in _WRONG]
    for fix, names in _by_fix(wrong):
        console.print(Text.assemble((f"Fix, {names}: ", "yellow"), fix))
    for fix, names in _by_fix(each for each in every if each["status"] == "absent" and each["fix"]):
        console.print(Text.assemble((f"Could be added, {names}: ", "dim"), fix))
    works = editing_works(found)
    problems = f"{len(wrong) or 'no'} problem{'s' * (len(wrong) != 1)}"
    words = f"Editing {'works' if works else 'cannot work'}; {problems} ({seconds:.1f} s)."
    console.print(Text(words, "bold green" if works else "bold red"))


def _by_fix(findings: Iterable[dict[str, Any]]) -> Iterable[tuple[str, str]]:
    """Each fix, and the names of the findings that it is for."""
    names: dict[str, dict[str, None]] = {}
    for each in findings:
        names.setdefault(each["fix"] or _NO_FIX, {})[each["name"]] = None
    return ((fix, ", ".join(those)) for fix, those in names.items())
