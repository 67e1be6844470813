"""What has been done, in JSON lines beside the results: so that a job that was cut off goes on where it was.

A run has a folder `aif_manifest/RUN/` where its results are. `plan.jsonl` names every picture that it set out
to do; each worker adds lines to files of its own as it goes, so nobody waits for anybody. Where files cannot
grow (object stores) the worker puts its file anew with every line. A worker that is killed leaves at worst a
torn last line, which is ignored.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from aif.cli.ray.store import Place
from aif.runtime.errors import AifError, ImageError

FOLDER = "aif_manifest"
PLANNED, LOADING, STARTED = "planned", "loading", "started"
FINAL = ("edited", "copied", "no_face")
"""Outcomes that a later run leaves as they are; what failed is tried again."""


@dataclass(frozen=True)
class Record:
    """One line.

    Attributes:
        status: "planned", "loading" (a worker begins; no picture), "started", "edited", "copied" (no face,
            copied as asked), "no_face" or "failed".
        input, output: full names.
        size, mark: of the input: bytes, and its ETag, or its time where the file system has none.
        settings: hash of all that the result depends on.
        sha256: of the input's bytes, once they were read.
        output_size: in bytes; None where there is none.
        faces: how many were edited.
        error: what went wrong.
        seconds: how long it took.
        worker: which process of which machine.
        time: seconds since 1970.
    """

    status: str
    input: str
    output: str
    size: int
    mark: str
    settings: str
    sha256: str | None = None
    output_size: int | None = None
    faces: int = 0
    error: str | None = None
    seconds: float | None = None
    worker: str | None = None
    time: float = 0.0

    @property
    def key(self) -> tuple[str, str, int, str, str]:
        """What makes two records be about the same work."""
        return self.input, self.output, self.size, self.mark, self.settings

    def line(self) -> bytes:
        """JSON, without what is not known, ending in a newline."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(known, ensure_ascii=False).encode() + b"\n"


def new_run() -> str:
    """A name for a run; later runs sort after earlier ones."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"


class Segment:
    """One process's file of a run's manifest. Not for several threads."""

    def __init__(self, place: Place, root: str, run: str, name: str) -> None:
        """Nothing is written before the first line. `root` is the folder that holds the manifest's folder."""
        self._place, self._path = place, f"{root}/{FOLDER}/{run}/{name}.jsonl"
        self._lines: list[bytes] = []

    def add(self, records: Iterable[Record]) -> None:
        """Add lines; they are in the file, and on the disk where there is one, when this returns.

        Raises:
            ImageError: the place cannot be written.
        """
        lines = [replace(each, time=round(time.time(), 3)).line() for each in records]
        if not self._place.appends:
            self._lines += lines
            self._place.put(self._path, b"".join(self._lines))
            return
        try:
            path = Path(self._path)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(b"".join(lines))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ImageError(f"Cannot write {self._path}: {error.strerror or error}.") from error


def read_records(place: Place, root: str, run: str | None = None) -> Iterator[Record]:
    """Every record of all runs, or of one, in order of runs.

    Raises:
        AifError: a manifest is damaged elsewhere than in its last line.
    """
    folder = f"{root}/{FOLDER}" if run is None else f"{root}/{FOLDER}/{run}"
    for path in sorted(place.sizes(folder)):
        if path.endswith(".jsonl"):
            yield from _parse(place.read(path), place.name(path))


def _parse(data: bytes, where: str) -> Iterator[Record]:
    *lines, _torn = data.split(b"\n")  # what stands behind the last newline was cut off while it was written
    for number, line in enumerate(lines, start=1):
        try:
            yield Record(**_fields(json.loads(line)))
        except (ValueError, TypeError) as error:
            raise AifError(
                f"{where} is damaged in line {number}.",
                "Remove that line, or the file: what it tells of is then done again.",
            ) from error


def _fields(data: Any) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise ValueError("no JSON object")
    return {name: value for name, value in data.items() if name in Record.__dataclass_fields__}
