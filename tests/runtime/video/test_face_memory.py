"""Edits that outlive their frame: when the networks run, and what shows in between."""

import dataclasses
import math

import numpy as np
import pytest

from aif.runtime import Detection
from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.editing.edit_path import EditPath, Encoded, FaceView
from aif.runtime.geometry.align import TEMPLATE_128
from aif.runtime.geometry.points import COUNT, FACE_OVAL, LOWER_LIP, OUTER_LIP
from aif.runtime.model.codes import FaceInputs
from aif.runtime.model.model import Encoding
from aif.runtime.tracking.tracker import TrackedFace
from aif.runtime.video.face_memory import NEWS, RENEW_S, FaceMemory, expression, news

FRAME = np.zeros((8, 8, 3), np.uint8)
STEP = 0.04
SETTLE = 0.1


class About:
    """What the memory asks a manifest for."""

    attributes = (AttributeInfo(name="Smiling"),)
    source_values = "predicted"
    features = ()


class Model:
    manifest = About()


class Lasting(EditPath[float]):
    """A change is how far y is to move; `smiles` says how much of a smile each face has by its x."""

    modes = ("warp",)
    lasting = True

    def __init__(self):
        super().__init__(Model())
        self.smile = 0.25
        self.looked: list[int] = []

    def view(self, points, score, yaw=0.0):
        matrix = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32)
        detection = Detection(np.zeros(4, np.float32), TEMPLATE_128, score)
        return FaceView(detection, matrix, 128, 1.0, points, 0.0)

    def look(self, frame_hwc_bgr, detections):
        raise AssertionError("films are tracked")

    def look_at_crops(self, crops_nhwc_bgr):
        raise AssertionError("films are tracked")

    def cut(self, frame_hwc_bgr, views):
        return FaceInputs(np.zeros((len(views), 3, 4, 4), np.float32))

    def encode(self, inputs):
        count = len(inputs.images)
        self.looked.append(count)
        values = np.full((count, 1), self.smile, np.float32)
        return Encoded(inputs, Encoding(np.zeros((count, 2), np.float32), values))

    def change(self, encoded, source, target):
        return [float(each) for each in (target - source)[:, 0]]

    def apply(self, frame_hwc_bgr, views, changes, mode):
        raise AssertionError("nothing is composed here")

    def between(self, old, new, share):
        return old + share * (new - old)


def face(number=0, **changed):
    made = TrackedFace(number, TEMPLATE_128, np.zeros(4, np.float32), 0.9, 0.0, 1.0, 1.0)
    return dataclasses.replace(made, **{"points": np.zeros((COUNT, 2), np.float32), **changed})


def step(memory, path, time_s, *faces, smiling=1.0):
    views = [path.view(each.points, each.confidence) for each in faces]
    return memory.update(path, FRAME, faces, views, {0: smiling}, time_s)


def moved(part, by):
    points = np.zeros((COUNT, 2), np.float32)
    points[part] = (0, by)
    return points


@pytest.mark.parametrize(
    ("part", "by", "expected"),
    [
        (slice(None), 1.28, 0.01),
        (slice(0, 0), 9, 0),
        (FACE_OVAL, 1.28, 0.01 * math.sqrt(36 / COUNT)),
        (LOWER_LIP, 1.28, 0.01 * math.sqrt(9 / 40)),  # of the lips alone
        (OUTER_LIP, 1.28, 0.01 * math.sqrt(20 / 40)),
    ],
)
def test_news(part, by, expected):
    views = [Lasting().view(each, 1.0) for each in (moved(slice(0, 0), 0), moved(part, by))]
    old, new = (expression(view) for view in views)
    assert news(old, new) == news(new, old) == pytest.approx(expected, rel=1e-5)


def test_a_face_at_rest_is_looked_at_five_times_a_second():
    memory, path = FaceMemory(SETTLE), Lasting()
    looked = [step(memory, path, i * STEP, face()).renewed for i in range(11)]
    assert [i for i, each in enumerate(looked) if each] == [0, 5, 10]
    assert pytest.approx(5 * STEP) == RENEW_S


@pytest.mark.parametrize("change", ["lips", "edits", "first sight"])
def test_news_are_looked_at_at_once(change):
    memory, path = FaceMemory(SETTLE), Lasting()
    before = [face(0), face(1)]
    step(memory, path, 0.0, *before)
    assert step(memory, path, STEP, *before).renewed == ()
    if change == "lips":
        spoken = moved(OUTER_LIP, 2 * 128 * NEWS)
        assert step(memory, path, 2 * STEP, face(0), face(1, points=spoken)).renewed == (1,)
        assert step(memory, path, 3 * STEP, face(0), face(1, points=spoken)).renewed == ()
    elif change == "edits":
        update = step(memory, path, 2 * STEP, *before, smiling=0.5)
        assert update.renewed == (0, 1) and update.changes == [0.25, 0.25]  # as wanted, without a glide
        assert step(memory, path, 3 * STEP, *before, smiling=0.5).renewed == ()
    else:
        assert step(memory, path, 2 * STEP, *before, face(2)).renewed == (2,)


@pytest.mark.parametrize(("count", "at_once"), [(4, 1), (12, 3)])
def test_faces_take_turns(count, at_once):
    """All are seen first in one frame; after that few in the same one, and each in time."""
    memory, path = FaceMemory(SETTLE), Lasting()
    looked = [step(memory, path, i * STEP, *map(face, range(count))).renewed for i in range(40)]
    assert looked[0] == (*range(count),) and max(len(each) for each in looked[1:]) == at_once
    for number in range(count):
        assert np.diff([i for i, each in enumerate(looked) if number in each]).max() <= 8


@pytest.mark.parametrize("changed", [{"confidence": 0.0}, {"repeated": True, "points": moved(OUTER_LIP, 20)}])
def test_what_is_hidden_or_stands_still_is_not_looked_at(changed):
    memory, path = FaceMemory(SETTLE), Lasting()
    first = step(memory, path, 0.0, face())
    path.smile = 0.75
    for i in range(1, 20):
        update = step(memory, path, i * STEP, face(**changed))
        assert update.renewed == () and update.changes == first.changes and (update.y == first.y).all()
    assert step(memory, path, 20 * STEP, face()).renewed == (0,)


def test_what_shows_glides():
    """y jumps from 1/4 to 3/4; the average follows at the next look, and what shows frame by frame."""
    memory, path = FaceMemory(SETTLE), Lasting()
    step(memory, path, 0.0, face())
    path.smile = 0.75
    shown = [step(memory, path, i * STEP, face()).changes[0] for i in range(1, 40)]
    assert shown[:4] == [0.75] * 4
    goal = 1 - (0.75 - 0.5 * math.exp(-RENEW_S / SETTLE))
    assert shown[4] == pytest.approx(goal + (0.75 - goal) * math.exp(-STEP / SETTLE), abs=1e-6)
    assert shown[5] == pytest.approx(goal + (0.75 - goal) * math.exp(-2 * STEP / SETTLE), abs=1e-6)
    assert shown == sorted(shown, reverse=True)
    assert shown[-1] == pytest.approx(0.25, abs=0.002)
    assert -np.diff(shown).min() < 0.16


def test_without_an_average_all_shows_at_once():
    memory, path = FaceMemory(0), Lasting()
    step(memory, path, 0.0, face())
    path.smile = 0.75
    shown = [step(memory, path, i * STEP, face()).changes[0] for i in range(1, 7)]
    assert shown == [0.75] * 4 + [0.25] * 2


def test_forgetting():
    memory, path = FaceMemory(SETTLE), Lasting()
    step(memory, path, 0.0, face(0), face(1))
    memory.keep([1, 5])
    path.smile = 0.75
    update = step(memory, path, STEP, face(0), face(1))
    assert update.renewed == (0,) and update.y[:, 0].tolist() == [0.75, 0.25]
