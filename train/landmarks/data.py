"""Training samples for the landmark network: box crops of faces, and of things that are no face.

The geometry is the runtime's own: a face's box is `box_from_landmarks` or `close_view`, disturbed as boxes of
detectors are, and the crop is `landmark_crop`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.errors import DataError
from aif.runtime.faces.landmarks import CLOSER, box_from_landmarks, close_view, landmark_crop
from aif.runtime.geometry.align import transform_points
from aif.runtime.geometry.points import COUNT, MIRROR
from aif.train.data.base import CorruptImageError, FaceDataset
from aif.train.data.dense import DenseLandmarks
from aif.train.evaluators.fitting import Samples
from aif.train.landmarks.crops import CLOSE, WIDE, degrade, extend, no_face
from aif.train.landmarks.occluders import occlude

log = logging.getLogger(__name__)

HIDDEN = 0.6
"""A face of which a larger share of points is covered is labelled as none."""


@dataclass(frozen=True)
class BoxJitter:
    """How far a box may be from the ideal one, each uniform (scale: its logarithm)."""

    angle: float
    """Largest turn in radians, either way."""
    scale: tuple[float, float]
    """Smallest and largest box side relative to the ideal one."""
    shift: float
    """Largest shift along x and y in units of the ideal box side."""


# First passes start from a detector's upright box, second passes from the landmarks of the first.
DETECTOR_BOX = BoxJitter(angle=math.radians(47), scale=(0.7, 1.45), shift=0.15)
REFINED_BOX = BoxJitter(angle=math.radians(8), scale=(0.88, 1.14), shift=0.05)


@dataclass(frozen=True)
class LandmarkSample:
    """One crop with what it shows: uint8 (S, S, 3) RGB; points float32 (221, 2) as fractions of its side;
    pose float32 (3,) yaw, pitch, roll in degrees, as seen in it; seen float32 (221,), 1 where nothing hides
    the point; whether a face is to be found; and whether points and pose may be trusted. Zeros and False
    where there is no face.
    """

    crop: UInt8Array
    points: Float32Array
    pose: Float32Array
    seen: Float32Array
    face: bool
    known: bool


@dataclass(frozen=True)
class LandmarkBatch:
    """N samples: images (N, 3, S, S), points (N, 221, 2), pose (N, 3), seen (N, 221), face float32 (N,) and
    known bool (N,).
    """

    images: torch.Tensor
    points: torch.Tensor
    pose: torch.Tensor
    seen: torch.Tensor
    face: torch.Tensor
    known: torch.Tensor


class LandmarkSamples(Samples[LandmarkSample, LandmarkBatch]):
    """Faces, and things that are none, as boxes show them.

    Args:
        dataset, dense: aligned faces, and their dense landmarks, row by row.
        size: side of the crops in pixels.
        negatives, close, occluded: share of samples without a face; of faces that are seen as in a second
            pass; and of those that something hides a part of.
        others: cut-outs of what detectors took for faces, see `train/landmarks/others.py`; may be empty.

    Raises DataError where the dataset is empty, or `dense` is of another length.
    """

    def __init__(
        self,
        dataset: FaceDataset,
        dense: DenseLandmarks,
        size: int,
        batch_size: int,
        seed: int,
        *,
        negatives: float = 0.2,
        close: float = 0.65,
        occluded: float = 0.3,
        others: Sequence[UInt8Array] = (),
    ) -> None:
        if len(dataset) == 0 or len(dataset) != len(dense.points):
            raise DataError(
                f"{dataset.name} has {len(dataset)} faces, but dense landmarks are of {len(dense.points)}.",
                "Use packed faces with a dense.npz beside them.",
            )
        super().__init__(batch_size, seed)
        self._dataset, self._dense, self._size, self._others = dataset, dense, size, others
        self._negatives, self._close, self._occluded = negatives, close, occluded

    def batch(self, samples: list[LandmarkSample]) -> LandmarkBatch:
        crops, points, pose, seen, face, known = (
            np.stack([getattr(sample, field.name) for sample in samples]) for field in fields(LandmarkSample)
        )
        images = np.ascontiguousarray(crops.transpose(0, 3, 1, 2))
        arrays = (images, points, pose, seen, face.astype(np.float32), known)
        return LandmarkBatch(*map(torch.from_numpy, arrays))

    def drawn(self, rng: np.random.Generator) -> LandmarkSample:
        if rng.random() < self._negatives:
            return self._without_face(rng)
        index, image = self._read(rng)
        points, pose = self._dense.points[index], self._dense.pose[index]
        if rng.random() < 0.5:
            points = points[MIRROR] * _row(-1, 1) + _row(image.shape[1] - 1, 0)
            pose = pose * _row(-1, 1, -1)
            image = np.ascontiguousarray(image[:, ::-1])
        box, angle = close_view(points)
        jitter, margin = REFINED_BOX, CLOSE
        if rng.random() >= self._close:
            jitter, margin = DETECTOR_BOX, WIDE
            box = np.concatenate([box[:2] - (1 / CLOSER - 1) / 2 * box[2:], box[2:] / np.float32(CLOSER)])
        angle += float(rng.uniform(-jitter.angle, jitter.angle))
        canvas, offset = image, np.zeros(2, dtype=np.float32)
        if rng.random() < 0.7:
            canvas, offset = extend(image, rng, True, margin=margin)
        box[:2] += offset
        crop, matrix = landmark_crop(canvas, shaken(box, jitter, rng), self._size, angle)
        points = transform_points(points + offset, matrix)
        hidden = np.zeros(COUNT, dtype=bool)
        if rng.random() < self._occluded:
            picture = len(self._others) and rng.random() < 0.7
            other = self._others[int(rng.integers(len(self._others)))] if picture else self._read(rng)[1]
            crop, hidden = occlude(crop, points, rng, other)
        crop = degrade(crop, rng)
        if hidden.mean() > HIDDEN:
            return self._nothing(crop)
        pose = pose - _row(0, 0, math.degrees(angle))
        sure = bool(self._dense.sure[index])
        seen = (~hidden).astype(np.float32)
        return LandmarkSample(crop, points / np.float32(self._size), pose, seen, True, sure)

    def _without_face(self, rng: np.random.Generator) -> LandmarkSample:
        if len(self._others) and rng.random() < 0.6:
            image = self._others[int(rng.integers(len(self._others)))]
            third = np.float32(image.shape[0] / 3)
            placed = shaken(np.array([third, third, third, third], np.float32), DETECTOR_BOX, rng)
            crop, _ = landmark_crop(image, placed, self._size, float(rng.uniform(-math.pi, math.pi)))
        else:
            index, image = self._read(rng)
            crop = no_face(image, box_from_landmarks(self._dense.points[index]), self._size, rng)
        return self._nothing(degrade(crop, rng))

    def _nothing(self, crop: UInt8Array) -> LandmarkSample:
        points, pose, seen = (np.zeros(shape, np.float32) for shape in ((COUNT, 2), 3, COUNT))
        return LandmarkSample(crop, points, pose, seen, False, False)

    def _read(self, rng: np.random.Generator) -> tuple[int, UInt8Array]:
        """An image that can be read, and which it is."""
        for _ in range(20):
            index = int(rng.integers(len(self._dataset)))
            try:
                return index, self._dataset.image(index)
            except CorruptImageError as error:
                log.warning("cannot read %s; another face takes its place", error)
        raise DataError(f"20 images of {self._dataset.name} in a row cannot be read.", "Check the files.")


def _row(*values: float) -> Float32Array:
    return np.array(values, dtype=np.float32)


def shaken(box: Float32Array, jitter: BoxJitter, rng: np.random.Generator) -> Float32Array:
    """A square box near `box` (left, top, width, height), of another size and place: float32 (4,)."""
    side = float(max(box[2:]))
    low, high = jitter.scale
    new = side * math.exp(rng.uniform(math.log(low), math.log(high)))
    centre = box[:2] + box[2:] / 2 + rng.uniform(-jitter.shift, jitter.shift, 2) * side
    return np.array([*(centre - new / 2), new, new], dtype=np.float32)
