"""What became of one picture or video."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aif.runtime.editing.attributes import already, changes, predicted
from aif.runtime.editing.editor import FaceAnalysis, FaceEdit
from aif.runtime.errors import AifError

STAGES = ("read", "detect", "align", "encode", "decode_faces", "composite", "write")
"""The order in which times are shown."""

_NO_TEXT = re.compile("[\ud800-\udfff]")

# Stages as the editors call them to those above.
_RENAMED = {"decode": "decode_faces", "track": "detect"}


@dataclass
class VideoFigures:
    """Of a video: `with_faces` frames had a wanted one, none had more than `most`; at `stopped_s` a signal
    ended it (else None)."""

    frames: int = 0
    with_faces: int = 0
    most: int = 0
    fps: float = 0.0
    stopped_s: float | None = None


@dataclass
class FileRecord:
    """One picture's or video's record.

    Attributes:
        target: where its result went; None for nowhere, "-" for standard output.
        status: "edited", "analysed", "copied" (no face, copied as asked), "no_face" or "failed".
        size: width and height in pixels, once known.
        faces: edited or only looked at; of a video those of the first frame with a face.
        found: of edited pictures, how many faces there are, with those that were not edited.
    """

    source: str
    target: str | None = None
    status: str = "failed"
    size: tuple[int, int] | None = None
    faces: Sequence[FaceAnalysis | FaceEdit] = ()
    settings: Mapping[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failure: AifError | None = None
    video: VideoFigures | None = None
    found: int | None = None

    def add_seconds(self, timings: Mapping[str, float]) -> None:
        """Add an editor's times by stage."""
        for stage, seconds in timings.items():
            name = _RENAMED.get(stage, stage)
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def as_json(self, timings: bool = False) -> str:
        """One line of JSON."""
        record: dict[str, Any] = {"input": self.source, "output": self.target, "status": self.status}
        if self.size is not None:
            record["width"], record["height"] = self.size
        record["set"] = dict(self.settings)
        record["faces"] = [_face_record(face, self.settings) for face in self.faces]
        if self.found is not None:
            record["found"] = self.found
        if timings:
            record["seconds"] = {
                name: round(self.seconds[name], 6) for name in STAGES if name in self.seconds
            }
        if self.failure is not None:
            record["error"] = self.failure.message
        if self.video is not None:
            record |= {"frames": self.video.frames, "frames_with_faces": self.video.with_faces}
            if timings:
                record["fps"] = round(self.video.fps, 2)
        line = json.dumps(record, ensure_ascii=False)
        # A file name that is no text has parts that UTF-8 cannot hold, and JSON's escapes can.
        return json.dumps(record) if _NO_TEXT.search(line) else line


def _face_record(face: FaceAnalysis | FaceEdit, settings: Mapping[str, float]) -> dict[str, Any]:
    record = {
        "box": [round(float(value), 1) for value in face.detection.box_xywh],
        "score": round(face.detection.score, 4),
        "landmarks": [[round(float(value), 1) for value in point] for point in face.detection.landmarks],
        "residual": round(face.residual, 4),
        "attributes": {name: round(value, 4) for name, value in predicted(face).items()},
    }
    if isinstance(face, FaceEdit):
        wanted = {name: round(value, 4) for name, value in changes(face, settings).items()}
        record |= {"strength": round(face.strength, 4), "hidden": list(face.hidden)}
        if face.hair_strength is not None:
            record["hair_strength"] = round(face.hair_strength, 4)
        record |= {"wanted": wanted, "already": already(face, settings)}
    return record
