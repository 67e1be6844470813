"""How an edit's records are shown: faces with their attributes, time by stage, one line a file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from aif.cli import console
from aif.runtime.batch.plan import Show
from aif.runtime.batch.record import STAGES, FileRecord
from aif.runtime.batch.run import UnexpectedError, summary
from aif.runtime.batch.sources import STREAM
from aif.runtime.bundle.attributes import AttributeInfo
from aif.runtime.editing.attributes import (
    already,
    changes,
    contradictions,
    exceptions,
    grouped,
    predicted,
    remarks,
    said_of,
)
from aif.runtime.editing.editor import FaceAnalysis, FaceChoice, FaceEdit

FAR = 1 / 8
"""A face that is narrower than this share of the picture's longer side is far away."""

MORE_FACES = "Is a face missing? YuNet finds more of the small ones: aif fetch yunet, once"

# Columns of a terminal that a face takes in a table, at most.
_FACE_WIDTH = 18


def print_record(
    record: FileRecord, show: Show, attributes: Sequence[AttributeInfo], chosen: FaceChoice, alone: bool
) -> None:
    """Print what became of one file; `alone`: it is the only one, whose failure ends the run, else that is
    printed here.
    """
    if show.as_json:
        print(record.as_json(show.timings), flush=True)
    elif show.attributes and record.faces:
        print_attributes(record, attributes)
    if record.video is not None and record.video.stopped_s is not None:
        count = record.video.frames
        frames = f"{count} frame{'s' * (count != 1)}, the last at {record.video.stopped_s:.1f} s"
        what = f"{record.target} holds {frames}" if count else "nothing was written"
        console.say(f"{record.source}: stopped; {what}.")
    elif not show.as_json and (alone or console.state.verbose):
        _print_line(record, chosen)
    if record.failure is not None and not alone:
        if isinstance(record.failure, UnexpectedError):
            console.show_traceback(record.failure.__cause__ or record.failure)
            record.failure.fix = console.REPORT
        console.show_error(record.failure)


def print_attributes(record: FileRecord, attributes: Sequence[AttributeInfo]) -> None:
    """A table of the predicted attributes by groups, a column a face; one that changes as `0.97 -> 0`."""
    from rich.table import Table
    from rich.text import Text

    output, groups, faces = console.output_console(), grouped(attributes), list(enumerate(record.faces))
    names = max((len(info.name) for info in attributes), default=0)
    beside = max(1, (output.width - names - 4) // _FACE_WIDTH)
    for first in range(0, len(faces), beside):
        table = Table(title=Text(record.source), title_justify="left")
        table.add_column("attribute", no_wrap=True, min_width=min(names, output.width // 2))
        for number, face in faces[first : first + beside]:
            x, y, width, height = (round(float(value)) for value in face.detection.box_xywh)
            table.add_column(f"face {number}\n{width} x {height} px\nat {x}, {y}", justify="right")
        for group, members in groups.items():
            if len(groups) > 1:
                table.add_section()
                table.add_row(Text(group, "bold"))
            for info in members:
                cells = (_cell(face, info.name, record.settings) for _, face in faces[first : first + beside])
                table.add_row(info.name, *cells)
        output.print(table)


def _cell(face: FaceAnalysis | FaceEdit, name: str, settings: Mapping[str, float]) -> str:
    """`0.97`, `0.97 -> 0` where it changes, `0.97 already` where it need not."""
    wanted = changes(face, settings).get(name)
    change = "" if wanted is None else f" -> {wanted if name in settings else round(wanted, 2):g}"
    change = " already" if name in already(face, settings) else change
    return f"{predicted(face)[name]:.2f}{change}"


def summarised(records: Sequence[FileRecord], chosen: FaceChoice) -> str:
    """`3 edited, 1 without a face; 7 faces, 1 of them not edited or in part; results are in edited`."""
    parts = [summary([record.status for record in records])]
    if edited := [record for record in records if record.status == "edited"]:
        count = sum(len(record.faces) for record in edited)
        odd = [exceptions(each.faces, {}, each.found if chosen == "all" else None) for each in edited]
        other = f", {some} of them not edited or in part" if (some := sum(map(len, odd))) else ""
        parts.append(f"{count} face{'s' * (count != 1)}{other}")
    if folders := {str(Path(record.target).parent) for record in records if record.target}:
        parts.append(f"results are in {os.path.commonpath(folders) or '.'}")
    return "; ".join(parts)


def far_away(record: FileRecord) -> bool:
    """Whether an edited picture shows people so far away that there may be more of them."""
    sides = [float(face.detection.box_xywh[2]) for face in record.faces]
    return record.found is not None and min(sides, default=0) < FAR * max(record.size or (0,))


def print_timings(records: Sequence[FileRecord]) -> None:
    """A table of the time by stage: summed over the pictures, and a picture on average."""
    from rich.table import Table

    timed = [record for record in records if record.seconds]
    stages = [stage for stage in STAGES if any(stage in record.seconds for record in timed)]
    totals = {stage: sum(record.seconds.get(stage, 0.0) for record in timed) for stage in stages}
    totals["sum"] = sum(totals.values())
    table = Table()
    table.add_column("stage")
    table.add_column("ms" if len(timed) == 1 else f"ms, {len(timed)} pictures", justify="right")
    if len(timed) > 1:
        table.add_column("ms a picture", justify="right")
    for stage, seconds in totals.items():
        cells = [f"{1000 * seconds:.1f}"] + [f"{1000 * seconds / len(timed):.1f}"] * (len(timed) > 1)
        table.add_row(stage, *cells, end_section=stage == (stages or [""])[-1])
    console.output_console().print(table)


def announce(settings: Mapping[str, float], attributes: Sequence[AttributeInfo]) -> None:
    """Print what to know of an edit before it begins: warnings always, remarks where a person reads them."""
    for text in contradictions(settings, attributes):
        console.say(f"Warning: {text}")
    for text in remarks(settings, attributes):
        console.notice(text)


def _print_line(record: FileRecord, chosen: FaceChoice) -> None:
    """One line on what was written, and which faces are not as one might expect."""
    place = "standard output" if record.target == STREAM else record.target
    if record.status == "copied":
        console.say(f"{record.source}: no face, copied to {place}")
    elif record.status == "edited":
        said, video = said_of(record.faces, record.settings), record.video
        if video is not None:
            speed = f"{video.fps:.1f} a second"
            frames = "1 frame" if video.frames == 1 else f"{video.frames} frames"
            said = f"{frames}, {video.with_faces} with faces, {speed}; at first {said}"
        odd = exceptions(record.faces, record.settings, record.found, chosen)
        console.say(f"{record.source} -> {place}: {'; '.join([said, *odd])}")
