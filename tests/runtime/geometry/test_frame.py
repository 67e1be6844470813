"""The texture frame: every face on one shape."""

import cv2
import numpy as np
import pytest
from made_up_face import face_picture, face_points, made_up_frame

from aif.runtime.geometry import points as dense
from aif.runtime.geometry.align import similarity_transform, transform_points
from aif.runtime.geometry.frame import Frame
from aif.train.shape.faces.mean_shape import aligned, make_frame

FRAME = made_up_frame()


def test_landmarks_of_any_face_lie_on_the_mean_shape():
    points = face_points(opening=3)
    points[dense.OUTER_LIP] += (2, -3)
    points[dense.LEFT_BROW] -= (1, 4)
    image = np.zeros((128, 128, 3), np.uint8)
    shown = [0, 40, 50, 80, 113, 133]
    for number in shown:
        cv2.circle(image, tuple(int(v) for v in points[number] * 16), 24, (255, 255, 255), -1, shift=4)
    texture = FRAME.normalise(image, points, 128).mean(axis=2)
    for number in shown:
        x, y = np.round(FRAME.mean[number] * 128).astype(int)
        patch = texture[y - 4 : y + 5, x - 4 : x + 5]
        rows, columns = np.indices(patch.shape) - 4
        centre = np.array([(patch * columns).sum(), (patch * rows).sum()]) / patch.sum()
        assert np.abs(centre).max() < 1.2, number


@pytest.mark.parametrize(
    ("angle", "scale"), [(0, 1.0), (25, 1.0), (-40, 1.6), (180, 1.2), (0, 3.0)], ids=lambda v: f"{v:g}"
)
def test_place_size_and_roll_of_a_face_do_not_matter(angle, scale):
    points = face_points()
    picture = face_picture(points, 128)
    expected = FRAME.normalise(picture, points, 128)
    side = round(260 * scale)
    matrix = cv2.getRotationMatrix2D((64, 64), angle, scale)
    matrix[:, 2] += side / 2 - 64
    moved = cv2.warpAffine(
        picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    found = FRAME.normalise(moved, transform_points(points, matrix), 128)
    inside = FRAME.mask(128, dense.FACE_OVAL, grow=0.9) > 0.5
    assert np.abs(found.astype(float) - expected)[inside].mean() < 5


@pytest.mark.parametrize(
    "points",
    [np.zeros((5, 2)), np.full((221, 2), np.nan), np.zeros((221, 2)), np.full((221, 2), 7.0)],
    ids=["five", "not finite", "all at the origin", "all in one point"],
)
def test_landmarks_that_are_none(points):
    with pytest.raises(ValueError, match="landmarks"):
        FRAME.normalise(np.zeros((128, 128, 3), np.uint8), points, 128)


def test_masks_follow_their_ring():
    eye = FRAME.mask(128, dense.LEFT_EYE)
    assert eye[62, 46] == 1
    assert eye[62, 82] == 0
    assert FRAME.mask(128, dense.LEFT_EYE, grow=2.0).sum() > 3 * eye.sum()
    assert 0 < FRAME.mask(128, dense.LEFT_EYE, blur=2.0)[58, 46] < 1


@pytest.mark.parametrize(
    ("mean", "triangles"),
    [
        (np.zeros((5, 2), np.float32), FRAME.triangles),
        (np.full((221, 2), np.inf, np.float32), FRAME.triangles),
        (FRAME.mean, np.empty((0, 3), np.int32)),
        (FRAME.mean, np.array([[0, 1, 257]], np.int32)),
        (FRAME.mean, np.array([[0, 1, -1]], np.int32)),
    ],
    ids=["five points", "infinite", "no triangle", "no such vertex", "a negative vertex"],
)
def test_frames_that_are_none(mean, triangles):
    with pytest.raises(ValueError):
        Frame(mean, triangles)


def test_the_mean_shape_is_symmetric_and_has_an_open_mouth():
    rng = np.random.default_rng(0)
    faces = np.stack([face_points(opening) for opening in (0, 0, *[5] * 6, *[7] * 6)]) / 128
    faces = faces + rng.normal(0, 0.0005, faces.shape)
    frame = make_frame(faces)
    mirrored = frame.mean[dense.MIRROR] * (-1, 1) + (2 * frame.mean[:, 0].mean(), 0)
    np.testing.assert_allclose(mirrored, frame.mean, atol=1e-5)
    assert 5 < dense.mouth_opening(frame.mean) * 128 < 7
    assert frame.inner_mouth.sum() == 18  # a polygon of 20 corners


def test_mirror_is_its_own_inverse_and_keeps_groups():
    assert (dense.MIRROR[dense.MIRROR] == np.arange(dense.COUNT)).all()
    for one, other in (
        ("LEFT_EYE", "RIGHT_EYE"),
        ("LEFT_BROW", "RIGHT_BROW"),
        ("NOSE", "NOSE"),
        ("SKIN", "SKIN"),
    ):
        here, there = getattr(dense, one), getattr(dense, other)
        assert sorted(dense.MIRROR[here]) == list(range(there.start, there.stop))


def test_five_points_of_dense_ones():
    found = dense.five_points(np.stack([face_points(), face_points() + 3]))
    assert found.shape == (2, 5, 2)
    np.testing.assert_allclose(found[0, :2], [(46, 62), (82, 62)], atol=1e-4)
    np.testing.assert_allclose(found[1] - found[0], 3, atol=1e-4)


def test_aligned_faces_have_their_eyes_on_the_template():
    assert aligned(np.empty((0, 221, 2)), 128).shape == (0, 221, 2)
    matrix = similarity_transform(dense.five_points(face_points()), 64)
    np.testing.assert_allclose(
        aligned(face_points()[None], 64)[0] * 64, transform_points(face_points(), matrix)
    )


@pytest.mark.parametrize("side", [-1, 1])
def test_the_rim_of_a_turned_face_does_not_face_the_camera(side):
    assert (FRAME.facing(FRAME.mean) == 1).all()
    turned = FRAME.mean.copy()
    beyond = side * (turned[:, 0] - 0.5)
    turned[:, 0] = np.where(beyond > 0, 0.5 + side * 0.05 * beyond, turned[:, 0])
    shown = FRAME.facing(turned)
    assert shown[beyond > 0.1].max() < 0.05 and shown[beyond < -0.1].min() == 1
    assert FRAME.facing(turned + 0.2) == pytest.approx(shown, abs=1e-4)


def test_smoothed_values_go_towards_their_neighbours():
    values = np.zeros(dense.COUNT, np.float32)
    values[170] = 1
    once, often = FRAME.smoothed(values, 1), FRAME.smoothed(values, 40)
    beside = np.flatnonzero(FRAME.around[170][: dense.COUNT])
    assert once[170] == 0.5 and (once[beside] > 0).all()
    assert np.count_nonzero(once) == 1 + len(beside)
    assert np.ptp(often) < 0.1 * np.ptp(once)
    np.testing.assert_allclose(FRAME.smoothed(np.ones(dense.COUNT, np.float32), 3), 1, rtol=1e-6)


def test_lips_are_no_neighbours_of_each_other():
    assert not FRAME.around[np.ix_(dense.UPPER_LIP, dense.LOWER_LIP)].any()
    assert FRAME.around[dense.UPPER_LIP[4], dense.UPPER_LIP[4] - dense.INNER_TO_OUTER] > 0
    np.testing.assert_allclose(FRAME.around.sum(axis=1), 1, rtol=1e-5)
    assert (np.diagonal(FRAME.around) == 0).all()
