"""What is remembered of the faces of a stream: what the encoder says of each, and what its edit changes.

An edit changes slowly, the face moves fast. Where a model's changes last (`EditPath.lasting`), the networks
run at first sight, for other edits, when expression or pose has changed, and every so often; in between, what
they said is applied to the face as it moves. It is averaged over time, and what shows glides.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.editing.edit_path import EditPath, FaceView
from aif.runtime.editing.values import decode_values
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.align import transform_points
from aif.runtime.model.model import Encoding
from aif.runtime.tracking.one_euro import point_rms
from aif.runtime.tracking.track import TrackedFace

C = TypeVar("C")

# Seconds after which the networks look at a face again in any case.
RENEW_S = 0.2

# How far landmarks have to move within their own aligned crop to be news: root mean square of all, or of the
# lips, in units of the crop's side. People who talk and turn reach it every third to tenth frame at most, so
# that with `RENEW_S` the networks run in 17 to 23 of 100 frames.
NEWS = 0.008

# Time constant in seconds of the average of z. It takes a fifth of the flicker away; a lag of a frame does
# not show. Not for models with further tensors from encoder to decoder: these belong to their frame's own z.
CODE_SETTLE_S = 0.05

# A change of which less than this is still to come is there.
ARRIVED = 0.01


@dataclass(frozen=True)
class FaceUpdate(Generic[C]):
    """What a frame's faces are edited with: the change and the averaged attribute values (float32 (N, A)) of
    each, the numbers of those that the networks have looked at, and seconds spent.
    """

    changes: list[C]
    y: Float32Array
    renewed: tuple[int, ...]
    encode_s: float
    decode_s: float


@dataclass
class _Known(Generic[C]):
    """One face: what was averaged when, for which edits, and what is on the way (`left`, 0 to 1) to the
    newest change.
    """

    time_s: float
    z: Float32Array
    y: Float32Array
    columns: Mapping[int, float]
    expression: Float32Array | None
    goal: C
    shown: C
    left: float = 0.0


class FaceMemory:
    """The faces of one stream. Not for several threads at once."""

    def __init__(self, settle_s: float) -> None:
        """`settle_s`: time constant in seconds of the average of y, and of the way to a change."""
        self._settle_s = settle_s
        self._known: dict[int, _Known[Any]] = {}
        self._time_s = 0.0

    def keep(self, numbers: Sequence[int]) -> None:
        """Forget all faces but these: one that is out of sight, or cut away, starts afresh."""
        self._known = {number: self._known[number] for number in numbers if number in self._known}

    def update(
        self,
        path: EditPath[C],
        frame_hwc_bgr: UInt8Array,
        faces: Sequence[TrackedFace],
        views: Sequence[FaceView],
        columns: Mapping[int, float],
        time_s: float,
    ) -> FaceUpdate[C]:
        """What to edit the faces (at least one) of the next frame with; `columns`: wanted values by columns
        of y.
        """
        start = time.perf_counter()
        step_s, self._time_s = time_s - self._time_s, time_s
        due = self._due(path, faces, views, columns, step_s)
        encoded_s = time.perf_counter()
        if due:
            encoded = path.encode(path.cut(frame_hwc_bgr, [views[k] for k in due]))
            encoding, source = self._averaged(path, [faces[k] for k in due], encoded.encoding, time_s)
            encoded_s = time.perf_counter()
            _, target = decode_values(source, columns, path.model.manifest.attributes, "predicted")
            changes = path.change(dataclasses.replace(encoded, encoding=encoding), source, target)
            for row, k in enumerate(due):
                said = (encoding.z[row], source[row], columns, expression(views[k]))
                self._learn(path, faces[k], _Known(time_s, *said, changes[row], changes[row]))
        for face in faces:
            self._glide(path, face, share(step_s, self._settle_s))
        known = [self._known[face.id] for face in faces]
        return FaceUpdate(
            [each.shown for each in known],
            np.stack([each.y for each in known]),
            tuple(faces[k].id for k in due),
            encoded_s - start,
            time.perf_counter() - encoded_s,
        )

    def _due(
        self,
        path: EditPath[C],
        faces: Sequence[TrackedFace],
        views: Sequence[FaceView],
        columns: Mapping[int, float],
        step_s: float,
    ) -> list[int]:
        """Places of the faces to look at: those that cannot wait, and the most urgent of the others."""
        if not path.lasting:
            return list(range(len(faces)))
        now, urgent = [], []
        for k, (face, view) in enumerate(zip(faces, views, strict=True)):
            known = self._known.get(face.id)
            if known is None or known.columns != columns:
                now.append(k)
            elif face.confidence > 0 and not face.repeated:
                age = (self._time_s - known.time_s) / RENEW_S
                need = max(age, news(known.expression, expression(view)) / NEWS)
                if need >= 1 - 1e-6:
                    urgent.append((-need, k))
        room = max(1, math.ceil(len(faces) * step_s / RENEW_S - 1e-6))
        return sorted([*now, *(k for _, k in sorted(urgent)[:room])])

    def _averaged(
        self, path: EditPath[C], faces: Sequence[TrackedFace], encoding: Encoding, time_s: float
    ) -> tuple[Encoding, Float32Array]:
        """The encoding with z, and the attribute values to decode with, averaged over time by face."""
        manifest = path.model.manifest
        z, (y, _) = (
            encoding.z.copy(),
            decode_values(encoding.y, {}, manifest.attributes, manifest.source_values),
        )
        for row, face in enumerate(faces):
            if (known := self._known.get(face.id)) is None:
                continue
            step_s = time_s - known.time_s
            # Where a picture is shown twice, nothing of an edit goes on moving.
            new_y, new_z = (
                0.0 if face.repeated else share(step_s, over_s) for over_s in (self._settle_s, CODE_SETTLE_S)
            )
            y[row] = known.y + new_y * (y[row] - known.y)
            if not manifest.features:
                z[row] = known.z + new_z * (z[row] - known.z)
        return encoding if manifest.features else dataclasses.replace(encoding, z=z), y

    def _learn(self, path: EditPath[C], face: TrackedFace, new: _Known[C]) -> None:
        """Take in what the networks said of a face."""
        known = self._known.get(face.id)
        if known is not None:
            if face.repeated:
                new.time_s = known.time_s
            if path.lasting and known.columns == new.columns:
                new.shown, new.left = known.shown, 1.0
        self._known[face.id] = new

    def _glide(self, path: EditPath[C], face: TrackedFace, part: float) -> None:
        """Bring what shows of a face nearer to the newest change, by a part of the way."""
        known = self._known[face.id]
        if face.repeated or not known.left:
            return
        known.left *= 1 - part
        if known.left < ARRIVED:
            known.shown, known.left = known.goal, 0.0
        else:
            known.shown = path.between(known.shown, known.goal, part)


def expression(view: FaceView) -> Float32Array | None:
    """The dense landmarks (221, 2) in their own crop, in units of its side; None without."""
    if view.points is None:
        return None
    return transform_points(view.points, view.matrix) / np.float32(view.size)


def news(old: Float32Array | None, new: Float32Array | None) -> float:
    """How far an expression is from another: root mean square of all landmarks or of the lips, the larger."""
    if old is None or new is None:
        return 0.0
    moved = new - old
    return max(point_rms(moved), point_rms(moved[dense.OUTER_LIP.start : dense.INNER_LIP.stop]))


def share(step_s: float, settle_s: float) -> float:
    """The newest value's share in an average of time constant `settle_s`, `step_s` after the last one."""
    return -math.expm1(-step_s / settle_s) if settle_s else 1.0
