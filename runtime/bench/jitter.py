"""How much edited frames shake and flicker, in figures that need no eye: lower is calmer.

A figure alone says little, for a face that moves makes both rise. Compare two ways of editing on the same
frames, with `FrameByFrame` as the one to beat.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, Float64Array, UInt8Array
from aif.runtime.bundle.manifest import Mode
from aif.runtime.editing.editor import Editor, FaceChoice
from aif.runtime.errors import DataError, NoFaceError
from aif.runtime.faces.detect import Detection
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.runtime.tracking.matching import assign, eye_distance, match_costs
from aif.runtime.tracking.tracker import TrackedFace
from aif.runtime.video.editor import VideoFrameResult


@dataclass(frozen=True)
class Steadiness:
    """How calm an edit is.

    Attributes:
        acceleration: root mean square second derivative of the landmarks, dense ones where there are such, in
            eye distances/s^2.
        edit_change: mean absolute difference of (edited - original) between consecutive frames inside the
            face boxes, in grey levels of 0 to 255.
        worst_change: the same of the worst pair of frames; a face that drops out for a frame shows here.
        still_change: the mean over pairs in which the face itself changes by less than `STILL` levels, so
            that all change is the edit's own fault; None where there are none.
        strength: mean absolute difference of edited and original inside the face boxes: where a face moves,
            a stronger edit changes more, shaking or not.
        seconds_per_frame: mean time of one call.
        frames: how many there were.
        faces: edited faces per frame, on average.
        renewed: share of the frames with edited faces in which encoder and decoder have run.
    """

    acceleration: float
    edit_change: float
    worst_change: float
    still_change: float | None
    strength: float
    seconds_per_frame: float
    frames: int
    faces: float
    renewed: float


# A face that differs by less than this from the frame before, in grey levels on average, stands still.
STILL = 2.0


class FrameEditor(Protocol):
    """Anything that edits the frames of a stream one after the other, as `VideoEditor` does."""

    def process(self, frame_hwc_bgr: UInt8Array, time_s: float) -> VideoFrameResult:
        """The edited frame, and its faces with numbers that stay."""
        ...


class FrameByFrame:
    """`Editor.edit` on each frame for itself: nothing is calmed. Faces are numbered by their places."""

    def __init__(
        self, editor: Editor, edits: Mapping[str, float], mode: Mode | None = None, faces: FaceChoice = "all"
    ) -> None:
        """Take what `Editor.edit` takes."""
        self._editor, self._edits, self._mode, self._faces = editor, edits, mode, faces
        self._last: dict[int, Float32Array] = {}
        self._next_id = 0

    def process(self, frame_hwc_bgr: UInt8Array, time_s: float) -> VideoFrameResult:
        """Edit one frame; one without faces comes back as it was."""
        try:
            result = self._editor.edit(frame_hwc_bgr, self._edits, self._mode, self._faces)
        except NoFaceError:
            self._last = {}
            return VideoFrameResult(frame_hwc_bgr.copy(), ())
        found = [face.detection for face in result.faces]
        numbers = self._numbered(found)
        faces = tuple(
            TrackedFace(number, at.landmarks, at.box_xywh, at.score, 0.0, 1.0, points=face.points)
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


def measure_steadiness(
    frames: Iterable[tuple[UInt8Array, float]], editor_factory: Callable[[], FrameEditor]
) -> Steadiness:
    """Edit frames and see how much the landmarks and the edit shake.

    Faces that are edited in three frames on end count for the acceleration, faces that are edited in either
    frame for the change. A frame in which the effect is missing counts in full: that is what is seen.

    Args:
        frames: (frame, time in seconds) pairs with rising times; each uint8 (H, W, 3), all of one size.
        editor_factory: makes the editor to measure, anew, so that nothing is remembered from elsewhere.

    Raises:
        DataError: fewer than three frames, frames of unlike sizes, times that do not rise, or no edited face.
    """
    editor = editor_factory()
    paths: list[tuple[float, dict[int, Float32Array]]] = []
    changes: list[float] = []
    still: list[float] = []
    strengths: list[float] = []
    last: npt.NDArray[np.int16] | None = None
    last_frame = np.zeros((0, 0, 3), dtype=np.int16)
    spent, squares, count, renewed = 0.0, 0.0, 0, 0
    for frame, time_s in frames:
        start = time.perf_counter()
        result = editor.process(frame, time_s)
        spent += time.perf_counter() - start
        if paths and time_s <= paths[-1][0]:
            raise DataError(f"Frame {len(paths)} comes at {time_s:g} s, after one of {paths[-1][0]:g} s.")
        paths.append((time_s, {face.id: _points(face) for face in result.faces if face.weight > 0}))
        renewed += bool(result.renewed)
        edit = result.image_hwc_bgr.astype(np.int16) - frame
        if last is not None:
            if last.shape != edit.shape:
                raise DataError(f"Frame {len(paths) - 1} is {edit.shape}, the one before {last.shape}.")
            faces = list({**paths[-2][1], **paths[-1][1]}.values())
            found = _changes(last, edit, faces)
            moved = _changes(last_frame, frame.astype(np.int16), faces)
            changes += found
            still += [change for change, motion in zip(found, moved, strict=True) if motion < STILL]
        strengths += _changes(np.zeros_like(edit), edit, list(paths[-1][1].values()))
        if len(paths) >= 3:
            for bend in _bends(paths[-3:]):
                squares, count = squares + float((bend**2).sum(axis=1).mean()), count + 1
        last, last_frame = edit, frame.astype(np.int16)
    if len(paths) < 3:
        raise DataError(f"Steadiness takes at least three frames, not {len(paths)}.")
    if not changes:
        raise DataError("There is no edited face in these frames.")
    return Steadiness(
        acceleration=math.sqrt(squares / count) if count else math.nan,
        edit_change=float(np.mean(changes)),
        worst_change=float(np.max(changes)),
        still_change=float(np.mean(still)) if still else None,
        strength=float(np.mean(strengths)) if strengths else 0.0,
        seconds_per_frame=spent / len(paths),
        frames=len(paths),
        faces=sum(len(found) for _, found in paths) / len(paths),
        renewed=renewed / sum(bool(found) for _, found in paths),
    )


def _points(face: TrackedFace) -> Float32Array:
    return face.landmarks if face.points is None else face.points


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
