"""One worker of a cluster: an editor of its own, pictures in, results put in their place and written down."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2

from aif.cli.edit.report import Report
from aif.cli.edit.run import EditPlan, edited_picture, load_editor
from aif.cli.ray.manifest import FINAL, LOADING, STARTED, Record, Segment, read_records
from aif.cli.ray.settings import same_yunet
from aif.cli.ray.store import Place, suffix_of
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import AifError, BundleError, NoFaceError
from aif.runtime.image.io import SUFFIXES, encode_image, read_image

MOST_STARTS = 3
"""A picture that has ended its worker so often is given up."""


SPARE_LOADS = 20
"""So many workers of a run may die and be started again; then something is wrong with all of them."""


@dataclass(frozen=True)
class Task:
    """One picture: paths in the file systems of source and destination; size and mark as in `Record`."""

    path: str
    output: str
    size: int
    mark: str


@dataclass(frozen=True)
class Setup:
    """What every worker needs to know.

    Attributes:
        source, destination: addresses, for their file systems.
        root: the folder with the manifest, in the destination's file system.
        run: of the manifest.
        bundle: path of the bundle, on every machine; None = the embedded one.
        fingerprint: of its manifest, so that all machines use the same.
        settings: hash of all that a result depends on.
        plan: what to do with each picture.
        provider, detector, yunet, threads, precision: as for `load_editor`.
        workers: how many there are at a time.
        yunet_sha256: of the YuNet file that all have to use.
        opencv_threads: what OpenCV may use; None = one a core of the machine.
    """

    source: str
    destination: str
    root: str
    run: str
    bundle: Path | None
    fingerprint: str
    settings: str
    plan: EditPlan
    provider: str = "auto"
    detector: str = "auto"
    yunet: Path | None = None
    threads: int = 1
    precision: str | None = None
    workers: int = 1
    yunet_sha256: str | None = None
    opencv_threads: int | None = None


def fingerprint(bundle: Bundle) -> str:
    """SHA-256 of a bundle's manifest, which holds those of its graphs."""
    return hashlib.sha256(bundle.manifest.to_json().encode()).hexdigest()


class EditWorker:
    """Called by Ray Data with tables of tasks, one after the other.

    A worker that was killed is started again by Ray and gets its last table again; what its predecessor had
    finished stands in the manifest, and is not done twice.
    """

    def __init__(self, setup: Setup) -> None:
        """Load the editor; where that fails, every call says why."""
        self._setup = setup
        self._fault: AifError | None = None
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        try:
            self._source, self._destination = Place(setup.source), Place(setup.destination)
            self._done: dict[str, Record] = {}
            self._starts: Counter[str] = Counter()
            loads = self._look_back()
            if loads >= setup.workers + SPARE_LOADS:
                raise AifError(
                    f"{loads} workers were started, and {SPARE_LOADS} or more have died.",
                    "See Ray's own log for why; the same command goes on where it was.",
                )
            loading = Record(LOADING, "", "", 0, "", setup.settings, worker=self._name)
            self._segment().add([loading])
            self._editor = _load(setup)
        except AifError as error:
            self._fault = error

    def _look_back(self) -> int:
        """What workers of this run have done, and how many there were."""
        loads = 0
        for record in read_records(self._destination, self._setup.root, self._setup.run):
            loads += record.status == LOADING
            if record.status == STARTED:
                self._starts[record.input] += 1
            elif record.status in (*FINAL, "failed"):
                self._done[record.input] = record
        return loads

    def _segment(self) -> Segment:
        """A new file of the manifest."""
        name = f"{self._name.replace(':', '-')}-{secrets.token_hex(4)}"
        return Segment(self._destination, self._setup.root, self._setup.run, name)

    def __call__(self, table: Any) -> dict[str, list[str]]:
        """Do the tasks of a pyarrow table; a JSON text a task: its record, or {"fault", "fix"}."""
        if self._fault is not None:
            fault = {"fault": self._fault.message, "fix": self._fault.fix}
            return {"answer": [json.dumps(fault)] * len(table)}
        segment = self._segment()  # one a table, so that object stores put short ones
        tasks = [Task(**row) for row in table.to_pylist()]
        return {"answer": [json.dumps(asdict(self._do(task, segment))) for task in tasks]}

    def _do(self, task: Task, segment: Segment) -> Record:
        source, destination = self._source, self._destination
        record = Record(
            STARTED,
            source.name(task.path),
            destination.name(task.output),
            task.size,
            task.mark,
            self._setup.settings,
            worker=self._name,
        )
        if record.input in self._done:
            return self._done[record.input]
        try:
            if self._starts[record.input] >= MOST_STARTS:
                raise AifError(f"{record.input} has ended its worker {MOST_STARTS} times, and is given up.")
            segment.add([record])
            record = self._edit(task, record)
        except AifError as error:
            status = "no_face" if isinstance(error, NoFaceError) else "failed"
            record = replace(record, status=status, error=error.message)
        except Exception as error:  # a fault of ours in one picture must not stop the others
            record = replace(record, status="failed", error=f"{type(error).__name__}: {error}")
        try:
            segment.add([record])
        except AifError as error:
            return replace(record, status="failed", error=error.message)
        return record

    def _edit(self, task: Task, record: Record) -> Record:
        start = time.perf_counter()
        data = self._source.read(task.path)
        report = Report(record.input, settings=self._setup.plan.settings)
        made = _edit_bytes(self._editor, self._setup.plan, data, suffix_of(task.output), report)
        self._destination.put(task.output, made)
        return replace(
            record,
            status=report.status,
            sha256=hashlib.sha256(data).hexdigest(),
            output_size=len(made),
            faces=len(report.faces),
            seconds=round(time.perf_counter() - start, 3),
        )


def _load(setup: Setup) -> Editor:
    bundle = Bundle.open(setup.bundle)
    if fingerprint(bundle) != setup.fingerprint:
        raise BundleError(
            f"The bundle {bundle.path} on {socket.gethostname()} is not the one that the job started with.",
            "Copy the same bundle to every machine, and install the same aif.",
        )
    if setup.opencv_threads is not None:
        cv2.setNumThreads(setup.opencv_threads)
    yunet = same_yunet(setup.yunet, setup.yunet_sha256)
    return load_editor(bundle, setup.provider, setup.detector, yunet, setup.threads, setup.precision)


def _edit_bytes(editor: Editor, plan: EditPlan, data: bytes, suffix: str, report: Report) -> bytes:
    """The file to write, from the file that was read; the report gets its status."""
    picture = read_image(data, report.source, plan.max_megapixels)
    kind = plan.kind or SUFFIXES.get(suffix) or picture.format
    try:
        result, pixels = edited_picture(editor, plan, picture, report)
    except NoFaceError:
        if not plan.copy_unedited:
            raise
        report.status = "copied"
        same = kind == picture.format
        return data if same else encode_image(picture, picture.pixels_hwc_bgr, kind, plan.quality)
    report.status = "edited"
    return encode_image(result, pixels, kind, plan.quality)


def parse_answer(text: str) -> Record:
    """What a worker answered.

    Raises:
        AifError: the worker could not start.
    """
    data: Mapping[str, Any] = json.loads(text)
    if "fault" in data:
        raise AifError(f"A worker cannot start: {data['fault']}", data["fix"])
    return Record(**data)
