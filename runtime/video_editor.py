"""Frames of a film or camera in, edited frames out: one tracked face is edited alike from frame to frame.

What would make an edit shake or flicker is calmed where it arises. The faces are tracked, with smoothed
landmarks (`FaceTracker`); what the encoder says of a face is averaged over time; and effects come and go
gently, as faces do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from aif.runtime.align import Float32Array, UInt8Array, similarity_transform
from aif.runtime.compose import FacePatch, composite
from aif.runtime.editor import Editor, FaceChoice, choose_faces, decode_values, face_crops
from aif.runtime.errors import AifError, NoFaceError
from aif.runtime.exposure import decode_both, encode_levelled
from aif.runtime.landmarks import LandmarkNet
from aif.runtime.manifest import Mode
from aif.runtime.model import Encoding
from aif.runtime.tracking import FaceTracker, TrackedFace, check_seconds

# Time constant in seconds of the average of z. It takes a fifth of the flicker away; a lag of a frame does
# not show. Not for models with further tensors from encoder to decoder: these belong to their frame's own z.
CODE_SETTLE_S = 0.05

# With faces="largest" another face takes over once it is wider by this factor.
TAKE_OVER = 1.25


@dataclass(frozen=True)
class VideoFrameResult:
    """An edited frame.

    Attributes:
        image_hwc_bgr: uint8, as large as the frame, and no part of it.
        faces: all faces, left to right; `weight` is the strength with which each was edited, 0 for none.
        y: attribute values of the edited faces by their numbers, averaged over time.
        timings: seconds by stage: track, align, encode, decode, composite.
    """

    image_hwc_bgr: UInt8Array
    faces: tuple[TrackedFace, ...]
    y: dict[int, dict[str, float]] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CropEdits:
    """Decodings of N face crops; images are float32 (N, 3, S, S) RGB in [0, 1], values float32 (N, A).

    Attributes:
        source_nchw, y_source: with the faces' own attribute values.
        target_nchw, y_target: with the wanted ones.
    """

    source_nchw: Float32Array
    target_nchw: Float32Array
    y_source: Float32Array
    y_target: Float32Array


@dataclass
class _FaceState:
    """What is remembered of a face: to what degree it is chosen, its averaged z and y, and as of when."""

    time_s: float
    chosen: float
    code: tuple[float, Float32Array, Float32Array] | None = None


class VideoEditor:
    """Edits one stream of frames with an editor that may serve others at the same time.

    Frames must be handed over in the order in which they are shown, for each is edited in the light of those
    before it; a time that lies before the last one begins anew, like a cut. Every method may be called from
    any thread: frames take turns, and `set_edits` neither waits for one nor changes one that is under way.
    """

    def __init__(
        self,
        editor: Editor,
        edits: Mapping[str, float],
        mode: Mode | None = None,
        faces: FaceChoice = "all",
        *,
        every: int = 15,
        settle_s: float = 0.1,
        fade_s: float = 0.25,
        threads: int | None = None,
        tracker: FaceTracker | None = None,
    ) -> None:
        """Begin a stream.

        Args:
            editor: detector and model; it stays the caller's to close.
            edits: as for `Editor.edit`.
            mode: how to blend; None = the bundle's default.
            faces: "all"; "largest", which changes over only to a clearly larger face; or a number from the
                left, from 0 on: whoever has that place at first is edited until it has gone.
            every: frames from one detection to the next (see `FaceTracker`).
            settle_s: time constant in seconds of the average of the attribute values: long enough that an
                effect does not flip as an expression changes, and no longer, for meanwhile source and photo
                differ; 0 = no average.
            fade_s: seconds in which an effect comes and goes; 0 = at once.
            threads: threads of the landmark network; None = one a core.
            tracker: one of your own, in place of what `every`, `fade_s` and `threads` would make.

        Raises:
            UnknownAttributeError: the bundle has no such attribute.
            ConfigError: a value or setting out of its range, an unknown mode or choice of faces.
        """
        manifest = editor.model.manifest
        check_seconds(settle_s=settle_s, fade_s=fade_s)
        self._mode: Mode = mode or manifest.compositing
        composite(np.zeros((1, 1, 3), np.uint8), [], self._mode)
        _check_choice(faces)
        if tracker is None:
            net = None if manifest.landmarks is None else LandmarkNet(editor.model.bundle, threads)
            tracker = FaceTracker(editor, net, every, fade_s=fade_s)
        self._editor, self._faces = editor, faces
        self._settle_s, self._fade_s = settle_s, fade_s
        self._tracker: FaceTracker | None = tracker
        self._lock = threading.Lock()
        self._states: dict[int, _FaceState] = {}
        self._picked: int | None = None
        self.set_edits(edits)

    def set_edits(self, edits: Mapping[str, float]) -> None:
        """Change what is edited, from the next frame on.

        Raises:
            UnknownAttributeError: the bundle has no such attribute.
            ConfigError: a value out of its range.
        """
        self._columns = self._editor.columns(edits)

    def process(self, frame_hwc_bgr: UInt8Array, time_s: float) -> VideoFrameResult:
        """Edit the next frame; one without faces comes back as it was.

        Args:
            frame_hwc_bgr: uint8 (H, W, 3); left as it is.
            time_s: when it is shown, in seconds.

        Raises:
            AifError: this video editor or its editor has been closed.
            ImageError: the frame is no uint8 (H, W, 3) array.
            ValueError: the time is not finite.
        """
        with self._lock:
            if self._tracker is None:
                raise AifError("This video editor has been closed.", "Make a new one.")
            model, columns = self._editor.model, self._columns
            times = [time.perf_counter()]
            faces = self._chosen(self._tracker.update(frame_hwc_bgr, time_s), time_s)
            times.append(time.perf_counter())
            edited = [face for face in faces if face.weight > 0]
            matrices = [similarity_transform(face.landmarks, model.image_size) for face in edited]
            crops = face_crops(frame_hwc_bgr, matrices, model.image_size)
            times.append(time.perf_counter())
            if not edited:
                return VideoFrameResult(frame_hwc_bgr.copy(), faces, {}, _stages(times))
            encoding, exposure = encode_levelled(model, crops)
            encoding, source = self._averaged(edited, encoding, time_s)
            _, target = decode_values(source, columns, "predicted")
            times.append(time.perf_counter())
            pictures = decode_both(model, encoding, exposure, source, target)
            times.append(time.perf_counter())
            names = [model.attributes[column] for column in columns]
            patches = [
                FacePatch(matrix, crop, before, after, names, face.weight)
                for face, matrix, crop, before, after in zip(edited, matrices, crops, *pictures, strict=True)
            ]
            image = composite(frame_hwc_bgr, patches, self._mode)
            times.append(time.perf_counter())
            rows = [dict(zip(model.attributes, row, strict=True)) for row in source.tolist()]
            y = {face.id: row for face, row in zip(edited, rows, strict=True)}
            return VideoFrameResult(image, faces, y, _stages(times))

    def edit_frames(self, frames: Iterable[tuple[UInt8Array, float]]) -> Iterator[VideoFrameResult]:
        """Edit frame after frame, (frame, time in seconds) each; one result a frame, in their order.

        A frame is taken only when its result is asked for, so that a stream of any length needs no memory.
        """
        for frame, time_s in frames:
            yield self.process(frame, time_s)

    def edit_crops(self, crops_nchw: npt.ArrayLike) -> CropEdits:
        """Edit face crops that are aligned already, all in one batch and each for itself.

        Args:
            crops_nchw: float32 (N, 3, S, S) RGB in [0, 1] of the model's size; N may be 0.

        Raises:
            ValueError: another shape.
        """
        model, columns = self._editor.model, self._columns
        encoding, exposure = encode_levelled(model, np.asarray(crops_nchw, dtype=np.float32))
        source, target = decode_values(encoding.y, columns, model.manifest.source_values)
        return CropEdits(*decode_both(model, encoding, exposure, source, target), source, target)

    def reset(self) -> None:
        """Forget all faces, for the next frame begins another stream."""
        with self._lock:
            if self._tracker is not None:
                self._tracker.reset()  # and as numbers are never given twice, what they stand for goes, too

    def close(self) -> None:
        """Let go of tracker and landmark network; the editor stays open. Calling it twice does no harm."""
        with self._lock:
            self._tracker, self._states = None, {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _chosen(self, faces: tuple[TrackedFace, ...], time_s: float) -> tuple[TrackedFace, ...]:
        """The faces, with weights that say how strongly each is to be edited."""
        if self._faces != "all":
            self._picked = pick(faces, self._faces, self._picked)
        states = {}
        for face in faces:
            aim = float(self._faces == "all" or face.id == self._picked)
            state = states[face.id] = self._states.get(face.id) or _FaceState(time_s, aim)
            most = (time_s - state.time_s) / self._fade_s if self._fade_s else 1.0
            state.chosen += min(max(aim - state.chosen, -most), most)
            state.time_s = time_s
        self._states = states  # and so a face that is out of sight, or cut away, starts afresh
        return tuple(dataclasses.replace(face, weight=face.weight * states[face.id].chosen) for face in faces)

    def _averaged(
        self, faces: Sequence[TrackedFace], encoding: Encoding, time_s: float
    ) -> tuple[Encoding, Float32Array]:
        """The encoding with z, and the attribute values to decode with, each averaged over time by face."""
        manifest = self._editor.model.manifest
        z, (y, _) = encoding.z.copy(), decode_values(encoding.y, {}, manifest.source_values)
        for row, face in enumerate(faces):
            state = self._states[face.id]
            if state.code is not None and face.repeated:
                y[row] = state.code[2]
                if not manifest.features:
                    z[row] = state.code[1]
                continue
            if state.code is not None:
                then_s, old_z, old_y = state.code
                if not manifest.features:
                    z[row] = old_z + share(time_s - then_s, CODE_SETTLE_S) * (z[row] - old_z)
                y[row] = old_y + share(time_s - then_s, self._settle_s) * (y[row] - old_y)
            state.code = time_s, z[row], y[row]
        return encoding if manifest.features else dataclasses.replace(encoding, z=z), y


def share(step_s: float, settle_s: float) -> np.float32:
    """The newest value's share in an average of time constant `settle_s`, `step_s` after the last one."""
    return np.float32(-math.expm1(-step_s / settle_s) if settle_s else 1.0)


def pick(faces: Sequence[TrackedFace], choice: FaceChoice, last: int | None) -> int | None:
    """The number of the one face to edit, None while there is none.

    Args:
        faces: left to right.
        choice: "largest", or a place from the left, from 0 on.
        last: the number picked in the frame before, which is kept if it can be.
    """
    widths = {face.id: float(face.box[2]) for face in faces if face.confidence > 0 or face.id == last}
    if choice == "largest":
        largest = max(widths, key=lambda number: widths[number], default=None)
        if largest is not None and last in widths and widths[largest] < TAKE_OVER * widths[last]:
            return last
        return largest
    if last in widths:
        return last
    return list(widths)[int(choice)] if int(choice) < len(widths) else None


def _check_choice(faces: FaceChoice) -> None:
    """Raise ConfigError unless `faces` is one of those that `choose_faces` knows."""
    with contextlib.suppress(NoFaceError):
        choose_faces([], faces)


def _stages(times: list[float]) -> dict[str, float]:
    """Seconds by stage from the moments between them; stages that were not reached take none."""
    names = ("track", "align", "encode", "decode", "composite")
    spent = [*np.diff(times).tolist(), *[0.0] * len(names)]
    return dict(zip(names, spent, strict=False))
