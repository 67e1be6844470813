"""Which face belongs to which track."""

import numpy as np
import pytest

from aif.runtime.faces.detect import Detection
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.runtime.geometry.align import TEMPLATE_128
from aif.runtime.geometry.points import COUNT
from aif.runtime.tracking.matching import assign, eye_distance, is_face, match_costs, same_face

INF = np.inf


def face(x, y, eyes=36):
    return ((TEMPLATE_128 - 64) * eyes / 36 + (x, y)).astype(np.float32)


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        (np.zeros((0, 3)), []),
        ([[INF]], []),
        ([[0.5]], [(0, 0)]),
        ([[0.5, 0.2]], [(0, 1)]),
        ([[0.5], [0.2]], [(1, 0)]),
        ([[0.1, 1.0], [0.2, 1.5]], [(0, 0), (1, 1)]),
        ([[0.2, 1.0], [0.1, INF]], [(1, 0), (0, 1)]),
        ([[0.2, INF], [0.1, INF]], [(1, 0)]),
        ([[3, 1, 2], [1, 2, 3], [2, 3, 1.5]], [(0, 1), (1, 0), (2, 2)]),
    ],
)
def test_assign(costs, expected):
    assert assign(costs) == expected


@pytest.mark.parametrize("eyes", [7.5, 36, 200])
def test_eye_distance(eyes):
    assert eye_distance(face(50, 60, eyes)) == pytest.approx(eyes, rel=1e-4)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (face(17, 0), True),
        (face(30, 0), True),  # the boxes overlap by 66/126
        (face(60, 0), False),  # by 36/156
        (face(500, 0), False),
        (face(0, 0, 24), True),
        (face(0, 0, 9), False),
    ],
)
def test_same_face(other, same):
    assert same_face(face(0, 0), other) == same


@pytest.mark.parametrize(
    ("shift", "eyes", "reach", "cost"),
    [
        (0, 36, 0.5, 0.0),
        (18, 36, 0.5, 0.5 + 1 - 78 / 114),
        (36, 36, 0.5, 1 + 1 - 60 / 132),  # too far, but the boxes overlap
        (72, 36, 0.5, INF),
        (72, 36, 2.1, 2 + 1 - 24 / 168),
        (0, 80, 3, INF),  # more than twice as large
        (0, 17, 3, INF),
    ],
)
def test_match_costs(shift, eyes, reach, cost):
    faces = [Detection(box_from_landmarks(each), each, 0.9) for each in (face(shift, 0, eyes), face(900, 0))]
    result = match_costs([face(0, 0)], [reach], faces)
    assert result.shape == (1, 2)
    assert result[0, 0] == pytest.approx(cost, abs=1e-4)
    assert result[0, 1] == INF


@pytest.mark.parametrize(
    ("landmarks", "good"),
    [
        (face(0, 0), True),
        (np.zeros((5, 2)), False),
        (np.full((5, 2), np.nan), False),
        (np.zeros((4, 2)), False),
        (np.concatenate([face(0, 0)] * 45)[:COUNT], True),
        (np.concatenate([*[face(0, 0)] * 44, [[np.nan, 0]]]), False),
    ],
)
def test_is_face(landmarks, good):
    assert is_face(landmarks) == good
