"""The tracker with its detector in a thread beside it, and what the detector gets to see."""

import threading
from concurrent.futures import wait

import cv2
import numpy as np
import pytest
from staged_faces import Stage, face, frame_of

from aif.runtime.faces.detect import Detection
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.runtime.tracking.tracker import FaceTracker

FPS, FADE_S = 25, 0.2
STEP = 1 / FPS / FADE_S  # by this much a weight changes from frame to frame


class Beside(Stage):
    """A stage whose detector answers only when it is told to, as one in a slow thread does."""

    def __init__(self, script):
        super().__init__(script)
        self.gate = threading.Semaphore(0)

    def detect(self, frame):
        assert self.gate.acquire(timeout=20)
        return super().detect(frame)


@pytest.fixture
def beside():
    """Make a tracker, and a stage that detects beside it."""
    made = []

    def make(script, **settings):
        stage = Beside(script)
        tracker = FaceTracker(stage, stage, fade_s=FADE_S, background=True, **settings)
        made.append((tracker, stage))
        return tracker, stage

    yield make
    for tracker, stage in made:
        stage.gate.release(9)
        tracker.close()


def answered(tracker, stage):
    """Let the detector answer, and wait until it has."""
    stage.gate.release()
    assert wait([tracker._background._answer], 20).done


def test_detection_beside_keeps_no_frame_waiting(beside):
    """The face moves while the detector looks; it is found where it is by then, and fades in."""
    tracker, stage = beside(lambda i: [face(90 + 3 * i, 100)])
    for i in range(5):
        assert tracker.update(frame_of(i), i / FPS) == () and not tracker.detected
    answered(tracker, stage)
    shown = tracker.update(frame_of(5), 5 / FPS)
    assert tracker.detected and stage.detections == [0]
    np.testing.assert_allclose(shown[0].landmarks, face(105, 100), atol=1e-3)
    assert 0 < shown[0].weight < 1 or shown[0].weight == pytest.approx(STEP)
    for i in range(6, 20):
        shown = tracker.update(frame_of(i), i / FPS)
    assert [each.id for each in shown] == [0] and shown[0].weight == 1


def test_what_the_detector_saw_long_ago_gives_no_second_number(beside):
    """A tracked face has moved on by more than its width when the answer comes; a newcomer is taken in."""
    tracker, stage = beside(lambda i: [face(60 + 4 * i, 100)] + [face(60, 200, 24)] * (i >= 20))
    ids = set()
    for i in range(62):
        shown = tracker.update(frame_of(i), i / FPS)
        ids |= {each.id for each in shown}
        if i in {1, 40, 57}:
            answered(tracker, stage)
    assert ids == {0, 1}
    at = {each.id: float(each.landmarks[:, 0].mean()) for each in shown}
    assert at[0] == pytest.approx(60 + 4 * 61, abs=6) and at[1] == pytest.approx(60, abs=1)


def test_an_answer_of_a_time_that_is_over_is_dropped(beside):
    """The clock jumps back while the detector looks: what it finds belongs to nothing any more."""
    tracker, stage = beside(lambda i: [face(100, 100)] * (i < 5))
    for i in range(5):
        tracker.update(frame_of(i), 100 + i / FPS)
    tracker.update(frame_of(5), 0.0)
    answered(tracker, stage)  # of frame 0
    assert tracker.update(frame_of(6), 1 / FPS) == () and not tracker.detected
    answered(tracker, stage)  # of frame 6
    assert tracker.update(frame_of(7), 2 / FPS) == () and tracker.detected
    assert stage.detections == [0, 6]


def test_beside_a_frame_that_differs_much_is_no_cut(beside):
    """Where frames come seldom, a face that is still there keeps its number and its strength."""
    ramp = np.repeat(np.linspace(0, 255, 320, dtype=np.uint8)[None, :, None], 3, axis=2)
    tracker, stage = beside(lambda i: [face(100, 100)])
    for i in range(30):
        shown = tracker.update(frame_of(i, ramp if i < 20 else ramp[:, ::-1]), i / FPS)
        if i == 0:
            answered(tracker, stage)
    assert [(each.id, each.weight) for each in shown] == [(0, 1)]


class Sized:
    """A detector that keeps the frames' sizes, and finds one face where it is in them."""

    def __init__(self):
        self.sizes: list[tuple[int, ...]] = []

    def detect(self, frame):
        self.sizes.append(frame.shape[:2])
        points = face(500, 300, 72) * np.float32(frame.shape[1] / 960)
        return [Detection(box_from_landmarks(points), points, 0.9)]


def test_most_detections_are_a_glance():
    """And what is found in a frame made smaller is the face that is known."""
    detector, stage = Sized(), Stage(lambda i: [face(500, 300, 72)])
    tracker = FaceTracker(detector, stage, every=1)
    for i in range(9):
        frame = cv2.resize(frame_of(i), (960, 720), interpolation=cv2.INTER_NEAREST)
        (only,) = tracker.update(frame, i / FPS)
        assert only.id == 0
    small, large = (240, 320), (720, 960)
    assert detector.sizes == [large, small, small, small, large, small, small, small, large]
