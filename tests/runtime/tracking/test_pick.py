"""Which faces of a stream are edited."""

import numpy as np
import pytest

from aif.runtime.errors import ConfigError
from aif.runtime.geometry.align import template
from aif.runtime.tracking.pick import FacePicker, pick
from aif.runtime.tracking.tracker import TrackedFace


def tracked(number, width, confidence=1.0):
    box = np.array([0, 0, width, width], dtype=np.float32)
    return TrackedFace(number, template(64), box, confidence, 0.0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("faces", "choice", "last", "expected"),
    [
        ([], "largest", None, None),
        ([], "largest", 4, None),
        ([], 0, 4, None),
        ([tracked(7, 50), tracked(3, 60)], "largest", None, 3),
        ([tracked(7, 50), tracked(3, 60)], "largest", 7, 7),  # not large enough to take over
        ([tracked(7, 50), tracked(3, 63)], "largest", 7, 3),
        ([tracked(7, 50), tracked(3, 60)], "largest", 9, 3),
        ([tracked(7, 50, 0), tracked(3, 40)], "largest", None, 3),  # out of sight
        ([tracked(7, 50, 0), tracked(3, 40)], "largest", 7, 7),  # until it has gone
        ([tracked(7, 50), tracked(3, 60)], 1, None, 3),
        ([tracked(7, 50), tracked(3, 60)], 2, None, None),
        ([tracked(7, 50), tracked(3, 60)], 0, 3, 3),
        ([tracked(7, 50, 0), tracked(3, 60)], 0, None, 3),
    ],
)
def test_pick(faces, choice, last, expected):
    assert pick(faces, choice, last) == expected


@pytest.mark.parametrize(
    ("choice", "fade_s", "expected"),
    [
        ("all", 0.2, [(0.5, 0.5)] * 4),
        (1, 0.2, [(0, 0.5)] * 4),
        (5, 0.2, [(0, 0)] * 4),
        # The left one becomes the larger at 0.1 s.
        ("largest", 0.2, [(0, 0.5), (0.25, 0.25), (0.5, 0), (0.5, 0)]),
        ("largest", 0, [(0, 0.5), (0.5, 0), (0.5, 0), (0.5, 0)]),
    ],
)
def test_weights(choice, fade_s, expected):
    picker = FacePicker(choice, fade_s)
    for i, weights in enumerate(expected):
        faces = picker([tracked(7, 50 if i == 0 else 90), tracked(3, 60)], i / 10)
        assert [face.weight for face in faces] == pytest.approx(list(weights))
    assert picker([], 9.0) == ()


@pytest.mark.parametrize("choice", ["first", -1, True, None, 0.5])
def test_no_such_choice(choice):
    with pytest.raises(ConfigError, match="faces cannot be"):
        FacePicker(choice, 0.2)
