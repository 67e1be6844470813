"""The editor from frame to edited frame, on real graphs and a real portrait."""

import math

import numpy as np
import pytest
from PIL import Image
from staged_faces import Finds

from aif.runtime import Detection, Editor, EditResult
from aif.runtime.errors import BundleError, ConfigError, ImageError, NoFaceError, UnknownAttributeError
from aif.runtime.geometry.align import TEMPLATE_128, transform_points

STAGES = ["detect", "align", "encode", "decode", "composite"]


def _face(x, y, side=80, angle=0.0):
    """A face whose crop's middle is at (x, y) and whose crop is `side` pixels wide."""
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    points = (TEMPLATE_128 - 64) @ turn.T * side / 128 + (x, y)
    box = np.array([x - side * 0.35, y - side * 0.3, side * 0.7, side * 0.7], dtype=np.float32)
    return Detection(box, points.astype(np.float32), 0.9)


THREE = (_face(240, 120, 100), _face(60, 100, 70, 0.3), _face(150, 60, 50))  # not left to right


@pytest.fixture
def frame(cloudy):
    return cloudy


@pytest.fixture(scope="module")
def editor(toy_bundle):
    return Editor.load(toy_bundle, "cpu", Finds(*THREE), threads=1)


def _changed(before, after, face):
    x, y, width, height = face.box_xywh.astype(int)
    region = np.s_[max(0, y) : y + height, max(0, x) : x + width]
    return bool((before[region] != after[region]).any())


def test_an_edit(editor, frame):
    before = frame.copy()
    result = editor.edit(frame, {"Smiling": 1.0})
    np.testing.assert_array_equal(frame, before)
    assert isinstance(result, EditResult)
    assert result.image_hwc_bgr.shape == frame.shape and result.image_hwc_bgr.dtype == np.uint8
    assert [face.detection for face in result.faces] == [THREE[1], THREE[2], THREE[0]]
    assert list(result.timings) == STAGES and all(seconds >= 0 for seconds in result.timings.values())
    for face in result.faces:
        assert face.y_source.keys() == face.y_target.keys() == set(editor.attributes)
        assert face.y_target["Smiling"] == 1.0
        assert face.y_target["Blond_Hair"] == face.y_source["Blond_Hair"]
        assert face.residual < 1e-3
        assert _changed(frame, result.image_hwc_bgr, face.detection)
        # The toy decoder paints the mouth red.
        mouth = face.detection.landmarks[3:].mean(axis=0)
        x, y = mouth.astype(int)
        # The frame is pale, and so is its edit.
        assert int(result.image_hwc_bgr[y, x, 2]) > int(frame[y, x, 2]) + 5
        np.testing.assert_allclose(
            transform_points(face.detection.landmarks, face.matrix), TEMPLATE_128 / 4, atol=0.01
        )


@pytest.mark.parametrize("edits", [{}, "own"])
def test_nothing_asked_changes_nothing(editor, frame, edits):
    if edits == "own":
        edits = editor.analyse(frame, faces=0)[0].y
    result = editor.edit(frame, edits, faces=0)
    np.testing.assert_array_equal(result.image_hwc_bgr, frame)


@pytest.mark.parametrize("edits", [{"Smiling": 1.0}, {"Smiling": 2, "Blond_Hair": -1}, {"Blond_Hair": 0.0}])
@pytest.mark.parametrize("mode", [None, "delta", "replace"])
def test_one_face_at_a_time_is_all_faces(editor, frame, edits, mode):
    every = editor.edit(frame, edits, mode=mode)
    step = frame
    for face in every.faces:
        step = editor.edit(step, edits, mode=mode, detections=[face.detection]).image_hwc_bgr
    difference = np.abs(step.astype(int) - every.image_hwc_bgr)
    assert difference.max() <= 1
    assert (every.image_hwc_bgr != frame).any()


@pytest.mark.parametrize(
    ("faces", "expected"), [("all", [1, 2, 0]), ("largest", [0]), (0, [1]), (1, [2]), (2, [0])]
)
def test_choice_of_faces(editor, frame, faces, expected):
    result = editor.edit(frame, {"Smiling": 1.0}, faces=faces)
    assert [face.detection for face in result.faces] == [THREE[i] for i in expected]
    for index, face in enumerate(THREE):
        assert _changed(frame, result.image_hwc_bgr, face) == (index in expected)


@pytest.mark.parametrize(
    ("faces", "error", "says"),
    [
        (3, NoFaceError, "no face number 3: there are 3 faces.\nThey are numbered 0 to 2"),
        (10**9, NoFaceError, "no face number"),
        (-1, ConfigError, "faces cannot be -1"),
        ("first", ConfigError, "Known:"),
        (True, ConfigError, "faces cannot be True"),
        (1.0, ConfigError, "faces cannot be"),
        (None, ConfigError, "faces cannot be"),
    ],
)
def test_impossible_choices(editor, frame, faces, error, says):
    with pytest.raises(error, match=says):
        editor.edit(frame, {"Smiling": 1.0}, faces=faces)


@pytest.mark.parametrize("faces", ["all", "largest", 0])
def test_no_face(editor, frame, faces):
    for call in (editor.edit, editor.analyse):
        asked = {"edits": {"Smiling": 1.0}} if call == editor.edit else {}
        with pytest.raises(NoFaceError, match="No face was found") as caught:
            call(frame, faces=faces, detections=[], **asked)
        assert caught.value.exit_code == 3
    with pytest.raises(NoFaceError, match="there is 1 face"):
        editor.analyse(frame, 1, [THREE[0]])


@pytest.mark.parametrize(
    ("edits", "error", "says"),
    [
        ({"smiling": 1}, UnknownAttributeError, "Did you mean Smiling"),
        ({"Smiling": 2.01}, ConfigError, "Smiling takes -1 to 2"),
    ],
)
def test_impossible_edits(editor, frame, edits, error, says):
    with pytest.raises(error, match=says):
        editor.edit(frame, edits)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((5, 7), np.uint8), "uint8"),
        (np.zeros((5, 7, 4), np.uint8), "uint8"),
        (np.zeros((0, 7, 3), np.uint8), "uint8"),
        (np.zeros((5, 7, 3), np.float32), "uint8"),
        (np.zeros((2, 5, 7, 3), np.uint8), "uint8"),
        (None, "check the path"),
        (Image.new("RGB", (9, 9)), "RGB: cv2.cvtColor"),
        ("a.jpg", "Use cv2.imread"),
    ],
)
def test_what_is_no_frame(editor, image, said):
    for call in (lambda: editor.edit(image, {}), lambda: editor.analyse(image), lambda: editor.detect(image)):
        with pytest.raises(ImageError, match=said):
            call()


def test_analyse(editor, frame):
    found = editor.analyse(frame)
    assert [face.detection for face in found] == [THREE[1], THREE[2], THREE[0]]
    edited = editor.edit(frame, {"Smiling": 1.0}).faces
    for face, edit in zip(found, edited, strict=True):
        assert face.y == edit.y_source and face.residual == edit.residual
        # The toy encoder takes the mean red for Smiling.
        assert 0 < face.y["Smiling"] < 1


def test_detections_given_are_used(editor, frame):
    mine = _face(160, 180, 60)
    result = editor.edit(frame, {"Smiling": 1.0}, detections=[mine])
    assert [face.detection for face in result.faces] == [mine]


@pytest.mark.parametrize("place", [(0, 0), (320, 240), (-10, 100)])
@pytest.mark.parametrize("side", [3, 40, 900])
def test_faces_at_the_edge_tiny_and_larger_than_the_frame(editor, frame, place, side):
    result = editor.edit(frame, {"Smiling": 1.0}, detections=[_face(*place, side)])
    assert result.image_hwc_bgr.shape == frame.shape


def test_the_bundle_s_policy_and_mode_are_followed(make_bundle, frame):
    bundle = make_bundle(source_values="rounded", compositing="replace")
    with Editor.load(bundle, "cpu", Finds(THREE[0]), threads=1) as editor:
        own = editor.edit(frame, {"Smiling": 1.0})
        assert own.faces[0].y_target["Blond_Hair"] in (0.0, 1.0)
        replaced = editor.edit(frame, {"Smiling": 1.0}, mode="replace").image_hwc_bgr
        np.testing.assert_array_equal(own.image_hwc_bgr, replaced)
        assert (editor.edit(frame, {"Smiling": 1.0}, mode="delta").image_hwc_bgr != replaced).any()


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"bundle": "/no/such/place.aif"}, BundleError),
        ({"provider": "tpu"}, ConfigError),
        ({"detector": "magic"}, ConfigError),
        ({"threads": 0}, ConfigError),
        ({"precision": "int4"}, BundleError),
    ],
)
def test_impossible_settings(toy_bundle, settings, error):
    with pytest.raises(error):
        Editor.load(**{"bundle": toy_bundle, "provider": "cpu", "detector": "haar", **settings})


@pytest.mark.parametrize(("narrow", "strength"), [(1.0, 1.0), (0.8, 1.0), (0.45, 0.56), (0.3, 0.0)])
def test_a_face_turned_away_is_edited_less(editor, frame, narrow, strength):
    points = THREE[1].landmarks.copy()
    points[:, 0] = points[:, 0].mean() + narrow * (points[:, 0] - points[:, 0].mean())
    turned = Detection(THREE[1].box_xywh, points, 1.0)
    result = editor.edit(frame, {"Smiling": 1.0}, detections=[turned])
    assert result.faces[0].strength == pytest.approx(strength, abs=0.01)
    assert (result.image_hwc_bgr != frame).any() == (strength > 0)
