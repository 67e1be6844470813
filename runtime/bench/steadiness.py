"""How much an edit shakes on films: with each frame for itself, with tracking, with tracking and filter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aif.runtime.arrays import UInt8Array
from aif.runtime.bench.jitter import FrameByFrame, FrameEditor, Steadiness, measure_steadiness
from aif.runtime.bench.measure import Progress
from aif.runtime.editing.editor import Editor
from aif.runtime.tracking.tracker import FaceTracker
from aif.runtime.video.editor import VideoEditor, landmark_finder
from aif.runtime.video.read import VideoSource


@dataclass(frozen=True)
class SteadinessRow:
    """One film, edited in one way."""

    film: str
    way: str
    figures: Steadiness


def bench_steadiness(
    editor: Editor,
    films: Sequence[Path],
    edits: Mapping[str, float],
    seconds: float | None,
    threads: int,
    progress: Progress | None = None,
) -> list[SteadinessRow]:
    """Edit every film in three ways.

    Args:
        editor: detector and model.
        films: at least three frames with a face each.
        edits: as for `Editor.edit`.
        seconds: how much of each film; None = all.
        threads: of the landmark network.
        progress: called with the number of runs that are done, and of all.

    Raises:
        VideoError: a film cannot be read.
        DataError: a film has fewer than three frames or no edited face.
        AifError: as `Editor.edit`.
    """
    ways = _ways(editor, edits, threads)
    rows: list[SteadinessRow] = []
    for film in films:
        for way, factory in ways.items():
            if progress is not None:
                progress(len(rows), len(films) * len(ways))
            rows.append(SteadinessRow(film.name, way, measure_steadiness(_frames(film, seconds), factory)))
    return rows


def _ways(editor: Editor, edits: Mapping[str, float], threads: int) -> dict[str, Callable[[], FrameEditor]]:
    net = landmark_finder(editor, threads)
    return {
        "frame by frame": lambda: FrameByFrame(editor, edits),
        "tracked": lambda: VideoEditor(editor, edits, tracker=FaceTracker(editor, net, smooth=False)),
        "tracked, filtered": lambda: VideoEditor(editor, edits, tracker=FaceTracker(editor, net)),
    }


def _frames(film: Path, seconds: float | None) -> Iterator[tuple[UInt8Array, float]]:
    with VideoSource(film, None, seconds) as source:
        for frame in source:
            yield frame.image_hwc_bgr, frame.time_s
