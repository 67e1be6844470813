"""How good a landmark network is, used as the runtime uses it: boxes of a detector in, two passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aif.runtime.arrays import Float32Array
from aif.runtime.errors import DataError
from aif.runtime.faces.landmarks import LandmarkNet, box_from_landmarks, landmark_crop
from aif.runtime.geometry.points import INNER_LIP, LEFT_EYE, OUTER_LIP, RIGHT_EYE, five_points
from aif.train.data.base import CorruptImageError, FaceDataset
from aif.train.data.dense import DenseLandmarks
from aif.train.landmarks.crops import extend, no_face
from aif.train.landmarks.data import BoxJitter, shaken
from aif.train.landmarks.occluders import occlude

FRONTAL = 30.0
"""Largest yaw, in degrees, of faces called frontal here."""

UPRIGHT = BoxJitter(angle=np.deg2rad(10), scale=(0.8, 1.25), shift=0.1)
ROLLED = BoxJitter(angle=np.deg2rad(45), scale=(0.8, 1.25), shift=0.1)

_EXACT = np.r_[OUTER_LIP, INNER_LIP, LEFT_EYE, RIGHT_EYE]


@dataclass(frozen=True)
class LandmarkScore:
    """Held-out figures of a landmark network; errors in units of the distance between the eyes.

    Attributes:
        nme, nme_95: mean distance of all points from the labels; the 95th percentile over faces.
        frontal_exact: mean distance of lips and eyes, faces to 30 degrees of yaw; NaN where there are none.
        recall: share of faces with a confidence above one half.
        rejection: share of crops without a face with a confidence of at most one half.
        hidden: share of points that are rightly told as hidden or not, mean of both kinds; NaN without any.
    """

    nme: float
    nme_95: float
    frontal_exact: float
    recall: float
    rejection: float
    hidden: float


def score_landmarks(
    network: LandmarkNet,
    dataset: FaceDataset,
    dense: DenseLandmarks,
    count: int = 2000,
    *,
    jitter: BoxJitter = ROLLED,
) -> LandmarkScore:
    """Measure an exported network on the first `count` held-out faces with trusted landmarks, and on crops
    without.

    jitter: how a detector's box misses the face; its angle is how far the faces are turned.
    Raises DataError where there is no face that can be read.
    """
    rng = np.random.default_rng(0)
    errors: list[Float32Array] = []
    yaws, seen, rejected = [], [], []
    covered = np.zeros((2, 2))
    for index in np.flatnonzero(dense.sure)[:count]:
        try:
            image = np.ascontiguousarray(dataset.image(int(index))[:, :, ::-1])
        except CorruptImageError:
            continue
        canvas, offset = extend(image, rng, False)
        goal = dense.points[index] + offset
        box = box_from_landmarks(goal)
        # the frame is turned, so that the box is upright and the face in it is not
        turn = float(rng.uniform(-jitter.angle, jitter.angle))
        frame, matrix = landmark_crop(canvas, box, 256, turn)
        goal = (goal @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
        side = 256 / 1.5
        upright = np.array([128 - side / 2, 128 - side / 2, side, side], dtype=np.float32)
        found = network.refine_all(frame, [shaken(upright, jitter, rng)])
        five = five_points(goal)
        errors.append(np.linalg.norm(found.points[0] - goal, axis=1) / np.linalg.norm(five[1] - five[0]))
        yaws.append(float(abs(dense.pose[index, 0])))
        seen.append(float(found.confidence[0]) > 0.5)
        if len(seen) % 2:
            crop = no_face(image, box_from_landmarks(dense.points[index]), network.input_size, rng)
            rejected.append(float(network.run(crop[None]).confidence[0]) <= 0.5)
            hiding, hidden = occlude(frame, goal, rng)
            told = network.follow(hiding, [goal]).seen[0] < 0.5
            np.add.at(covered, (hidden.astype(int), (told == hidden).astype(int)), 1)
    if not errors:
        raise DataError(f"{dataset.name} has no face with trusted landmarks that can be read.")
    error = np.stack(errors)
    exact = error[np.array(yaws) <= FRONTAL][:, _EXACT]
    return LandmarkScore(
        nme=float(error.mean()),
        nme_95=float(np.percentile(error.mean(axis=1), 95)),
        frontal_exact=float(exact.mean()) if exact.size else float("nan"),
        recall=float(np.mean(seen)),
        rejection=float(np.mean(rejected)),
        hidden=float((covered[:, 1] / np.maximum(covered.sum(axis=1), 1)).mean()),
    )
