"""How far a face crop lies from the one that a reference's landmarks give."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.geometry.align import similarity_transform, template, transform_points

SAME_FACE = 0.3
"""A detection is a reference face when the boxes around their landmarks overlap more than this."""

GOOD_ALIGNMENT = 0.1
"""Alignments that move the template's points by at most this fraction of the eye distance are good."""


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
