"""Which of the faces that were found are to be edited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from aif.runtime.errors import ConfigError, NoFaceError

if TYPE_CHECKING:
    from aif.runtime.faces.detection import Detection

FaceChoice = Literal["all", "largest"] | int

VISIBLE = (
    "Faces are missed, or left alone, where they are turned far away, hidden (a hand, a mask, dark glasses), "
    "blurred or narrower than about 20 pixels. Of the detectors YuNet finds the "
    "smallest (aif fetch yunet, once); docs/composition.md has more."
)
"""How to fix that no face was found."""


def choose_faces(detections: Sequence[Detection], faces: FaceChoice) -> list[Detection]:
    """The wanted ones of the faces, which come left to right.

    Raises:
        NoFaceError: there is no face, or none of that number.
        ConfigError: `faces` is none of these.
    """
    number = isinstance(faces, int) and not isinstance(faces, bool)
    if not (faces in ("all", "largest") or (number and int(faces) >= 0)):
        raise ConfigError(f"faces cannot be {faces!r}.", 'Known: "all", "largest", or a number from 0 on.')
    if not detections:
        raise NoFaceError("No face was found.", VISIBLE)
    if faces == "all":
        return list(detections)
    if faces == "largest":
        return [max(detections, key=lambda face: float(face.box_xywh[2] * face.box_xywh[3]))]
    if int(faces) >= len(detections):
        count = "is 1 face" if len(detections) == 1 else f"are {len(detections)} faces"
        raise NoFaceError(
            f"There is no face number {faces}: there {count}.",
            f"They are numbered 0 to {len(detections) - 1} from left to right.",
            len(detections),
        )
    return [detections[int(faces)]]


def left_to_right(detections: Sequence[Detection]) -> list[Detection]:
    """The faces by the middles of their boxes."""
    return sorted(detections, key=lambda face: float(face.box_xywh[0] + face.box_xywh[2] / 2))
