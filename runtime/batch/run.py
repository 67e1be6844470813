"""Edit files one after the other, and record what became of each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from aif.runtime.batch.picture import edit_picture
from aif.runtime.batch.places import Job
from aif.runtime.batch.plan import EditPlan
from aif.runtime.batch.record import FileRecord
from aif.runtime.batch.video import FrameProgress, edit_video
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import AifError, NoFaceError, file_error
from aif.runtime.signals import Stop, stop_on_signals

STATUSES = {
    "edited": "edited",
    "analysed": "looked at",
    "copied": "copied without a face",
    "no_face": "without a face",
    "failed": "failed",
}
"""Each status of a record, and how it is called in a summary."""


class UnexpectedError(AifError):
    """A fault of aif itself in one file of many; its cause is the exception."""


@contextlib.contextmanager
def _no_progress(name: str, frames: int | None) -> Iterator[Callable[[int], None]]:
    yield lambda done: None


def edit_files(
    editor: Editor,
    plan: EditPlan,
    jobs: Sequence[Job],
    finished: Callable[[FileRecord], None] = lambda record: None,
    progress: FrameProgress = _no_progress,
) -> list[FileRecord]:
    """Edit pictures and videos one after the other; a record each.

    Ctrl-C and SIGTERM end the run after the picture, or at the frame, under way; a second one at once.
    Whatever was written is whole.

    Args:
        finished: called with each record, failures too, as soon as its file is done.

    Raises:
        AifError: the only file failed.
        KeyboardInterrupt: a signal came (`Terminated`: it was SIGTERM).
    """
    records, go_on = [], len(jobs) > 1
    with stop_on_signals() as stop:
        for job in jobs:
            record = FileRecord(job.source.label, settings=plan.edit.settings)
            _edit_file(editor, plan, job, record, go_on, stop, progress)
            records.append(record)
            finished(record)
            if record.failure is not None and not go_on:
                raise record.failure
            stop.check()
    return records


def _edit_file(
    editor: Editor,
    plan: EditPlan,
    job: Job,
    record: FileRecord,
    go_on: bool,
    stop: Stop,
    progress: FrameProgress,
) -> None:
    try:
        if job.source.is_video:
            edit_video(editor, plan, job, record, stop, progress)
        else:
            edit_picture(editor, plan, job, record)
        return
    except AifError as error:
        failure = error
    except OSError as error:
        failure = file_error(error)
    except Exception as error:
        if not go_on:
            raise
        failure = UnexpectedError(f"{type(error).__name__}: {error}")
        failure.__cause__ = error
    record.status = "no_face" if isinstance(failure, NoFaceError) else "failed"
    record.target, record.failure = None, failure
    if job.source.label not in failure.message:
        failure.message = f"{job.source.label}: {failure.message}"


def exit_code(records: Sequence[FileRecord]) -> int:
    """0, 3 when all failures were missing faces, else 1."""
    failures = [record.failure for record in records if record.failure is not None]
    if not failures:
        return 0
    return NoFaceError.exit_code if all(isinstance(each, NoFaceError) for each in failures) else 1


def summary(statuses: Sequence[str]) -> str:
    """`3 edited, 1 without a face`."""
    counts = [(statuses.count(status), text) for status, text in STATUSES.items()]
    return ", ".join(f"{count} {text}" for count, text in counts if count)
