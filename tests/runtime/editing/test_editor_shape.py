"""The editor with a model of textures and landmarks, on a made-up face: what moves, stays and is refused."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from made_up_face import face_picture, face_points
from staged_faces import Finds

from aif.runtime import Detection, Editor
from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.errors import NoFaceError
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.runtime.geometry import points as dense

SCALE, SIDE = 1.5, 192


def found(points):
    five = dense.five_points(points)
    return Detection(box_from_landmarks(five), five, 0.9)


@pytest.fixture(scope="module")
def frame():
    """uint8 (240, 500, 3): two faces of the same size, and nothing that is red beside them."""
    points = face_points()
    face = face_picture(points, SIDE, SCALE)
    outside = np.ones((SIDE, SIDE), np.uint8)
    cv2.fillPoly(outside, [np.round(points[dense.FACE_OVAL] * SCALE).astype(np.int32)], 0)
    face[outside > 0] = (90, 60, 0)
    picture = np.full((240, 500, 3), (90, 60, 0), np.uint8)
    for left in (20, 280):
        picture[20 : 20 + SIDE, left : left + SIDE] = face
    return picture


FACES = tuple(found(face_points() * SCALE + np.array([left, 20])) for left in (280, 20))


@pytest.fixture(scope="module")
def editor(shape_bundle):
    return Editor.load(shape_bundle, "cpu", Finds(*FACES), threads=1)


def test_an_edit(editor, frame):
    before = frame.copy()
    result = editor.edit(frame, {"Smiling": 1.0})
    np.testing.assert_array_equal(frame, before)
    assert result.image_hwc_bgr.shape == frame.shape and result.image_hwc_bgr.dtype == np.uint8
    assert list(result.timings) == ["detect", "align", "encode", "decode", "composite"]
    one, two = result.faces
    assert one.detection.landmarks[0, 0] < two.detection.landmarks[0, 0]
    for face in result.faces:
        assert face.points is not None and face.points.shape == (dense.COUNT, 2)
        np.testing.assert_allclose(dense.five_points(face.points), face.detection.landmarks, atol=1e-3)
        assert face.y_target["Smiling"] == 1.0 and face.strength == 1.0
        assert face.y_target["Blond_Hair"] == face.y_source["Blond_Hair"]
        x, y = face.points[dense.LEFT_MOUTH].astype(int)
        corner = np.s_[y - 12 : y + 8, x - 14 : x + 8]
        assert np.abs(result.image_hwc_bgr[corner].astype(int) - frame[corner]).max() > 40
    seen = editor.analyse(frame)
    assert [face.y for face in seen] == [face.y_source for face in result.faces]
    assert all(face.points is not None for face in seen)


@pytest.mark.parametrize("edits", [{}, "own"])
def test_nothing_asked_changes_nothing(editor, frame, edits):
    if edits == "own":
        edits = editor.analyse(frame, 0)[0].y
    np.testing.assert_array_equal(editor.edit(frame, edits, faces=0).image_hwc_bgr, frame)


def test_what_the_landmark_network_refuses_is_no_face(editor, frame):
    nothing = np.zeros_like(frame)
    for call in (lambda: editor.edit(nothing, {"Smiling": 1.0}), lambda: editor.analyse(nothing)):
        with pytest.raises(NoFaceError, match="took for a face is none, or is hidden too far") as caught:
            call()
        assert caught.value.exit_code == 3 and "turned far away, hidden" in str(caught.value.fix)
    wide = np.zeros((240, 1200, 3), np.uint8)
    wide[:, :250] = frame[:, :250]
    nowhere = found(face_points() * SCALE + np.array([900, 20]))
    result = editor.edit(wide, {"Smiling": 1.0}, detections=[nowhere, FACES[1]])
    assert len(result.faces) == 1 and result.faces[0].detection.landmarks[0, 0] < 250


def test_an_edit_stays_in_its_region(make_shape_bundle, frame):
    def changed(*region):
        smiling = AttributeInfo(name="Smiling", region=region)
        bundle = make_shape_bundle(attributes=(smiling, AttributeInfo(name="Blond_Hair", group="hair")))
        with Editor.load(bundle, "cpu", Finds(FACES[1]), threads=1) as editor:
            edited = editor.edit(frame, {"Smiling": 1.0}).image_hwc_bgr
        return np.abs(edited.astype(int) - frame).max(axis=2)

    lips = np.round(face_points()[dense.OUTER_LIP] * SCALE + (20, 20)).astype(int)
    (x0, y0), (x1, y1) = lips.min(axis=0), lips.max(axis=0)
    everywhere, mouth, brows = changed(), changed("mouth"), changed("brows")
    assert mouth[y0:y1, x0:x1].max() > 40 and everywhere[y0:y1, x0:x1].max() > 40
    assert brows[y0:y1, x0:x1].max() <= 2
    assert (mouth > 2).sum() < (everywhere > 2).sum()


CHEEK, OTHER_CHEEK = np.s_[18:20, 9:11], np.s_[18:20, 21:23]  # of a texture of 32 px


@pytest.fixture
def gain_of(make_shape_bundle, frame, monkeypatch):
    """(S, S, 3): the gain of an edit of an attribute, of a face whose texture and decodings are all grey, the
    second decoding times `factor` (S, S, 3); OTHER_CHEEK is white. And where a beard would grow."""

    def gain(factor, **info):
        attributes = AttributeInfo(name="Young", **info), AttributeInfo(name="Blond_Hair", group="hair")
        with Editor.load(
            make_shape_bundle(attributes=attributes), "cpu", Finds(FACES[1]), threads=1
        ) as editor:
            path = editor.path
            encoded = path.encode(path.cut(frame, path.look(frame, FACES[1:])))
            grey = np.float32([0.55, 0.5, 0.45])[:, None, None] + np.zeros_like(encoded.inputs.images)
            old, new = np.zeros((1, 2), np.float32), np.array([[1, 0]], np.float32)
            before = replace(path.model.decode_both(encoded.encoding, old, new)[0], image=grey)
            after = replace(before, image=grey * factor(path.beard).transpose(2, 0, 1))
            monkeypatch.setattr(path.model, "decode_both", lambda *_: (before, after))
            texture = grey.copy()
            texture[:, :, *OTHER_CHEEK] = 0.95
            inputs = replace(encoded.inputs, images=texture)
            (change,) = path.change(replace(encoded, inputs=inputs), old, new)
        return change.edit.gain, path.beard

    return gain


@pytest.mark.parametrize(("group", "elsewhere"), [("face", 0.1), ("expression", 0.0)])
def test_where_beards_grow_an_edit_gives_skin_no_colour_of_its_own(gain_of, group, elsewhere):
    def factor(beard):
        greener = np.float32([0.85, 1, 1.1])
        there = beard.copy()
        there[CHEEK] = 1
        return 1 + there[:, :, None] * (greener - 1)

    gain, beard = gain_of(factor, group=group)
    loses_red = gain.mean(axis=2) - gain[:, :, 0]
    assert loses_red[beard > 0.9].max() < 0.03
    assert np.median(loses_red[CHEEK]) == pytest.approx(elsewhere, abs=0.03)


@pytest.mark.parametrize("shaven", [False, True])
def test_what_darkens_is_no_beard_and_no_grey_highlight(gain_of, shaven):
    gain, beard = gain_of(lambda beard: np.full((*beard.shape, 3), 0.8, np.float32), shaven=shaven)
    assert (gain[beard > 0.99].mean() > -0.01) == shaven
    red_over_blue = gain[..., 0] - gain[..., 2]
    assert red_over_blue[OTHER_CHEEK].mean() > 0.03 > red_over_blue[CHEEK].mean()


@pytest.mark.parametrize(
    ("edits", "yaw", "strength"),
    [
        ({"Smiling": 1.0}, 30, 1),
        ({"Smiling": 1.0}, -38, 0.5),
        ({"Smiling": 1.0}, 46, 0),
        ({"Blond_Hair": 1.0}, 46, 1),
        ({"Blond_Hair": 1.0}, -53, 0.5),
        ({"Blond_Hair": 1.0, "Smiling": 1.0}, 38, 0.5),
    ],
)
def test_a_turned_face_is_edited_less_and_its_hair_later(editor, frame, monkeypatch, edits, yaw, strength):
    straight = editor.edit(frame, edits, faces=0).image_hwc_bgr
    follow, pose = editor.path.net.follow, np.array([[yaw, 0, 0]] * 2, np.float32)
    monkeypatch.setattr(editor.path.net, "follow", lambda *seen: replace(follow(*seen), pose=pose))
    result = editor.edit(frame, edits, faces=0)
    assert result.faces[0].strength == pytest.approx(strength)
    if "Blond_Hair" not in edits:
        less, most = (np.abs(each.astype(int) - frame).sum() for each in (result.image_hwc_bgr, straight))
        assert most > 0 and less / most == pytest.approx(strength, abs=0.1)


@pytest.mark.parametrize("place", [(-60, -40), (430, 150), (-400, 100)])
@pytest.mark.parametrize("scale", [0.1, 1.5, 8.0])
def test_faces_at_the_edge_tiny_and_larger_than_the_frame(editor, frame, place, scale):
    face = found(face_points() * scale + np.array(place))
    try:
        result = editor.edit(frame, {"Smiling": 2.0, "Blond_Hair": 1.0}, detections=[face])
    except NoFaceError:
        return
    assert result.image_hwc_bgr.shape == frame.shape
