"""Edit files one after the other, and record what became of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aif.runtime.batch.picture import edit_picture
from aif.runtime.batch.places import Job
from aif.runtime.batch.plan import EditPlan
from aif.runtime.batch.record import FileRecord
from aif.runtime.batch.video import FrameProgress, edit_video
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import AifError, NoFaceError, file_error
from aif.runtime.signals import stop_on_signals

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


def edit_files(
    editor: Editor,
    plan: EditPlan,
    jobs: Sequence[Job],
    finished: Callable[[FileRecord], None],
    progress: FrameProgress,
) -> list[FileRecord]:
    """Edit pictures and videos one after the other; a record each.

    Ctrl-C and SIGTERM end the run after the picture, or at the frame, under way; a second one at once.
    Whatever was written is whole.

    `finished` is called with each record as soon as its file is done. If the only file fails, its AifError is
    raised; after a signal KeyboardInterrupt (`Terminated`: it was SIGTERM).
    """
    records, go_on = [], len(jobs) > 1
    with stop_on_signals() as stop:
        for job in jobs:
            record = FileRecord(job.source.label, settings=plan.edit.settings)
            try:
                if job.source.is_video:
                    edit_video(editor, plan, job, record, stop, progress)
                else:
                    edit_picture(editor, plan, job, record)
            except (AifError, OSError) as error:
                _failed(record, file_error(error) if isinstance(error, OSError) else error)
            except Exception as error:
                if not go_on:
                    raise
                unexpected = UnexpectedError(f"{type(error).__name__}: {error}")
                unexpected.__cause__ = error
                _failed(record, unexpected)
            records.append(record)
            finished(record)
            if record.failure is not None and not go_on:
                raise record.failure
            stop.check()
    return records


def _failed(record: FileRecord, failure: AifError) -> None:
    record.status = "no_face" if isinstance(failure, NoFaceError) else "failed"
    record.target, record.failure = None, failure
    if record.source not in failure.message:
        failure.message = f"{record.source}: {failure.message}"


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
