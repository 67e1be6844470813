"""How fast one picture is edited, stage by stage, from a file's bytes to a file's bytes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from aif.runtime.bench.measure import NETWORKS, Rounds, Row, Setup, Stopwatch, Turn, editor_row
from aif.runtime.editing.editor import Editor
from aif.runtime.image.io import encode_image, read_image

EDIT = ("detect", "landmarks", *NETWORKS, "composite")
STAGES = ("read", *EDIT, "write")


def bench_image(
    editors: Mapping[Setup, Editor], data: bytes, name: str, edits: Mapping[str, float], rounds: Rounds
) -> list[Row]:
    """Edit the bytes of an image file again and again in every setup; docs/benchmarks.md has the figures."""

    def edit_once(editor: Editor, watch: Stopwatch) -> None:
        with watch.time("read"):
            picture = read_image(data, name)
        result = editor.edit(picture.pixels_hwc_bgr, edits)
        # What aligning a face takes is its landmarks.
        watch.add_edit({"landmarks" if stage == "align" else stage: s for stage, s in result.timings.items()})
        with watch.time("write"):
            encode_image(picture, result.image_hwc_bgr)

    def turn(editor: Editor) -> Turn:
        watch = Stopwatch()
        times = rounds.repeat(lambda: edit_once(editor, watch))
        editing = watch.total(EDIT)
        figures = {
            "images_per_second": len(times) / sum(times),
            "edits_per_second": len(times) / editing,
            "networks_share": watch.total(NETWORKS) / editing,
        }
        return Turn(figures, watch)

    for editor in editors.values():
        edit_once(editor, Stopwatch())  # warms up
    found = rounds.take_turns({setup: partial(turn, editor) for setup, editor in editors.items()})
    return [editor_row(setup, editor, STAGES, found[setup]) for setup, editor in editors.items()]
