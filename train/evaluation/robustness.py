"""What blur, noise, darkness, size or a turned head cost: finding, aligning and editing faces in bad photos.

The whole runtime is measured, detector and compositing included. Where the faces are is known from the photo
before it was disturbed; the evaluator looks at the crop that these landmarks give.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import torch

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import DataError, UnknownAttributeError
from aif.runtime.faces.detect import Detection, Detector, overlap
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.runtime.geometry.align import crop_face, transform_points
from aif.train.data.base import CorruptImageError, FaceDataset
from aif.train.evaluation.alignment import GOOD_ALIGNMENT, SAME_FACE, alignment_error
from aif.train.evaluation.composed import AttributeEvaluator
from aif.train.evaluation.disturbances import DISTURBANCES, Disturbance, turned_away
from aif.train.statistics import Share

EVALUATED_SIZE = 128
"""Side of the crops that the evaluator is shown, in pixels."""
HALF_PROFILE = 0.25
"""`turned_away` from which a face counts as a half profile."""


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


@dataclass
class _Tally:
    found: list[bool] = field(default_factory=list)
    aligned: list[bool] = field(default_factory=list)
    success: list[bool] = field(default_factory=list)
    unedited: list[bool] = field(default_factory=list)

    def score(self, name: str) -> RobustnessScore:
        shares = (Share.of(hits) for hits in (self.found, self.aligned, self.success, self.unedited))
        return RobustnessScore(name, *shares)


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
    for known, where in (
        (editor.attributes, "the bundle"),
        (dataset.attributes, f"the labels of {dataset.name}"),
        (evaluator.attributes, "the evaluator"),
    ):
        if attribute not in known:
            raise UnknownAttributeError(attribute, known, where)
    column = list(dataset.attributes).index(attribute)
    tallies: dict[str, _Tally] = {each.name: _Tally() for each in disturbances}
    profiles = _Tally()
    for index in range(len(dataset) if faces is None else min(faces, len(dataset))):
        try:
            photo = np.ascontiguousarray(dataset.image(index)[:, :, ::-1])
        except CorruptImageError:
            continue
        present = bool(dataset.labels[index, column])
        face = max(reference.detect(photo), key=lambda found: float(found.box_xywh[2]), default=None)
        if face is None or _seen(evaluator, attribute, photo, face.landmarks) != present:
            continue
        wanted = {attribute: 0.0 if present else 1.0}
        for number, each in enumerate(disturbances):
            rng = np.random.default_rng([seed, index, number])
            disturbed, matrix = each.change(photo, face.landmarks, rng)
            truth = transform_points(face.landmarks, matrix)
            counted = [tallies[each.name]]
            if number == 0 and turned_away(face.landmarks) >= HALF_PROFILE:
                counted.append(profiles)
            _edit_and_count(editor, evaluator, disturbed, truth, wanted, counted)
    if not any(tally.found for tally in tallies.values()):
        raise DataError(
            f"No photo of {dataset.name} shows a face on which label and evaluator agree.",
            "Photos need some room around the face; crops that are cut to it have none.",
        )
    return (*(tally.score(name) for name, tally in tallies.items()), profiles.score("half profiles"))


def _edit_and_count(
    editor: Editor,
    evaluator: AttributeEvaluator,
    photo: UInt8Array,
    truth: Float32Array,
    wanted: dict[str, float],
    tallies: Sequence[_Tally],
) -> None:
    """Edit the face at `truth` in a photo, and count what came of it."""
    ((attribute, value),) = wanted.items()
    mine = _nearest(editor.detect(photo), truth)
    edited = photo if mine is None else editor.edit(photo, wanted, detections=[mine]).image_hwc_bgr
    success = mine is not None and _seen(evaluator, attribute, edited, truth) == (value > 0.5)
    aligned = mine is not None and alignment_error(mine.landmarks, truth) <= GOOD_ALIGNMENT
    unedited = _seen(evaluator, attribute, photo, truth) != (value > 0.5)
    for tally in tallies:
        tally.found.append(mine is not None)
        tally.aligned.append(aligned)
        tally.success.append(success)
        tally.unedited.append(unedited)


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
    lines = [
        "| photo | n | found | aligned | edit succeeds | evaluator agrees unedited |",
        "|---|---|---|---|---|---|",
    ]
    for score in scores:
        cells = " | ".join(
            _cell(share) for share in (score.found, score.aligned, score.success, score.unedited)
        )
        lines.append(f"| {score.name} | {score.found.n} | {cells} |")
    return "\n".join(lines) + "\n"


def to_json(scores: Sequence[RobustnessScore]) -> str:
    """Counts of every score."""
    return json.dumps([asdict(score) for score in scores], indent=1) + "\n"


def _cell(share: Share) -> str:
    if not share.n:
        return "none"
    low, high = share.interval
    return f"{100 * share.rate:.1f}% [{100 * low:.1f}, {100 * high:.1f}]"
