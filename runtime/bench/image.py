"""How fast one picture is edited, stage by stage, from a file's bytes to a file's bytes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

from aif.runtime.bench.measure import NETWORKS, Progress, Row, Setup, Stopwatch, Turn, rows_of, take_turns
from aif.runtime.editing.editor import Editor
from aif.runtime.image.io import encode_image, read_image

EDIT = ("detect", "landmarks", "encode", "decode_faces", "composite")
STAGES = ("read", *EDIT, "write")


def bench_image(
    editors: Mapping[Setup, Editor],
    data: bytes,
    name: str,
    edits: Mapping[str, float],
    seconds: float,
    rounds: int,
    progress: Progress | None = None,
) -> list[Row]:
    """Edit one picture again and again in every setup.

    Figures: `images_per_second` with reading and writing, `edits_per_second` without, `faces`, and
    `networks_share`, that of encoder and decoder, of the time of an edit.

    Args:
        editors: by setup; they take turns.
        data: of an image file, decoded and written in its own format each time.
        name: what to call it in errors.
        edits: as for `Editor.edit`.
        seconds: for each setup in each round; at least one edit is made.
        rounds: turns of each setup.

    Raises:
        NoFaceError: the picture has none.
        AifError: as `read_image` and `Editor.edit`.
    """
    for editor in editors.values():
        _edit_once(editor, data, name, edits, Stopwatch())
    turns = {setup: partial(_turn, editor, data, name, edits, seconds) for setup, editor in editors.items()}
    return rows_of(editors, STAGES, take_turns(turns, rounds, progress))


def _turn(editor: Editor, data: bytes, name: str, edits: Mapping[str, float], seconds: float) -> Turn:
    own = Stopwatch()
    begin, count, faces = time.perf_counter(), 0, 0
    while not count or time.perf_counter() - begin < seconds:
        faces = _edit_once(editor, data, name, edits, own)
        count += 1
    whole = time.perf_counter() - begin
    editing = own.total(EDIT)
    figures = {
        "images_per_second": count / whole,
        "edits_per_second": count / editing,
        "faces": float(faces),
        "networks_share": own.total(NETWORKS) / editing,
    }
    return Turn(figures, own)


def _edit_once(editor: Editor, data: bytes, name: str, edits: Mapping[str, float], watch: Stopwatch) -> int:
    with watch.time("read"):
        picture = read_image(data, name)
    result = editor.edit(picture.pixels_hwc_bgr, edits)
    # What aligning a face takes is its landmarks.
    watch.add_edit({"landmarks" if name == "align" else name: s for name, s in result.timings.items()})
    with watch.time("write"):
        encode_image(picture, result.image_hwc_bgr)
    return len(result.faces)
