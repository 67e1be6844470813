"""Pictures and where the faces in them are, for the face detector to learn from."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import DataError
from aif.runtime.faces.detect import make_detector
from aif.runtime.faces.landmarks import box_from_landmarks, landmark_angle
from aif.train.data.base import CorruptImageError, FaceDataset
from aif.train.data.dense import DenseLandmarks
from aif.train.landmarks.others import pictures_in

log = logging.getLogger(__name__)

LONGEST = 480
"""Longer side in pixels to which pictures are shrunk."""


@dataclass(frozen=True)
class Scene:
    """A picture, uint8 (H, W, 3) RGB, and its faces, float32 (K, 4): x and y of the centre and the side of
    `box_from_landmarks`, in pixels, and how far each is turned clockwise, in radians."""

    image: UInt8Array
    faces: Float32Array


NO_FACES: Float32Array = np.zeros((0, 4), np.float32)


def face_of(landmarks: Float32Array) -> Float32Array:
    """Row of `Scene.faces` for a face's landmarks, (5, 2) or (221, 2)."""
    left, top, side, _ = box_from_landmarks(landmarks)
    return np.array([left + side / 2, top + side / 2, side, landmark_angle(landmarks)], dtype=np.float32)


def aligned_faces(dataset: FaceDataset, dense: DenseLandmarks, most: int, seed: int) -> list[Scene]:
    """At most so many aligned faces, decoded, with what their landmarks say. Raises DataError without any."""
    scenes = []
    for index in np.random.default_rng(seed).permutation(len(dataset))[:most].tolist():
        try:
            scenes.append(Scene(dataset.image(index), face_of(dense.points[index])[None]))
        except CorruptImageError as error:
            log.warning("cannot read %s; it is left out", error)
    if not scenes:
        raise DataError(f"{dataset.name} has no face that can be read.", "Use packed faces.")
    return scenes


def pictures_without(folder: Path) -> list[UInt8Array]:
    """The pictures in `folder`, none of which shows a face; errors as `pictures_in`."""
    return list(pictures_in(folder, LONGEST))


def pictures_with(folder: Path) -> list[Scene]:
    """The pictures in `folder` in which the detector that is at hand finds a face, with all that it finds.

    YuNet's file, where it is there, proposes; the embedded landmark network finds place and turn. Errors as
    `pictures_in`.
    """
    teacher = make_detector("auto", Bundle.open(), threads=1)
    scenes = []
    for image in pictures_in(folder, LONGEST):
        found = teacher.detect(np.ascontiguousarray(image[..., ::-1]))
        if found:
            scenes.append(Scene(image, np.stack([face_of(each.landmarks) for each in found])))
    return scenes
