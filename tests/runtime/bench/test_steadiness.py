"""Steadiness: figures worked out by hand, and what they say of shaking, popping and dropping out."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from staged_faces import Staged

from aif.runtime import Editor
from aif.runtime.bench.steadiness import FrameByFrame, measure_steadiness
from aif.runtime.errors import DataError
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.runtime.geometry.align import TEMPLATE_128
from aif.runtime.geometry.points import COUNT, LEFT_EYE, LEFT_MOUTH, NOSE_TIP, RIGHT_EYE, RIGHT_MOUTH
from aif.runtime.tracking.tracker import TrackedFace
from aif.runtime.video.editor import VideoFrameResult

FIVE = (LEFT_EYE, RIGHT_EYE, NOSE_TIP, LEFT_MOUTH, RIGHT_MOUTH)
PLAIN = np.full((200, 200, 3), 100, dtype=np.uint8)


def points(x, y=100, eyes=20):
    return ((TEMPLATE_128 - (64, 74)) * eyes / 36 + (x, y)).astype(np.float32)


class Scripted:
    """Gives frame after frame what a script says: face landmarks by number, and the edit's brightness."""

    def __init__(self, script):
        self.script, self.count = script, 0

    def process(self, frame_hwc_bgr, time_s):
        found, brightness = self.script(self.count)
        self.count += 1
        faces = [TrackedFace(k, p, box_from_landmarks(p), 1.0, 0.0, 1.0, 1.0) for k, p in found.items()]
        looked = tuple(found) if self.count % 3 == 1 else ()  # the networks run in every third frame
        return VideoFrameResult(frame_hwc_bgr + np.uint8(brightness), tuple(faces), renewed=looked)


def measured(script, times):
    return measure_steadiness([(PLAIN, t) for t in times], Scripted(script))


EVEN = [i / 10 for i in range(6)]


@pytest.mark.parametrize(
    ("script", "times", "acceleration", "change", "worst"),
    [
        (lambda i: ({0: points(100)}, 10 * (i % 2)), EVEN, 0, 10, 10),
        (lambda i: ({0: points(100)}, 30 * (i == 5)), EVEN, 0, 6, 30),
        (lambda i: ({0: points(60 + 4 * i)}, 0), EVEN, 0, 0, 0),  # steady motion
        # x = 60 + 5 i^2 px at 10 frames/s: 1000 px/s^2, 50 eye distances.
        (lambda i: ({0: points(60 + 5 * i * i)}, 0), EVEN, 50, 0, 0),
        (lambda i: ({0: points(60 + 10 * i * i, eyes=40)}, 0), EVEN, 50, 0, 0),  # twice as large and as fast
        # x = 1000 t^2 / 2 at uneven times.
        (lambda i: ({0: points(60 + 500 * (0, 0.1, 0.4)[i] ** 2)}, 0), [0, 0.1, 0.4], 50, 0, 0),
        # Two faces, one at rest.
        (lambda i: ({0: points(40), 1: points(140 + (-1) ** i)}, 0), EVEN, 20 / math.sqrt(2), 0, 0),
        # The number changes each frame: no acceleration can be told.
        (lambda i: ({i: points(100)}, 0), EVEN, math.nan, 0, 0),
        # The face is missing in one frame, and its effect with it.
        (lambda i: ({0: points(100)} if i != 2 else {}, 20 * (i != 2)), EVEN, 0, 8, 20),
    ],
)
def test_figures(script, times, acceleration, change, worst):
    result = measured(script, times)
    found = result.get("acceleration", math.nan)
    assert found == pytest.approx(acceleration, rel=1e-3, abs=1e-3, nan_ok=True)
    assert result["edit_change"] == pytest.approx(change)
    assert result["worst_change"] == pytest.approx(worst)
    assert result["still_change"] == pytest.approx(change)  # for the pictures never change
    assert result["frames"] == len(times)


def test_only_the_face_s_box_counts():
    result = measured(lambda i: ({0: points(190, 190)}, 10 * (i % 2)), EVEN)
    assert result["edit_change"] == 10 and result["strength"] == 5
    assert result["renewed"] == pytest.approx(1 / 3)


def test_dense_landmarks_count_where_there_are_such():
    """All five at rest, and all but them back and forth by 1 px: nearly as if the whole face did."""

    class Lips(Scripted):
        def process(self, frame_hwc_bgr, time_s):
            result = super().process(frame_hwc_bgr, time_s)
            (face,) = result.faces
            dense = np.repeat(face.landmarks, 45, axis=0)[:COUNT] + np.float32((-1) ** self.count)
            for place, where in zip(FIVE, face.landmarks, strict=True):
                dense[place] = where
            return dataclasses.replace(result, faces=(dataclasses.replace(face, points=dense),))

    result = measure_steadiness([(PLAIN, t) for t in EVEN], Lips(lambda i: ({0: points(100)}, 0)))
    assert result["acceleration"] == pytest.approx(20 * np.sqrt(2 * 186 / 221), rel=1e-3)


@pytest.mark.parametrize(
    ("times", "script", "says"),
    [
        ([], lambda i: ({}, 0), "three frames, not 0"),
        ([0, 1], lambda i: ({0: points(100)}, 0), "three frames, not 2"),
        ([0, 1, 2], lambda i: ({}, 0), "no edited face"),
    ],
)
def test_what_cannot_be_measured(times, script, says):
    with pytest.raises(DataError, match=says):
        measured(script, times)


def test_faces_that_are_not_edited_do_not_count():
    class Idle(Scripted):
        def process(self, frame_hwc_bgr, time_s):
            result = super().process(frame_hwc_bgr, time_s)
            faces = tuple(dataclasses.replace(face, weight=0.0) for face in result.faces)
            return dataclasses.replace(result, faces=faces)

    with pytest.raises(DataError, match="no edited face"):
        measure_steadiness([(PLAIN, t) for t in EVEN], Idle(lambda i: ({0: points(100)}, 0)))


def test_frame_by_frame(toy_bundle):
    stage = Staged()
    with Editor.load(toy_bundle, "cpu", stage, threads=1) as editor:
        alone = FrameByFrame(editor, {"Smiling": 1.0})
        numbers = []
        for xs in ([60, 140], [64, 136], [68, 132], [132], [], [132]):
            stage.faces = [points(x) for x in xs]
            result = alone.process(PLAIN, 0.0)
            numbers.append([face.id for face in result.faces])
            wanted = editor.edit(PLAIN, {"Smiling": 1.0}).image_hwc_bgr if xs else PLAIN
            np.testing.assert_array_equal(result.image_hwc_bgr, wanted)
    assert numbers == [[0, 1], [0, 1], [0, 1], [1], [], [2]]
