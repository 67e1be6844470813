"""One attribute through its range, as panels to lay out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aif.runtime.bundle.manifest import Mode
from aif.runtime.editing.editor import Editor, FaceAnalysis
from aif.runtime.editing.sheets import Panel, face_view
from aif.runtime.image.picture import Picture


def sweep_rows(
    editor: Editor,
    picture: Picture,
    faces: Sequence[FaceAnalysis],
    sweep: tuple[str, Sequence[float]],
    settings: Mapping[str, float],
    mode: Mode | None = None,
    timed: Callable[[Mapping[str, float]], None] = lambda seconds: None,
) -> list[list[Panel]]:
    """A row of panels a face: the original, then the attribute at each value.

    Args:
        editor, picture: what edits, and what is edited.
        faces: of the picture, as analysed.
        sweep: the attribute's name, and its values.
        settings: what else is changed.
        mode: how to blend; None = the bundle's default.
        timed: told the seconds by stage of each edit.

    Raises:
        AifError: as `Editor.edit`.
    """
    name, values = sweep
    frame, size = picture.pixels_hwc_bgr, editor.model.image_size
    many = len(faces) > 1
    rows = [
        [Panel(face_view(frame, face.matrix, size), f"face {number}" if many else "original")]
        for number, face in enumerate(faces)
    ]
    detections = [face.detection for face in faces]
    for value in values:
        result = editor.edit(frame, {**settings, name: value}, mode, "all", detections)
        timed(result.timings)
        shown = picture.settle(result.image_hwc_bgr)
        for row, face in zip(rows, faces, strict=True):
            row.append(Panel(face_view(shown, face.matrix, size), f"{name} {value:g}"))
    return rows
