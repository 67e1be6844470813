"""What blur, noise, darkness, size or a turned head cost: finding, aligning and editing faces in bad photos.

The whole runtime is measured, detector and compositing included. Where the faces are is known from the photo
before it was disturbed; the evaluator looks at the crop that these landmarks give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import DataError
from aif.runtime.faces.detect import Detection, Detector, overlap
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.runtime.geometry.align import crop_face, transform_points
from aif.train.data.base import CorruptImageError, FaceDataset
from aif.train.evaluation.alignment import GOOD_ALIGNMENT, SAME_FACE, alignment_error
from aif.train.evaluation.counting import AttributeEvaluator, check_known
from aif.train.evaluation.disturbances import DISTURBANCES, Disturbance, turned_away
from aif.train.evaluation.report import markdown_table, percent
from aif.train.statistics import Share

EVALUATED_SIZE = 128
"""Side of the crops that the evaluator is shown, in pixels."""
HALF_PROFILE = 0.25
"""`turned_away` from which a face counts as a half profile."""
PROFILES = "half profiles"

_Outcome = tuple[bool, bool, bool, bool]


@dataclass(frozen=True)
class RobustnessScore:
    """One kind of photo.

    Attributes:
        name: the disturbance, or the kind of face.
        found: the detector found the face.
        aligned: it was found, and its crop lies within a tenth of the eye distance of the right one.
        success: the evaluator sees the wanted value after the edit; a face that is not found is a failure.
        unedited: the evaluator still sees the old value when nothing is edited: what the disturbance alone
            does to its prediction.
    """

    name: str
    found: Share
    aligned: Share
    success: Share
    unedited: Share


def measure_robustness(
    editor: Editor,
    dataset: FaceDataset,
    evaluator: AttributeEvaluator,
    reference: Detector,
    attribute: str,
    *,
    faces: int | None = None,
    disturbances: Sequence[Disturbance] = DISTURBANCES,
    seed: int = 0,
) -> tuple[RobustnessScore, ...]:
    """Edit one attribute in photos under each disturbance, to the value that the face has not.

    Args:
        editor: what is measured, with its own detector.
        dataset: photos with room around the face, whose labels include the attribute.
        evaluator: what counts successes.
        reference: says where the face is in the undisturbed photo; its largest face counts.
        attribute: what is edited.
        faces: how many photos of the dataset are looked at; None = all. Those without a face for the
            reference, or on which label and evaluator disagree, are left out.
        disturbances: what is done to the photos.
        seed: of noise and of the direction of turns.

    Returns:
        One score a disturbance, and one for undisturbed half profiles.

    Raises:
        UnknownAttributeError: editor, dataset or evaluator does not know the attribute.
        DataError: no photo is left.
    """
    labels = (dataset.attributes, f"the labels of {dataset.name}")
    evaluated = (evaluator.attributes, "the evaluator")
    check_known([attribute], (editor.attributes, "the bundle"), labels, evaluated)
    column = list(dataset.attributes).index(attribute)
    tallies: dict[str, list[_Outcome]] = {name: [] for name in (*(d.name for d in disturbances), PROFILES)}
    for index in range(len(dataset) if faces is None else min(faces, len(dataset))):
        try:
            photo = np.ascontiguousarray(dataset.image(index)[:, :, ::-1])
        except CorruptImageError:
            continue
        present = bool(dataset.labels[index, column])
        face = max(reference.detect(photo), key=lambda found: float(found.box_xywh[2]), default=None)
        if face is None or _seen(evaluator, attribute, photo, face.landmarks) != present:
            continue
        for number, each in enumerate(disturbances):
            rng = np.random.default_rng([seed, index, number])
            disturbed, matrix = each.change(photo, face.landmarks, rng)
            truth = transform_points(face.landmarks, matrix)
            outcome = _outcome(editor, evaluator, disturbed, truth, (attribute, not present))
            tallies[each.name].append(outcome)
            if number == 0 and turned_away(face.landmarks) >= HALF_PROFILE:
                tallies[PROFILES].append(outcome)
    if not any(tallies.values()):
        raise DataError(
            f"No photo of {dataset.name} shows a face on which label and evaluator agree.",
            "Photos need some room around the face; crops that are cut to it have none.",
        )
    columns = {name: np.array(found, dtype=bool).reshape(-1, 4).T for name, found in tallies.items()}
    return tuple(RobustnessScore(name, *map(Share.of, hits)) for name, hits in columns.items())


def _outcome(
    editor: Editor,
    evaluator: AttributeEvaluator,
    photo: UInt8Array,
    truth: Float32Array,
    wanted: tuple[str, bool],
) -> _Outcome:
    """Edit the face at `truth` in a photo: was it found, aligned, edited with success, and seen unedited?"""
    attribute, value = wanted
    mine = _nearest(editor.detect(photo), truth)
    unedited = _seen(evaluator, attribute, photo, truth) != value
    if mine is None:
        return False, False, False, unedited
    edited = editor.edit(photo, {attribute: float(value)}, detections=[mine]).image_hwc_bgr
    success = _seen(evaluator, attribute, edited, truth) == value
    return True, alignment_error(mine.landmarks, truth) <= GOOD_ALIGNMENT, success, unedited


def _nearest(detections: Sequence[Detection], truth: Float32Array) -> Detection | None:
    """The detection that is the face at `truth`, None where there is none."""
    box = box_from_landmarks(truth)
    best = max(detections, key=lambda d: overlap(box_from_landmarks(d.landmarks), box), default=None)
    return best if best and overlap(box_from_landmarks(best.landmarks), box) > SAME_FACE else None


def _seen(evaluator: AttributeEvaluator, attribute: str, photo: UInt8Array, landmarks: Float32Array) -> bool:
    rgb = np.ascontiguousarray(photo[:, :, ::-1])
    crop = crop_face(rgb, landmarks, EVALUATED_SIZE).transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    predicted = evaluator.predict(torch.from_numpy(np.ascontiguousarray(crop))[None])
    return bool(predicted[0, list(evaluator.attributes).index(attribute)] > 0.5)


def to_markdown(scores: Sequence[RobustnessScore]) -> str:
    """A table, one kind of photo a row."""
    return markdown_table(
        [
            {
                "photo": score.name,
                "n": score.found.n,
                "found": percent(score.found),
                "aligned": percent(score.aligned),
                "edit succeeds": percent(score.success),
                "evaluator agrees unedited": percent(score.unedited),
            }
            for score in scores
        ]
    )
