"""What an edit says of itself: faces with their attributes, time by stage; for people or as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aif.cli.console import error_console, notice, output_console
from aif.runtime.bundle.attributes import AttributeInfo
from aif.runtime.editing.attributes import already, changes, contradictions, grouped, predicted, remarks
from aif.runtime.editing.editor import FaceAnalysis, FaceEdit

STAGES = ("decode", "detect", "align", "encode", "decode_faces", "composite", "write")


@dataclass
class Report:
    """One picture's record.

    Attributes:
        source: what the picture is called.
        target: where its result went; None for nowhere, "-" for standard output.
        status: "edited", "analysed", "copied" (no face, copied as asked), "no_face" or "failed".
        size: width and height in pixels, once known.
        faces: the faces, edited or only looked at.
        settings: the attributes that were set, with their values.
        seconds: time by stage.
        error: what went wrong.
    """

    source: str
    target: str | None = None
    status: str = "failed"
    size: tuple[int, int] | None = None
    faces: Sequence[FaceAnalysis | FaceEdit] = ()
    settings: Mapping[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    error: str | None = None

    def as_json(self, timings: bool) -> str:
        """One line of JSON."""
        record: dict[str, Any] = {"input": self.source, "output": self.target, "status": self.status}
        if self.size is not None:
            record["width"], record["height"] = self.size
        record["set"] = dict(self.settings)
        record["faces"] = [_face_record(face, self.settings) for face in self.faces]
        if timings:
            record["seconds"] = {
                stage: round(self.seconds[stage], 6) for stage in STAGES if stage in self.seconds
            }
        if self.error is not None:
            record["error"] = self.error
        return json.dumps(record, ensure_ascii=False)


def _face_record(face: FaceAnalysis | FaceEdit, settings: Mapping[str, float]) -> dict[str, Any]:
    edit = isinstance(face, FaceEdit)
    wanted = {name: round(value, 4) for name, value in changes(face, settings).items()}
    return {
        "box": [round(float(value), 1) for value in face.detection.box_xywh],
        "score": round(face.detection.score, 4),
        "landmarks": [[round(float(value), 1) for value in point] for point in face.detection.landmarks],
        "residual": round(face.residual, 4),
        **({"strength": round(face.strength, 4)} if isinstance(face, FaceEdit) else {}),
        "attributes": {name: round(value, 4) for name, value in predicted(face).items()},
        **({"wanted": wanted, "already": already(face, settings)} if edit else {}),
    }


def print_attributes(report: Report, attributes: Sequence[AttributeInfo]) -> None:
    """A table of the predicted attributes by groups, a column a face; one that changes as `0.97 -> 0`."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(report.source), title_justify="left")
    table.add_column("attribute")
    for number, face in enumerate(report.faces):
        x, y, width, height = (round(float(value)) for value in face.detection.box_xywh)
        table.add_column(f"face {number}\n{width} x {height} px at {x}, {y}", justify="right")
    groups = grouped(attributes)
    for group, members in groups.items():
        if len(groups) > 1:
            table.add_section()
            table.add_row(Text(group, "bold"))
        for info in members:
            table.add_row(info.name, *(_cell(face, info.name, report.settings) for face in report.faces))
    output_console().print(table)


def _cell(face: FaceAnalysis | FaceEdit, name: str, settings: Mapping[str, float]) -> str:
    """`0.97`, or `0.97 -> 0` where it changes."""
    wanted = changes(face, settings).get(name)
    change = "" if wanted is None else f" -> {wanted if name in settings else round(wanted, 2):g}"
    return f"{predicted(face)[name]:.2f}{change}"


def already_line(report: Report) -> str:
    """`face 0: Smiling is 0.97 already`, of the faces that are as wanted before the edit; else empty."""
    found = [
        f"face {number}: {', '.join(f'{name} is {predicted(face)[name]:.2f} already' for name in names)}"
        for number, face in enumerate(report.faces)
        if (names := already(face, report.settings))
    ]
    return "; ".join(found)


def print_timings(reports: Sequence[Report]) -> None:
    """A table of the time by stage: summed over the pictures, and a picture on average."""
    from rich.table import Table

    timed = [report for report in reports if report.seconds]
    stages = [stage for stage in STAGES if any(stage in report.seconds for report in timed)]
    totals = {stage: sum(report.seconds.get(stage, 0.0) for report in timed) for stage in stages}
    totals["sum"] = sum(totals.values())
    table = Table()
    table.add_column("stage")
    table.add_column("ms" if len(timed) == 1 else f"ms, {len(timed)} pictures", justify="right")
    if len(timed) > 1:
        table.add_column("ms a picture", justify="right")
    for stage, seconds in totals.items():
        cells = [f"{1000 * seconds:.1f}"] + [f"{1000 * seconds / len(timed):.1f}"] * (len(timed) > 1)
        table.add_row(stage, *cells, end_section=stage == (stages or [""])[-1])
    output_console().print(table)


def announce(settings: Mapping[str, float], attributes: Sequence[AttributeInfo]) -> None:
    """Print what to know of an edit before it begins: warnings always, remarks where a person reads them."""
    for text in contradictions(settings, attributes):
        error_console().print(f"Warning: {text}", markup=False)
    for text in remarks(settings, attributes):
        notice(text)
