"""Which faces of a stream are edited, and the gentle change from one to another."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Sequence

from aif.runtime.errors import NoFaceError
from aif.runtime.faces.choice import FaceChoice, choose_faces
from aif.runtime.tracking.track import TrackedFace

# With "largest" another face takes over once it is wider by this factor.
TAKE_OVER = 1.25


class FacePicker:
    """The choice of faces of one stream. Not for several threads at once."""

    def __init__(self, choice: FaceChoice, fade_s: float) -> None:
        """Begin a stream; ConfigError where there is no such choice.

        Args:
            choice: "all"; "largest", which changes over only to a clearly larger face; or a number from the
                left, from 0 on: whoever has that place at first is chosen until it has gone.
            fade_s: seconds from one face to another; 0 = at once.
        """
        with contextlib.suppress(NoFaceError):
            choose_faces([], choice)
        self._choice, self._fade_s = choice, fade_s
        # To what degree each face was chosen in the last frame, 0 to 1, and when that was.
        self._shares: dict[int, float] = {}
        self._time_s = -math.inf
        self._picked: int | None = None

    def __call__(self, faces: Sequence[TrackedFace], time_s: float) -> tuple[TrackedFace, ...]:
        """The faces of the next frame, with weights that say how strongly each is to be edited."""
        if self._choice != "all":
            self._picked = pick(faces, self._choice, self._picked)
        most = max(0.0, time_s - self._time_s) / self._fade_s if self._fade_s else 1.0
        shares = {}
        for face in faces:
            aim = float(self._choice == "all" or face.id == self._picked)
            share = self._shares.get(face.id, aim)
            shares[face.id] = share + min(max(aim - share, -most), most)
        self._shares, self._time_s = shares, time_s  # and so a face that was cut away starts afresh
        return tuple(
            dataclasses.replace(
                face, weight=face.weight * shares[face.id], hair_weight=face.hair_weight * shares[face.id]
            )
            for face in faces
        )


def pick(faces: Sequence[TrackedFace], choice: FaceChoice, last: int | None) -> int | None:
    """The number of the one face to edit, the last one where it can be; None while there is none."""
    widths = {face.id: float(face.box[2]) for face in faces if face.confidence > 0 or face.id == last}
    if choice == "largest":
        largest = max(widths, key=lambda number: widths[number], default=None)
        if largest is not None and last in widths and widths[largest] < TAKE_OVER * widths[last]:
            return last
        return largest
    if last in widths:
        return last
    return list(widths)[int(choice)] if int(choice) < len(widths) else None
