"""One picture: decoded, edited or swept, and encoded again."""

from __future__ import annotations

import sys
import time
from dataclasses import replace

from aif.runtime.arrays import UInt8Array
from aif.runtime.batch.places import Job
from aif.runtime.batch.plan import EditPlan
from aif.runtime.batch.record import FileRecord
from aif.runtime.batch.sources import DEMO, STREAM, Source
from aif.runtime.editing.editor import Editor
from aif.runtime.editing.options import describe
from aif.runtime.editing.sheets import compare_sheet, lay_out, sweep_rows
from aif.runtime.errors import NoFaceError
from aif.runtime.image.io import demo_picture, encode_image, read_bytes, read_image, write_bytes
from aif.runtime.image.kinds import SUFFIXES
from aif.runtime.image.meta import without_location
from aif.runtime.image.picture import Picture


def edit_picture(editor: Editor, plan: EditPlan, job: Job, record: FileRecord) -> None:
    """Edit one picture, or look at it where nothing is to be edited; the record is filled in.

    Raises:
        NoFaceError: there is no wanted face, and the picture is not to be copied then.
        ImageError: it cannot be read or written.
    """
    start = time.perf_counter()
    picture, data = read_source(job.source, plan.output.max_megapixels)
    record.size = (picture.width, picture.height)
    record.seconds["read"] = time.perf_counter() - start
    if not plan.edit:
        record.faces, record.status = editor.analyse(picture.pixels_hwc_bgr, plan.edit.faces), "analysed"
        return
    record.target = STREAM if job.target is None else str(job.target)
    made = edited_bytes(editor, plan, picture, data, "" if job.target is None else job.target.suffix, record)
    start = time.perf_counter()
    if job.target is None:
        sys.stdout.buffer.write(made)
        sys.stdout.buffer.flush()
    else:
        write_bytes(job.target, made, job.new)
    record.seconds["write"] += time.perf_counter() - start


def read_source(source: Source, max_megapixels: float | None) -> tuple[Picture, bytes]:
    """A picture, and the bytes that it was read from (of the demo: none)."""
    if source.path is None and source.label == DEMO:
        return demo_picture(), b""
    data = sys.stdin.buffer.read() if source.path is None else read_bytes(source.path)
    return read_image(data, source.label, max_megapixels), data


def edited_bytes(
    editor: Editor, plan: EditPlan, picture: Picture, data: bytes, suffix: str, record: FileRecord
) -> bytes:
    """The file to write; the record gets its status, faces and times. Errors as `edit_picture`.

    `data`: the bytes that it was read from; empty = not known.
    """
    kind = plan.output.kind or SUFFIXES.get(suffix.lower()) or picture.format
    try:
        result, pixels = _edited(editor, plan, picture, record)
        record.status = "edited"
    except NoFaceError:
        if not plan.output.copy_unedited:
            raise
        record.status = "copied"
        result, pixels = picture, picture.pixels_hwc_bgr
    start = time.perf_counter()
    as_it_was = record.status == "copied" and data and kind == picture.format
    if plan.output.strip_location:
        as_it_was, result = False, replace(result, extras=without_location(result.extras))
    made = data if as_it_was else encode_image(result, pixels, kind, plan.output.quality)
    record.seconds["write"] = time.perf_counter() - start
    return made


def _edited(
    editor: Editor, plan: EditPlan, picture: Picture, record: FileRecord
) -> tuple[Picture, UInt8Array]:
    """What to write: the picture itself with edited pixels, or a sheet."""
    frame, edit = picture.pixels_hwc_bgr, plan.edit
    if edit.sweep is not None:
        record.faces = editor.analyse(frame, edit.faces)
        rows = sweep_rows(
            editor, picture, record.faces, edit.sweep, edit.settings, edit.mode, record.add_seconds
        )
        sheet = lay_out(rows)
        return picture.sheet(sheet), sheet
    result = editor.edit(frame, edit.settings, edit.mode, edit.faces)
    record.faces, record.found = result.faces, result.found
    record.add_seconds(result.timings)
    if not edit.compare:
        return picture, result.image_hwc_bgr
    sheet = compare_sheet(frame, picture.settle(result.image_hwc_bgr), describe(edit.settings))
    return picture.sheet(sheet), sheet
