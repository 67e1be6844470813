"""How near two sets of landmarks are, and which detected face belongs to which track."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float64Array
from aif.runtime.faces.detection import SAME_FACE, Detection, overlap
from aif.runtime.faces.landmarks import TEMPLATE_BOX_SIDE, box_from_landmarks
from aif.runtime.geometry.align import TEMPLATE_128
from aif.runtime.tracking.one_euro import point_rms

# Points nearer to each other than this, in eye distances, belong to one face.
TWIN = 0.5

# The distance of the eyes as a share of the side of `box_from_landmarks`.
EYES_IN_BOX = float(TEMPLATE_128[1, 0] - TEMPLATE_128[0, 0]) / TEMPLATE_BOX_SIDE


def match_costs(
    places: Sequence[npt.ArrayLike], reach: Sequence[float], faces: Sequence[Detection]
) -> Float64Array:
    """How badly each detected face fits each track: float64 (tracks, faces), inf where it cannot be.

    The cost is the landmarks' distance in eye distances, plus 1 less the boxes' overlap. `places` are five
    landmarks of each track, `reach` the eye distances within which it may take a face.
    """
    costs = np.full((len(places), len(faces)), np.inf)
    for row, (place, most) in enumerate(zip(places, reach, strict=True)):
        for column, face in enumerate(faces):
            distance = landmark_distance(face.landmarks, place)
            ratio = eye_distance(face.landmarks) / eye_distance(place)
            common = overlap(box_from_landmarks(place), box_from_landmarks(face.landmarks))
            if (distance <= most or common > SAME_FACE) and 0.5 < ratio < 2:
                costs[row, column] = distance + 1 - common
    return costs


def assign(costs: npt.ArrayLike) -> list[tuple[int, int]]:
    """Pairs (row, column), each row and column at most once, the cheapest first; inf is no pair.

    Greedy: faces do not lie on top of each other, so that the nearest belongs to the nearest.
    """
    table = np.array(costs, dtype=np.float64)
    pairs = []
    while table.size and np.isfinite(table).any():
        row, column = (int(i) for i in np.unravel_index(int(np.argmin(table)), table.shape))
        pairs.append((row, column))
        table[row, :] = table[:, column] = np.inf
    return pairs


def eye_distance(landmarks: npt.ArrayLike) -> float:
    """The distance of the eyes of a frontal face of this size in pixels, from all five landmarks."""
    return float(box_from_landmarks(landmarks)[2]) * EYES_IN_BOX


def landmark_distance(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    """Root mean square distance of two faces' landmarks, as many of both, in eye distances of the first."""
    return point_rms(np.asarray(one, dtype=np.float64) - np.asarray(other)) / eye_distance(one)


def same_face(one: npt.ArrayLike, other: npt.ArrayLike) -> bool:
    """Whether two sets of landmarks lie on one face."""
    boxes = box_from_landmarks(one), box_from_landmarks(other)
    return landmark_distance(one, other) <= TWIN or overlap(*boxes) > SAME_FACE


def is_face(landmarks: npt.ArrayLike) -> bool:
    """Whether landmarks, five or dense ones, are finite and have a box."""
    try:
        return bool(np.isfinite(landmarks).all() and np.isfinite(box_from_landmarks(landmarks)).all())
    except ValueError:
        return False
