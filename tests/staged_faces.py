"""A detector and a landmark network in one, which see the faces that a test puts there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from made_up_face import face_points

from aif.runtime.faces.detect import Detection
from aif.runtime.faces.landmarks import DenseFaces, box_from_landmarks
from aif.runtime.geometry.align import TEMPLATE_128
from aif.runtime.geometry.points import (
    COUNT,
    LEFT_EYE,
    LEFT_MOUTH,
    NOSE_TIP,
    RIGHT_EYE,
    RIGHT_MOUTH,
    five_points,
)

Array = npt.NDArray[Any]


def face(x: float, y: float, eyes: float = 36.0, narrow: float = 1.0) -> Array:
    """Five landmarks around (x, y), the eyes so far apart; `narrow` below 1 squeezes them as in a profile."""
    return ((TEMPLATE_128 - (64, 82)) * (narrow, 1) * eyes / 36 + (x, y)).astype(np.float32)


_SHAPE = np.concatenate([face_points(), np.ones((COUNT, 1))], axis=1)
# The affine map of the made-up face onto five landmarks, of least squares, in one product.
_FROM_FIVE = _SHAPE @ np.linalg.pinv(np.concatenate([five_points(_SHAPE[:, :2]), np.ones((5, 1))], axis=1))


def dense(five: Array) -> Array:
    """The made-up face with these five landmarks: float32 (221, 2)."""
    points = _FROM_FIVE @ five
    for place, where in zip((LEFT_EYE, RIGHT_EYE), five[:2], strict=True):
        points[place] += where - points[place].mean(axis=0)
    points[[NOSE_TIP, LEFT_MOUTH, RIGHT_MOUTH]] = five[2:]
    return points.astype(np.float32)


class Finds:
    """A detector that has found these faces already."""

    def __init__(self, *faces: Detection) -> None:
        self.faces = list(faces)

    def detect(self, frame_hwc_bgr: Array) -> list[Detection]:
        return self.faces


class Nobody:
    """A detector that must not be needed."""

    def detect(self, frame_hwc_bgr: Array) -> list[Detection]:
        raise AssertionError("the faces are known")


class Staged:
    """Sees `faces`, five landmarks each, turned by `yaw` degrees; the foremost first.

    The network finds the nearest face within half a box width; where there is none, it says so with the
    probability `doubt`.

    Attributes:
        detections: how often the detector has looked.
        seen: the probability that nothing hides a point, of all.
    """

    def __init__(self, *faces: Array, yaw: float = 0.0, doubt: float = 0.0) -> None:
        self.faces, self.yaw, self.doubt = list(faces), yaw, doubt
        self.detections = 0
        self.seen = 1.0

    def detect(self, frame: Array) -> list[Detection]:
        self.detections += 1
        return [Detection(box_from_landmarks(each), each, 0.9) for each in self.faces]

    def refine_all(self, frame: Array, boxes: Sequence[npt.ArrayLike]) -> DenseFaces:
        found = DenseFaces.none(len(boxes))
        for k, box in enumerate(boxes):
            x, y, width, height = np.asarray(box, dtype=np.float64)
            centre = np.array([x + width / 2, y + height / 2])
            away = [float(np.abs(each.mean(axis=0) - centre).max()) for each in self.faces]
            seen = bool(away) and min(away) < width / 2
            found.points[k] = dense(self.faces[int(np.argmin(away))] if seen else face(*centre))
            found.confidence[k], found.pose[k, 0] = 0.9 if seen else self.doubt, self.yaw
        found.seen[:] = self.seen
        return found

    def follow(self, frame: Array, places: Sequence[npt.ArrayLike]) -> DenseFaces:
        return self.refine_all(frame, [box_from_landmarks(each) for each in places])


class Stage(Staged):
    """Sees the faces of a script; the frame's first pixel tells its number.

    Attributes:
        detections: numbers of the frames at which the detector has looked.
    """

    def __init__(self, script, noise=0.0, doubt=0.01, turn=None):
        super().__init__(doubt=doubt)
        self.script, self.noise, self.turn = script, noise, turn
        self.detections: list[int] = []
        self.rng = np.random.default_rng(0)

    def detect(self, frame):
        self.detections.append(number_of(frame))
        return [Detection(box_from_landmarks(each), each, 0.8) for each in self.script(number_of(frame))]

    def refine_all(self, frame, boxes):
        self.faces = self.script(number_of(frame))
        self.yaw = self.turn(number_of(frame)) if self.turn else 0.0
        found = super().refine_all(frame, boxes)
        found.points[:] += self.rng.normal(0, self.noise, found.points.shape)
        return found


def number_of(frame):
    return int(frame[0, 0, 0]) + 256 * int(frame[0, 0, 1])


def frame_of(number, background=128):
    """No two frames on end are alike, as they are not with a camera."""
    frame = np.zeros((240, 320, 3), dtype=np.uint8)
    frame[:] = np.minimum(background, 253) + number % 2 * 2
    frame[0, 0] = number % 256, number // 256, 0
    return frame
