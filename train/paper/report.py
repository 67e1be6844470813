"""Reports: tables of numbers and pictures, written as Markdown and as JSON.

The numbers of a report are one long pandas table, a row a number, with these columns: `table`, `label` (the
system), `seed`, `key` (the measure), `value` (a share lies in [0, 1]), `n` (faces or pairs that it rests on),
`low`, `high` (its 95 % interval), `why` (it is missing), `preset`, `checkpoint` (SHA-256), `data`,
`faces_seen`, `command`. What is unknown is NaN, and a reference such as the evaluator has no checkpoint.
"""

from __future__ import annotations

import json
import os.path
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from aif.runtime.files import write_text
from aif.train.paper.columns import Column, column

ARROWS = {"high": "\N{UPWARDS ARROW}", "low": "\N{DOWNWARDS ARROW}", None: ""}
READING = (
    "A value is followed by its 95 % interval in square brackets; of several seeds it is the mean, before "
    "the smallest and the largest in round brackets. n counts the faces (or pairs) behind a number. An arrow "
    "says which way is better. The best of a column is bold where its interval (of several seeds: from the "
    "lowest to the highest end) overlaps no other trained system's."
)


COLUMNS = (
    *("table", "label", "seed", "key", "value", "n", "low", "high", "why"),
    *("preset", "checkpoint", "data", "faces_seen", "command"),
)


def number_table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The long table of some rows; what a row lacks is NaN."""
    floats = dict.fromkeys(("value", "n", "low", "high"), float)
    return pd.DataFrame(rows, columns=COLUMNS).astype(floats)


@dataclass(frozen=True)
class Table:
    """Measures `keys` of systems, from the rows of the report's numbers whose `table` is `name`."""

    name: str
    title: str
    caption: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A PNG file with a line on what it shows."""

    name: str
    title: str
    caption: str
    path: Path


@dataclass(frozen=True)
class Report:
    """Everything that one `aif eval` writes: the budget in plain words, the command that made it, tables and
    pictures in order, the long table of numbers (see the module), and what a reader must know.
    """

    title: str
    budget: str
    command: str
    parts: tuple[Table | Picture, ...]
    numbers: pd.DataFrame
    notes: tuple[str, ...] = ()


def write_report(report: Report, out: Path, name: str) -> None:
    """Write NAME.md and NAME.json into the folder `out`, each whole or not at all."""
    text = markdown(report, lambda path: Path(os.path.relpath(path, out)).as_posix())
    write_text(out / f"{name}.md", text)
    write_text(out / f"{name}.json", json_text(report))


def json_text(report: Report) -> str:
    """Title, budget, command, notes, and `numbers`: a list with an object a number; null for NaN."""
    about = {"title": report.title, "budget": report.budget, "command": report.command}
    head = json.dumps({**about, "notes": report.notes}, indent=1).removesuffix("\n}")
    lines = report.numbers.to_json(orient="records", lines=True, double_precision=6).splitlines()
    return f'{head},\n "numbers": [\n' + ",\n".join(f"  {line}" for line in lines) + "\n ]\n}\n"


def markdown(report: Report, link: Callable[[Path], str]) -> str:
    """The report as Markdown (CommonMark with tables); none of its words is read as markup.

    link: the address of a picture's file.
    """
    lines = [f"# {plain(report.title)}", "", plain(report.budget), "", "Made by", ""]
    lines += [f"    {line}" for line in report.command.splitlines()]
    lines += ["", *(f"- {plain(note)}" for note in report.notes)]
    keys: dict[str, None] = {}
    for part in report.parts:
        lines += ["", f"## {plain(part.title)}", "", plain(part.caption), ""]
        if isinstance(part, Table):
            lines += table_lines(report.numbers[report.numbers["table"] == part.name], part.keys)
            keys |= dict.fromkeys(part.keys)
        else:
            lines.append(f"![{plain(part.title)}](<{link(part.path)}>)")
    if keys:
        lines += ["", "## What the numbers are", "", READING, ""]
        meant: dict[str, list[str]] = {}
        for measure in map(column, keys):
            meant.setdefault(measure.definition, []).append(f"**{plain(measure.label)}**")
        lines += [f"- {', '.join(labels)}: {plain(text)}" for text, labels in meant.items()]
        lines += ["", "## Where the numbers come from", "", *origins(report.numbers)]
    return "\n".join(lines) + "\n"


def table_lines(numbers: pd.DataFrame, keys: Sequence[str]) -> Iterator[str]:
    """One table: a row a system, a column a measure; missing cells are dashes with a footnote."""
    notes: dict[str, int] = {}
    rows = {label: [label] for label in numbers["label"].unique()}
    heads = [""]
    for key in keys:
        one = numbers[numbers["key"] == key]
        measure, best = column(key), leader(one, column(key))
        counts = one.loc[one["checkpoint"].notna(), "n"].dropna().unique()
        shared = counts[0] if len(counts) == 1 else None
        head = f"{plain(measure.label)} {ARROWS[measure.better]}".strip()
        heads.append(head if shared is None else f"{head} (n = {int(shared):,})")
        for label, cells in rows.items():
            seeds = one[one["label"] == label]
            text = cell(seeds, measure, shared)
            missing = seeds.loc[seeds["value"].isna(), "why"]
            mark = "".join(f" ({notes.setdefault(why, len(notes) + 1)})" for why in missing.unique())
            cells.append((f"**{text}**" if label == best else text) + mark)
    yield f"| {' | '.join(heads)} |"
    yield "|---|" + "---:|" * len(keys)
    for cells in rows.values():
        yield f"| {plain(cells[0])} | {' | '.join(cells[1:])} |"
    for why, number in notes.items():
        yield from ("", f"({number}) {plain(why)}")


def cell(seeds: pd.DataFrame, measure: Column, n: float | None) -> str:
    """One system's value of a measure with its interval, or with the spread of its seeds.

    n: what the heading says; a cell with another one says its own.
    """
    found = seeds.dropna(subset="value")
    if found.empty:
        return "\N{EN DASH}"
    values, text = found["value"], measure.write(found["value"].mean())
    if len(seeds) > 1:
        text += f" ({measure.write(values.min(), False)}\N{EN DASH}{measure.write(values.max(), False)})"
    elif found[["low", "high"]].notna().all(axis=None):
        low, high = found.iloc[0][["low", "high"]]
        text += f" [{measure.write(low, False)}, {measure.write(high, False)}]"
    return text if (found["n"] == n).all() else f"{text}, n = {int(found['n'].min()):,}"


def leader(numbers: pd.DataFrame, measure: Column) -> str | None:
    """The trained system whose intervals of a measure overlap no other's; None where that is in doubt."""
    trained = numbers[numbers["checkpoint"].notna()].dropna(subset="value")
    if measure.better is None or trained[["low", "high"]].isna().any(axis=None):
        return None
    ends = trained.groupby("label").agg(low=("low", "min"), high=("high", "max"))
    if measure.better == "low":
        ends = pd.DataFrame({"low": -ends["high"], "high": -ends["low"]})
    if len(ends) < 2:
        return None
    first = str(ends["low"].idxmax())
    return first if ends["low"].max() > ends.drop(first)["high"].max() else None


def origins(numbers: pd.DataFrame) -> Iterator[str]:
    """A line for each trained system and seed: preset, faces seen, checkpoint, data and command."""
    for _, one in numbers[numbers["checkpoint"].notna()].drop_duplicates("checkpoint").iterrows():
        yield (
            f"- **{plain(one['label'])}**: preset {plain(one['preset'])}, seed {int(one['seed'])}, "
            f"{int(one['faces_seen']):,} faces seen, checkpoint {plain(one['checkpoint'][:12])}, "
            f"measured on {plain(one['data'])}: {code(one['command'])}"
        )


def plain(text: str) -> str:
    """One line of Markdown that shows `text` as it is, in a table's cell too."""
    line = re.sub(r"([\\`*\[\]<>|~&$])", r"\\\1", " ".join(text.split()))
    line = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", line)  # within a word, as in Wearing_Hat, it is no markup
    return re.sub(r"^(\d+(?=[.)])|(?=[-+#=]))", r"\1\\", line)


def code(text: str) -> str:
    """A command as code; as plain words where code cannot hold it."""
    line = " ".join(text.split())
    return plain(line) if "`" in line else f"`{line}`"
