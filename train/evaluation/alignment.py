"""How well a detector finds and aligns faces, against the points of a reference detector."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import UInt8Array
from aif.runtime.faces.detect import Detection, Detector, overlap
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.runtime.geometry.align import similarity_transform, template, transform_points
from aif.train.statistics import Share

# A detection belongs to a reference face when the boxes around their landmarks overlap more than this.
SAME_FACE = 0.3

# Alignments that move the template's points by at most this fraction of the eye distance are good.
GOOD_ALIGNMENT = 0.1


@dataclass(frozen=True)
class AlignmentScore:
    """What a detector did with the faces that the reference detector sees.

    Attributes:
        found: reference faces that the detector found.
        nme: mean distance of the five points from the reference's, in units of its eye distance, over the
            faces found; NaN when none was.
        nme_median: the median over these faces.
        aligned: reference faces whose face crop lies within a tenth of the eye distance of the crop that the
            reference's points give (root mean square over the template's points); faces not found count as
            misses.
        false_faces: detections that are no reference face, over all images.
        images: how many images were looked at.
    """

    found: Share
    nme: float
    nme_median: float
    aligned: Share
    false_faces: int
    images: int


def measure_alignment(
    detectors: Mapping[str, Detector],
    reference: Detector,
    frames: Iterable[UInt8Array],
    *,
    largest_only: bool = False,
) -> dict[str, AlignmentScore]:
    """Run detectors on frames and compare them with a reference.

    Args:
        detectors: what is measured, by name.
        reference: says where the faces and their points are.
        frames: uint8 (H, W, 3) BGR; each is looked at once.
        largest_only: judge the reference's largest face alone, for images that are portraits of one person.
            Other faces are then neither misses nor false.
    """
    errors: dict[str, list[tuple[float, float] | None]] = {name: [] for name in detectors}
    false_faces = dict.fromkeys(detectors, 0)
    images = 0
    for frame in frames:
        images += 1
        faces = sorted(reference.detect(frame), key=lambda face: -float(face.box_xywh[2] * face.box_xywh[3]))
        judged = faces[:1] if largest_only else faces
        for name, detector in detectors.items():
            detections = detector.detect(frame)
            errors[name] += [_errors(face, detections) for face in judged]
            false_faces[name] += sum(all(_match(face, d) <= SAME_FACE for face in faces) for d in detections)
    return {
        name: _score(values, false_faces=false_faces[name], images=images) for name, values in errors.items()
    }


def alignment_error(landmarks: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Root mean square distance, in eye distances, between the template's points and where they end up.

    They are taken from the reference's face crop to the frame, and from there to the crop that `landmarks`
    give. 0 when both cut the same crop.
    """
    goal = template(128)
    back = cv2.invertAffineTransform(similarity_transform(reference, 128).astype(np.float64))
    moved = transform_points(transform_points(goal, back), similarity_transform(landmarks, 128))
    rms = float(np.sqrt(np.square(moved - goal).sum(axis=1).mean()))
    return rms / float(np.linalg.norm(goal[1] - goal[0]))


def _match(face: Detection, other: Detection) -> float:
    return overlap(box_from_landmarks(face.landmarks), box_from_landmarks(other.landmarks))


def _errors(face: Detection, detections: list[Detection]) -> tuple[float, float] | None:
    """(mean point distance, alignment error) of the detection that is this face, None where none is."""
    best = max(detections, key=lambda d: _match(face, d), default=None)
    if best is None or _match(face, best) <= SAME_FACE:
        return None
    eyes = float(np.linalg.norm(face.landmarks[1] - face.landmarks[0]))
    distance = float(np.linalg.norm(best.landmarks - face.landmarks, axis=1).mean())
    return distance / max(eyes, 1e-6), alignment_error(best.landmarks, face.landmarks)


def _score(values: list[tuple[float, float] | None], *, false_faces: int, images: int) -> AlignmentScore:
    hits = [value for value in values if value is not None]
    distances = np.array([distance for distance, _ in hits]) if hits else np.array([np.nan])
    return AlignmentScore(
        found=Share(len(hits), len(values)),
        nme=float(distances.mean()),
        nme_median=float(np.median(distances)),
        aligned=Share(sum(error <= GOOD_ALIGNMENT for _, error in hits), len(values)),
        false_faces=false_faces,
        images=images,
    )
