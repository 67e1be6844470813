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


def found(landmarks):
    return Detection(box_from_landmarks(landmarks), landmarks, 0.9)


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        (np.zeros((0, 0)), []),
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
    before = np.array(costs, dtype=float)
    assert assign(before) == expected
    np.testing.assert_array_equal(before, np.array(costs, dtype=float))


@pytest.mark.parametrize("eyes", [7.5, 36, 200])
def test_eye_distance(eyes):
    assert eye_distance(face(50, 60, eyes)) == pytest.approx(eyes, rel=1e-4)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (face(0, 0), face(0, 0), True),
        (face(0, 0), face(17, 0), True),
        (face(0, 0), face(30, 0), True),  # the boxes overlap by 66/126
        (face(0, 0), face(60, 0), False),  # by 36/156
        (face(0, 0), face(500, 0), False),
        (face(0, 0), face(0, 0, 24), True),
        (face(0, 0), face(0, 0, 9), False),
    ],
)
def test_same_face(one, other, same):
    assert same_face(one, other) == same


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
    result = match_costs([face(0, 0)], [reach], [found(face(shift, 0, eyes)), found(face(900, 0))])
    assert result.shape == (1, 2)
    assert result[0, 0] == pytest.approx(cost, abs=1e-4)
    assert result[0, 1] == INF


@pytest.mark.parametrize(("tracks", "faces"), [(0, 0), (0, 2), (2, 0)])
def test_nothing_to_match(tracks, faces):
    costs = match_costs([face(0, 0)] * tracks, [1.0] * tracks, [found(face(0, 0))] * faces)
    assert costs.shape == (tracks, faces) and assign(costs) == []


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
