"""How much edited films shake and flicker, in figures that need no eye: lower is calmer.

A figure alone says little, for a face that moves makes all rise. So each film is edited in three ways: each
frame for itself, with tracking, with tracking and filter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, Float64Array, UInt8Array
from aif.runtime.bench.measure import Rounds, Row
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import DataError, NoFaceError
from aif.runtime.faces.detect import Detection
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.runtime.tracking.matching import assign, eye_distance, match_costs
from aif.runtime.tracking.tracker import FaceTracker, TrackedFace
from aif.runtime.video.editor import VideoEditor, VideoFrameResult, landmark_finder
from aif.runtime.video.read import VideoSource

# A face that differs by less than this from the frame before, in grey levels on average, is at rest.
STILL = 2.0


class FrameEditor(Protocol):
    """Anything that edits the frames of a stream one after the other, as `VideoEditor` does."""

    def process(self, frame_hwc_bgr: UInt8Array, time_s: float) -> VideoFrameResult: ...


class FrameByFrame:
    """`Editor.edit` on each frame for itself: nothing is calmed. Faces are numbered by their places."""

    def __init__(self, editor: Editor, edits: Mapping[str, float]) -> None:
        self._editor, self._edits = editor, edits
        self._last: dict[int, Float32Array] = {}
        self._next_id = 0

    def process(self, frame_hwc_bgr: UInt8Array, time_s: float) -> VideoFrameResult:
        """Edit one frame; one without faces comes back as it was."""
        try:
            result = self._editor.edit(frame_hwc_bgr, self._edits)
        except NoFaceError:
            self._last = {}
            return VideoFrameResult(frame_hwc_bgr.copy(), ())
        found = [face.detection for face in result.faces]
        numbers = self._numbered(found)
        faces = tuple(
            TrackedFace(number, at.landmarks, at.box_xywh, at.score, 0.0, 1.0, 1.0, points=face.points)
            for number, at, face in zip(numbers, found, result.faces, strict=True)
        )
        return VideoFrameResult(result.image_hwc_bgr, faces, renewed=tuple(numbers))

    def _numbered(self, found: list[Detection]) -> list[int]:
        """The numbers of the nearest faces of the frame before, or new ones."""
        known = list(self._last)
        costs = match_costs([self._last[number] for number in known], [1.0] * len(known), found)
        numbers = {column: known[row] for row, column in assign(costs)}
        for column in range(len(found)):
            if column not in numbers:
                numbers[column] = self._next_id
                self._next_id += 1
        self._last = {numbers[column]: face.landmarks for column, face in enumerate(found)}
        return [numbers[column] for column in range(len(found))]


def bench_steadiness(
    editor: Editor, films: Sequence[Path], edits: Mapping[str, float], threads: int, rounds: Rounds
) -> list[Row]:
    """Edit every film in three ways; figures as `measure_steadiness`.

    The seconds of `rounds` are how much of each film, None = all.
    """
    net = landmark_finder(editor, threads)
    ways: dict[str, Callable[[], FrameEditor]] = {
        "frame by frame": lambda: FrameByFrame(editor, edits),
        "tracked": lambda: VideoEditor(editor, edits, tracker=FaceTracker(editor, net, smooth=False)),
        "tracked, filtered": lambda: VideoEditor(editor, edits, tracker=FaceTracker(editor, net)),
    }
    rows: list[Row] = []
    for film in films:
        for way, make in ways.items():
            rounds.progress(len(rows), len(films) * len(ways))
            figures = measure_steadiness(_frames(film, rounds.seconds), make())
            rows.append(Row({"film": film.name, "way": way}, figures))
    return rows


def _frames(film: Path, seconds: float | None) -> Iterator[tuple[UInt8Array, float]]:
    with VideoSource(film, None, seconds) as source:
        for frame in source:
            yield frame.image_hwc_bgr, frame.time_s


def measure_steadiness(frames: Iterable[tuple[UInt8Array, float]], editor: FrameEditor) -> dict[str, float]:
    """Edit frames and see how much the landmarks and the edit shake.

    `acceleration`: root mean square second derivative of the landmarks (dense ones where there are such) of
    faces that are edited in three frames on end, in eye distances/s^2. `edit_change`: mean absolute
    difference of (edited - original) between consecutive frames inside the boxes of faces that are edited in
    either, in grey levels of 0 to 255; a missing effect counts in full. `worst_change`: the same of the
    worst pair. `still_change`: of the pairs in which the face itself changes by less than `STILL` levels, so
    that all change is the edit's own fault. `strength`: mean absolute difference of edited and original in
    the boxes. `frames`, and `renewed`, the share of those with edited faces in which encoder and decoder
    have run. What cannot be said is left out.

    `frames` are (frame, time in seconds) pairs with rising times; each uint8 (H, W, 3), all of one size. A
    DataError for fewer than three, or no edited face.
    """
    paths: list[tuple[float, dict[int, Float32Array]]] = []
    changes: list[float] = []
    still: list[float] = []
    strengths: list[float] = []
    squares: list[float] = []
    last: npt.NDArray[np.int16] | None = None
    last_frame = np.zeros((0, 0, 3), dtype=np.int16)
    renewed = 0
    for frame, time_s in frames:
        result = editor.process(frame, time_s)
        edited = {f.id: f.landmarks if f.points is None else f.points for f in result.faces if f.weight > 0}
        paths.append((time_s, edited))
        renewed += bool(result.renewed)
        edit, wide_frame = result.image_hwc_bgr.astype(np.int16) - frame, frame.astype(np.int16)
        if last is not None:
            faces = list({**paths[-2][1], **edited}.values())
            found, moved = _changes(last, edit, faces), _changes(last_frame, wide_frame, faces)
            changes += found
            still += [change for change, motion in zip(found, moved, strict=True) if motion < STILL]
        strengths += _changes(np.zeros_like(edit), edit, list(edited.values()))
        if len(paths) >= 3:
            squares += [float((bend**2).sum(axis=1).mean()) for bend in _bends(paths[-3:])]
        last, last_frame = edit, wide_frame
    if len(paths) < 3:
        raise DataError(f"Steadiness takes at least three frames, not {len(paths)}.")
    if not changes:
        raise DataError("There is no edited face in these frames.")
    strength = float(np.mean(strengths))
    figures = {
        "acceleration": math.sqrt(np.mean(squares)) if squares else None,
        "edit_change": float(np.mean(changes)),
        "worst_change": float(np.max(changes)),
        "still_change": float(np.mean(still)) if still else None,
        "strength": strength,
        "change_per_strength": float(np.mean(changes)) / strength if strength else None,
        "frames": float(len(paths)),
        "renewed": renewed / sum(bool(found) for _, found in paths),
    }
    return {name: value for name, value in figures.items() if value is not None}


def _bends(three: list[tuple[float, dict[int, Float32Array]]]) -> list[Float64Array]:
    """Second derivatives (K, 2), in eye distances/s^2, of each face that is in all three frames."""
    (t0, first), (t1, second), (t2, third) = three
    bends = []
    for number in first.keys() & second.keys() & third.keys():
        before = (second[number].astype(np.float64) - first[number]) / (t1 - t0)
        after = (third[number].astype(np.float64) - second[number]) / (t2 - t1)
        bends.append(2 * (after - before) / (t2 - t0) / eye_distance(second[number]))
    return bends


def _changes(
    before: npt.NDArray[np.int16], after: npt.NDArray[np.int16], faces: list[Float32Array]
) -> list[float]:
    """Mean absolute difference of two edits inside each face's box."""
    found = []
    for landmarks in faces:
        x, y, side, _ = box_from_landmarks(landmarks)
        region = np.s_[max(0, int(y)) : max(0, int(y + side)), max(0, int(x)) : max(0, int(x + side))]
        if after[region].size:
            found.append(float(np.abs(after[region] - before[region]).mean()))
    return found
