"""How an edit's records are shown: faces with their attributes, time by stage, one line a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aif.cli import console
from aif.runtime.batch.record import STAGES, FileRecord
from aif.runtime.batch.run import UnexpectedError
from aif.runtime.batch.sources import STREAM
from aif.runtime.bundle.attributes import AttributeInfo
from aif.runtime.editing.attributes import already, changes, contradictions, grouped, predicted, remarks
from aif.runtime.editing.editor import FaceAnalysis, FaceEdit

# Columns of a terminal that a face takes in a table, at most.
_FACE_WIDTH = 18


@dataclass(frozen=True)
class Show:
    """What to print: a table of attributes, a line of JSON a file, the time of each stage."""

    attributes: bool = False
    as_json: bool = False
    timings: bool = False

    def record(self, record: FileRecord, attributes: Sequence[AttributeInfo], alone: bool) -> None:
        """Print what became of one file.

        Args:
            alone: it is the only file, whose failure ends the run; else a failure is printed here.
        """
        if self.as_json:
            print(record.as_json(self.timings), flush=True)
        elif self.attributes and record.faces:
            print_attributes(record, attributes)
        if record.video is not None and record.video.stopped_s is not None:
            frames = f"{record.video.frames} {'frame' if record.video.frames == 1 else 'frames'}"
            what = f"{record.target} holds {frames}, the last at {record.video.stopped_s:.1f} s"
            console.say(
                f"{record.source}: stopped; {what if record.video.frames else 'nothing was written'}."
            )
        elif alone or console.state.verbose:
            _print_line(record)
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


def hidden_line(record: FileRecord) -> str:
    """`face 0: mouth hidden, not edited there`, of the faces with hidden parts; else empty."""
    found = [
        f"face {number}: {', '.join(face.hidden)} hidden, not edited there"
        for number, face in enumerate(record.faces)
        if isinstance(face, FaceEdit) and face.hidden
    ]
    return "; ".join(found)


def already_line(record: FileRecord) -> str:
    """`face 0: Smiling is 0.97 already`, of the faces that are as wanted before the edit; else empty."""
    found = [
        f"face {number}: {', '.join(f'{name} is {predicted(face)[name]:.2f} already' for name in names)}"
        for number, face in enumerate(record.faces)
        if (names := already(face, record.settings))
    ]
    return "; ".join(found)


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


def _print_line(record: FileRecord) -> None:
    """One line on what was written."""
    place = "standard output" if record.target == STREAM else record.target
    if record.status == "copied":
        console.notice(f"{record.source}: no face, copied to {place}")
    elif record.status == "edited":
        count = len(record.faces)
        what = f"{count} {'face' if count == 1 else 'faces'}"
        if (video := record.video) is not None:
            what = f"{video.frames} frames, {video.with_faces} with faces, {video.fps:.1f} a second"
        away = sum(isinstance(face, FaceEdit) and face.strength < 1 for face in record.faces)
        what += f"; {away} turned away and edited less, or not at all" if away else ""
        console.notice(f"{record.source} -> {place} ({what})")
        for line in filter(None, (hidden_line(record), already_line(record))):
            console.say(f"{record.source}: {line}")
