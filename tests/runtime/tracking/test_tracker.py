"""The tracker on scripted faces: numbers that stay, gentle comings and goings, few detections, cuts."""

import itertools
import logging
import math
from functools import partial

import cv2
import numpy as np
import pytest
from staged_faces import Stage, dense, face, frame_of

from aif.runtime.bundle.bundle import EMBEDDED_BUNDLE, Bundle
from aif.runtime.errors import ConfigError, ImageError
from aif.runtime.faces.detect import Detection, HaarDetector
from aif.runtime.faces.landmarks import LandmarkNet, box_from_landmarks
from aif.runtime.geometry.points import five_points
from aif.runtime.tracking.tracker import FaceTracker

FPS, FADE_S, EYES = 25, 0.2, 36.0
STEP = 1 / FPS / FADE_S  # by this much a weight changes from frame to frame


def played(script, count, *, stage=Stage, net=True, frame=frame_of, **settings):
    """The faces of each of so many frames, and the stage that showed them."""
    stage = stage(script)
    tracker = FaceTracker(stage, stage if net else None, **{"fade_s": FADE_S, **settings})
    return [tracker.update(frame(i), i / FPS) for i in range(count)], stage


def steps(weights):
    return [b - a for a, b in itertools.pairwise(weights)]


def test_faces_of_the_first_frame():
    shown, _ = played(lambda i: [face(220, 100), face(80, 120, 30)], 1)
    assert [each.id for each in shown[0]] == [1, 0]
    left, right = shown[0]
    np.testing.assert_allclose(left.landmarks, face(80, 120, 30), atol=1e-4)
    np.testing.assert_allclose(right.box, box_from_landmarks(face(220, 100)), atol=1e-3)
    assert left.landmarks.dtype == left.box.dtype == np.float32
    np.testing.assert_allclose(left.points, dense(face(80, 120, 30)), atol=1e-4)
    for each in shown[0]:
        assert each.weight == 1 and each.age == 0 and each.confidence == pytest.approx(0.9)
        assert each.points is not None and each.points.dtype == np.float32 and each.yaw == 0


@pytest.mark.parametrize("hides", [0, 45])
@pytest.mark.parametrize("seconds", [0.6, 1.2, 2.4])
def test_numbers_stay_where_faces_cross(hides, seconds):
    count = round(seconds * FPS)

    def script(i):
        part = min(i / count, 1)
        front, behind = face(70 + 180 * part, 118), face(250 - 180 * part, 112)
        hidden = abs(float((front - behind).mean(axis=0)[0])) < hides
        return [front] if hidden else [front, behind]

    shown, _ = played(script, count + 12)
    assert {each.id for faces in shown for each in faces} == {0, 1}
    at = {each.id: float(each.landmarks[:, 0].mean()) for each in shown[-1]}
    assert at[0] == pytest.approx(250, abs=3) and at[1] == pytest.approx(70, abs=3)
    front = [each for faces in shown for each in faces if each.id == 0]
    assert len(front) == len(shown)
    if hides:  # else both are seen in one place, and either may be taken for the hidden one
        assert all(each.weight == 1 for each in front)


@pytest.mark.parametrize(
    ("gone", "moved", "number"),
    [
        *((0, 0, 0), (1, 0, 0), (10, 0, 0), (30, 15, 0), (48, 0, 0)),
        (60, 0, 1),
        # Further than the landmark network looks; whether it is near enough depends on the time that passed.
        *((30, 60, 0), (2, 100, 1), (30, 170, 1)),
    ],
)
def test_a_face_that_vanishes_and_returns(gone, moved, number):
    """Its number is kept for two seconds, that is 50 frames, and near its place."""
    shown, _ = played(lambda i: [face(90 + (moved if i >= 20 else 0), 100)] * (not 20 <= i < 20 + gone), 110)
    ids = [{each.id for each in faces} for faces in shown]
    assert ids[19] == {0} and ids[-1] == {number}
    weights = [next((each.weight for each in faces if each.id == 0), 0.0) for faces in shown]
    assert min(steps(weights)) >= -3 * STEP - 1e-9 and max(steps(weights)) <= STEP + 1e-9
    assert (min(weights[20:]) == 1) == (gone == 0)
    assert shown[-1][0].weight == pytest.approx(1)
    if gone >= 10 and number == 0:  # nothing of it was shown any more, so it does not come gliding
        first = next(faces for faces in shown[20 + gone :] if faces)[0]
        np.testing.assert_allclose(first.landmarks, face(90 + moved, 100), atol=1e-4)


@pytest.mark.parametrize(
    ("doubt", "expected"),
    [
        # The network is not sure: two frames are forgiven (0.1 s), then the effect fades over 0.2 s.
        (0.2, [1, 1, 1, 0.8, 0.6, 0.4, 0.2, 0, 0, 0, 0]),
        # Something hides the face: the effect goes at once, and three times as fast.
        (0.01, [1, 0.4, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_fading_out(doubt, expected):
    shown, _ = played(lambda i: [face(100, 100)] * (i < 10), 20, stage=partial(Stage, doubt=doubt))
    assert [round(faces[0].weight, 6) if faces else 0 for faces in shown[9:]] == expected
    assert [faces[0].confidence > 0 for faces in shown if faces][8:11] == [True, True, False]


def test_fading_in():
    shown, _ = played(lambda i: [face(100, 100)] + [face(220, 100)] * (i >= 4), 16, every=4)
    newcomer = [faces[1] for faces in shown[4:]]
    assert [round(each.weight, 6) for each in newcomer] == [0.2, 0.4, 0.6, 0.8, *[1] * 8]
    assert [each.age for each in newcomer] == pytest.approx([i / FPS for i in range(12)])
    assert {each.id for each in newcomer} == {1}
    assert all(faces[0].weight == 1 for faces in shown)


def test_weights_follow_the_clock_not_the_count_of_frames():
    stage = Stage(lambda i: [face(100, 100)] * (i >= 1))
    tracker, times = FaceTracker(stage, stage, fade_s=0.5), [0.0, 0.1, 0.1, 0.35, 0.36, 2.0]
    weights = [[each.weight for each in tracker.update(frame_of(i), t)] for i, t in enumerate(times)]
    assert weights == [[], [pytest.approx(0.2)]] + [[pytest.approx(w)] for w in (0.2, 0.7, 0.72, 1.0)]


def test_no_fade():
    shown, _ = played(lambda i: [face(100, 100)] * (2 <= i < 8), 14, fade_s=0, every=1)
    assert [faces[0].weight if faces else 0 for faces in shown] == [0, 0, *[1] * 6, 0, 0, 0, 0, 0, 0]


def test_a_face_out_of_sight_moves_on_a_little():
    """At 50 px/s it coasts for about 0.2 s, all points alike: on, and not for ever."""
    shown, _ = played(lambda i: [face(100 + 2 * i, 100)] * (i < 20), 27, stage=partial(Stage, doubt=0.2))
    xs = [float(faces[0].landmarks[:, 0].mean()) for faces in shown if faces]
    assert np.all(np.diff(xs) > 0) and xs[-1] - xs[19] < 0.25 * 50
    for faces in shown[:24]:
        assert faces[0].points is not None
        np.testing.assert_allclose(five_points(faces[0].points), faces[0].landmarks, atol=1e-3)
    moved = shown[22][0].points - shown[20][0].points
    assert moved[:, 0].min() > 0.5 and np.ptp(moved, axis=0).max() < 0.01


@pytest.mark.parametrize(("yaw", "weight"), [(0, 1), (30, 1), (34, 0.75), (-38, 0.5), (46, 0), (-80, 0)])
def test_faces_turned_away(yaw, weight):
    """The network tells how far a face is turned; its shape has no say then."""
    turned = partial(Stage, turn=lambda i: yaw if 10 <= i < 60 else 0.0)
    shown, _ = played(lambda i: [face(160, 100, narrow=0.3)], 90, stage=turned)
    weights = [faces[0].weight for faces in shown]
    assert weights[55] == pytest.approx(weight, abs=0.01) and shown[55][0].yaw == pytest.approx(yaw, abs=0.1)
    assert weights[-1] == pytest.approx(1) and max(map(abs, steps(weights))) <= STEP + 1e-9


@pytest.mark.parametrize(("yaw", "weight"), [(0, 1), (46, 1), (-53, 0.5), (60, 0)])
def test_hair_of_faces_turned_away(yaw, weight):
    shown, _ = played(lambda i: [face(160, 100)], 60, stage=partial(Stage, turn=lambda i: yaw * (i >= 10)))
    weights = [faces[0].hair_weight for faces in shown]
    assert weights[-1] == pytest.approx(weight, abs=0.01) and max(map(abs, steps(weights))) <= STEP + 1e-9


def test_what_hides_a_point_is_told_smoothly():
    stage = Stage(lambda i: [face(100, 100)])
    tracker, told = FaceTracker(stage, stage), []
    for i in range(20):
        stage.seen = float(i < 10)
        told += [float(each.seen.mean()) for each in tracker.update(frame_of(i), i / FPS)]
    assert told[:10] == [1] * 10 and told[10] > 0.5 and told[19] < 0.1 and max(steps(told)) <= 0


def test_a_yaw_that_shakes_lets_no_effect_flicker():
    shaking = partial(Stage, turn=lambda i: 38 + 4 * (-1) ** i)
    shown, _ = played(lambda i: [face(160, 100)], 60, stage=shaking, fade_s=0)
    weights = [faces[0].weight for faces in shown[20:]]
    assert max(weights) - min(weights) < 0.1 and np.mean(weights) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("narrow", "weight"), [(1.0, 1), (0.8, 1), (0.45, 0.58), (0.4, 0.35), (0.3, 0)])
def test_profiles_without_a_landmark_network(narrow, weight):
    """Squeezed to 0.45, the landmarks miss the template by 0.212 eye distances; between 0.17 and 0.27."""
    shown, _ = played(lambda i: [face(160, 100, narrow=narrow if 10 <= i < 60 else 1)], 90, net=False)
    weights = [faces[0].weight for faces in shown]
    assert weights[50] == pytest.approx(weight, abs=0.01)
    assert weights[-1] == 1 and max(map(abs, steps(weights))) <= STEP + 1e-9
    assert {(each.id, each.points is None, each.yaw) for faces in shown for each in faces} == {(0, True, 0)}


@pytest.mark.parametrize("every", [1, 4, 15])
def test_detection_on_every_kth_frame(every):
    shown, stage = played(lambda i: [face(100 + i, 100), face(220, 100)], 31, every=every)
    assert stage.detections == list(range(0, 31, every))
    assert all(len(faces) == 2 for faces in shown)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (lambda i: [face(100, 100)] * (i < 10), [0, 10, 11, 13, 17, 25, 41]),
        (lambda i: [], [0, 1, 3, 7, 15, 31]),
        # Lost and found elsewhere in the same frame; the old number is still looked for.
        (lambda i: [face(100 if i < 10 else 250, 100)], [0, 10, 11, 13, 17, 25, 41]),
        (lambda i: [face(100, 100)] * (i != 10), [0, 10, 11, 31]),
    ],
)
def test_loss_triggers_detection(script, expected):
    _, stage = played(script, 48, every=20)
    assert stage.detections == expected


def texture(seed):
    small = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (320, 240), interpolation=cv2.INTER_LINEAR))


@pytest.mark.parametrize("after", ["same place", "elsewhere", "nobody"])
def test_a_cut_resets_everything(after):
    there = {"same place": [face(100, 100)], "elsewhere": [face(230, 140)], "nobody": []}[after]
    shown, stage = played(
        lambda i: [face(100, 100)] if i < 5 else there,
        8,
        frame=lambda i: frame_of(i, texture(1 if i < 5 else 2)),
    )
    assert stage.detections[:2] == [0, 5]
    assert [{each.id for each in faces} for faces in shown] == [{0}] * 5 + [{1} if there else set()] * 3
    assert all(each.weight == 1 for faces in shown for each in faces)
    if there:
        np.testing.assert_allclose(shown[5][0].landmarks, there[0], atol=1e-4)
        assert shown[5][0].age == 0


@pytest.mark.parametrize("how", ["backward", "reset"])
def test_another_place_of_the_film(how):
    stage = Stage(lambda i: [face(100 if i < 2 else 110, 100)])
    tracker = FaceTracker(stage, stage)
    tracker.update(frame_of(0), 7.0)
    tracker.update(frame_of(1), 7.04)
    if how == "reset":
        tracker.reset()
    (only,) = tracker.update(frame_of(2), 3.0 if how == "backward" else 7.08)
    assert only.id == 1 and only.weight == 1 and only.age == 0
    np.testing.assert_allclose(only.landmarks, face(110, 100), atol=1e-4)


def test_smoothing_calms_and_can_be_left_out():
    paths = {}
    for smooth in (True, False):
        shown, _ = played(lambda i: [face(160, 100)], 100, stage=partial(Stage, noise=0.2), smooth=smooth)
        paths[smooth] = np.asarray([faces[0].points for faces in shown], dtype=np.float64)
    bends = {smooth: float(np.diff(path, 2, axis=0).std()) for smooth, path in paths.items()}
    assert bends[False] == pytest.approx(0.2 * math.sqrt(6), rel=0.1)
    assert bends[True] < bends[False] / 3
    assert np.abs(paths[True].mean(axis=0) - dense(face(160, 100))).max() < 0.15


def standing(number, times):
    """A frame of a film that shows each picture so many times."""
    frame = frame_of(number // times)
    frame[0, 0, 0] = number
    return frame


def test_nothing_moves_where_a_picture_is_shown_twice():
    """A film of 12.5 pictures a second at 25: the filter must not catch up while the picture stands."""
    shown, _ = played(
        lambda i: [face(60 + 4 * (i // 2), 100)],
        20,
        stage=partial(Stage, noise=0.2),
        frame=lambda i: standing(i, 2),
    )
    assert [each.repeated for (each,) in shown] == [False, True] * 10
    for (first,), (second,) in zip(shown[::2], shown[1::2], strict=True):
        np.testing.assert_array_equal(second.landmarks, first.landmarks)
        assert second.confidence == first.confidence and second.weight == 1


def test_a_picture_that_stands_is_looked_at_now_and_then():
    """Ten times a second: a face that moves too little for one frame is followed all the same."""
    shown, _ = played(lambda i: [face(160 + 0.5 * i, 100)], 12, frame=lambda i: standing(i, 12))
    assert [each.repeated for (each,) in shown] == [False, True, True] * 4
    assert min(steps([each.landmarks[0, 0] for (each,) in shown[::3]])) > 0


@pytest.mark.parametrize("eyes", [12, 36, 90])
def test_lag_does_not_depend_on_the_size_of_the_face(eyes):
    """At two eye distances a second the landmarks trail by a few hundredths of the eye distance."""
    trails = []
    for size in (36, eyes):
        shown, _ = played(lambda i, s=size: [face(60 + 2 * s * i / FPS, 100, s)], 30)
        trails.append((face(60 + 2 * size * 29 / FPS, 100, size) - shown[-1][0].landmarks)[:, 0] / size)
    assert np.all(trails[0] > 0) and np.all(trails[0] < 0.03)
    np.testing.assert_allclose(trails[1], trails[0], rtol=0.01, atol=1e-5)


def test_without_a_landmark_network(caplog):
    with caplog.at_level(logging.INFO, logger="aif.runtime.tracking.tracker"):
        shown, stage = played(
            lambda i: [*[face(100 + 3 * i, 100)] * (i % 9 > 0), face(220, 160)], 20, net=False, every=10
        )
    assert "every frame" in caplog.text
    assert stage.detections == list(range(20))
    assert {each.id for faces in shown for each in faces} == {0, 1}
    assert shown[18][0].confidence == 0 and shown[19][0].confidence == pytest.approx(0.8)


class Alarmist:
    """A detector that finds faces where there are none, and faces that cannot be."""

    def detect(self, frame):
        box = np.array([10, 10, 40, 40], dtype=np.float32)
        odd = [face(60, 60), np.zeros((5, 2), np.float32), np.full((5, 2), np.nan, np.float32)]
        return [Detection(box, points, 0.9) for points in odd]


def test_false_alarms():
    stage = Stage(lambda i: [])
    tracker = FaceTracker(Alarmist(), stage)
    assert [tracker.update(frame_of(i), i / FPS) for i in range(4)] == [()] * 4
    assert len(FaceTracker(Alarmist(), None).update(frame_of(0), 0.0)) == 1


@pytest.mark.parametrize(
    "settings",
    [
        *({"every": 0}, {"every": -3}, {"fade_s": -1}, {"fade_s": math.nan}),
        *({"fade_s": math.inf}, {"memory_s": -0.1}, {"memory_s": math.nan}),
    ],
)
def test_impossible_settings(settings):
    stage = Stage(lambda i: [])
    with pytest.raises(ConfigError, match=r"Choose \d"):
        FaceTracker(stage, stage, **settings)


@pytest.mark.parametrize(
    ("frame", "time_s", "error"),
    [
        (np.zeros((5, 5), np.uint8), 0.0, ImageError),
        (np.zeros((5, 5, 3), np.uint8), math.nan, ValueError),
    ],
)
def test_impossible_frames(frame, time_s, error):
    stage = Stage(lambda i: [])
    with pytest.raises(error):
        FaceTracker(stage, stage).update(frame, time_s)


@pytest.mark.skipif(not EMBEDDED_BUNDLE.exists(), reason="no embedded bundle")
def test_a_real_face_that_moves(astronaut_bgr):
    """Path of Haar cascades and landmark network: one detection, then 12 frames of a moving portrait."""
    net = LandmarkNet(Bundle.open(), threads=1)
    tracker = FaceTracker(HaarDetector(net), net, every=100)
    start = five_points(net.refine_all(astronaut_bgr, [[178, 63, 90, 113]]).points[0])
    for i in range(13):
        shift = np.array([2.0 * i, 1.0 * i], dtype=np.float32)
        matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], dtype=np.float32)
        frame = cv2.warpAffine(astronaut_bgr, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
        faces = tracker.update(np.asarray(frame, dtype=np.uint8), i / FPS)
        assert tracker.detected == (i == 0)
        nearest = min(faces, key=lambda each: float(np.abs(each.landmarks - start - shift).max()))
        assert nearest.id == 0 and nearest.weight == 1
        assert float(np.abs(nearest.landmarks - start - shift).max()) < 0.06 * 47
