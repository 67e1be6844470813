"""The landmark network's geometry, and the network on pictures whose answer is known."""

import math

import cv2
import numpy as np
import pytest
from made_up_face import face_points
from tiny_bundles import landmark_net, matte_net

from aif.runtime.errors import BundleError
from aif.runtime.faces.landmarks import (
    LandmarkNet,
    box_from_landmarks,
    close_view,
    landmark_angle,
    landmark_crop,
)
from aif.runtime.geometry.align import TEMPLATE_128, transform_points
from aif.runtime.geometry.points import COUNT, LEFT_MOUTH, NOSE_TIP, RIGHT_MOUTH, five_points

TURNS = [0.0, 0.3, -0.7, math.pi / 2, 3.0]
DENSE = face_points()
ORIGIN = np.array([64, 79])
"""What the tiny network puts around the middle of all that is red, at 120 px of the template a crop."""
MIDDLE = TEMPLATE_128.mean(axis=0)
EXACT = face_points()
EXACT[[NOSE_TIP, LEFT_MOUTH, RIGHT_MOUTH]] = TEMPLATE_128[2:]


@pytest.fixture(scope="module")
def net():
    return LandmarkNet(landmark_net(), threads=1)


def _turned(points, angle, scale=1.0, shift=(0, 0)):
    """The points, turned clockwise as seen in the image, scaled and shifted."""
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return (points @ turn.T * scale + shift).astype(np.float32)


@pytest.mark.parametrize("template", [TEMPLATE_128, EXACT], ids=["five", "dense"])
@pytest.mark.parametrize("angle", TURNS)
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_angle_and_box_of_a_moved_template(template, angle, scale):
    points = _turned(template, angle, scale, (500, -20))
    x, y, width, height = box_from_landmarks(points)
    assert landmark_angle(points) == pytest.approx(angle, abs=1e-3)
    assert width == height == pytest.approx(96 * scale, rel=1e-3)
    centre = _turned(TEMPLATE_128, angle, scale, (500, -20)).mean(axis=0)
    # The box's centre is above the points' mean, along the face's own upward direction.
    up = np.array([math.sin(angle), -math.cos(angle)])
    expected = centre + up * (MIDDLE[1] - 74.0) * scale
    np.testing.assert_allclose([x + width / 2, y + height / 2], expected, atol=0.01 * scale + 0.01)
    close, turn = close_view(points)
    assert close[2] == close[3] == pytest.approx(80 * scale, rel=1e-3) and turn == landmark_angle(points)
    np.testing.assert_allclose(close[:2] + close[2:] / 2, expected, atol=0.01 * scale + 0.01)


@pytest.mark.parametrize(
    "points",
    [np.zeros((5, 2)), np.zeros((4, 2)), np.full((5, 2), np.nan), np.zeros((COUNT, 2)), np.zeros((0, 2))],
)
def test_points_that_make_no_face(net, points):
    for function in (box_from_landmarks, landmark_angle, close_view):
        with pytest.raises(ValueError, match="landmarks"):
            function(points)
    with pytest.raises(ValueError, match="landmarks"):
        net.follow(np.zeros((9, 9, 3), dtype=np.uint8), [points])


@pytest.mark.parametrize("angle", TURNS)
@pytest.mark.parametrize("box", [(10, 20, 60, 60), (-30, -10, 50, 80), (90, 70, 200, 20)])
def test_crop_puts_the_box_in_its_middle(box, angle):
    frame = np.zeros((100, 120, 3), dtype=np.uint8)
    crop, matrix = landmark_crop(frame, box, 64, angle)
    assert crop.shape == (64, 64, 3) and matrix.dtype == np.float32
    x, y, width, height = box
    centre = np.array([x + width / 2, y + height / 2])
    np.testing.assert_allclose(transform_points(centre[None], matrix)[0], [32, 32], atol=1e-3)
    # What points along `angle` in the frame is to the right in the crop, at 1.5 boxes a crop.
    step = np.array([math.cos(angle), math.sin(angle)]) * max(width, height)
    np.testing.assert_allclose(
        transform_points((centre + step)[None], matrix)[0], [32 + 64 / 1.5, 32], atol=1e-2
    )


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 10), (0, 0, 10, -1), (math.nan, 0, 10, 10), (0, 0, math.inf, 10), (0, 0, 10)]
)
def test_boxes_that_are_none(net, box):
    frame = np.zeros((50, 50, 3), dtype=np.uint8)
    with pytest.raises(ValueError):
        landmark_crop(frame, box, 32)
    with pytest.raises(ValueError):
        net.refine_all(frame, [box])


def _red_disc(centre):
    frame = np.zeros((240, 320, 3), dtype=np.uint8)
    cv2.circle(frame, centre, 8, (0, 0, 255), -1)
    return frame


@pytest.mark.parametrize("centre", [(160, 120), (30, 30), (300, 220)])
def test_finds_the_points_in_frame_pixels(net, centre):
    """The toy network puts the points around what is red: channels, crop and way back must be right."""
    box = (centre[0] - 45, centre[1] - 35, 90, 90)
    faces = net.refine_all(_red_disc(centre), [box])
    # The first crop is 1.5 boxes wide and the toy takes it for a close one; the next keep that size.
    expected = (DENSE - ORIGIN) * (1.5 * 90 / 120) + centre
    np.testing.assert_allclose(faces.points[0], expected, atol=1.5)
    assert faces.points.dtype == np.float32 and faces.confidence.tolist() == [1.0]


def test_roll_is_that_of_the_frame(net):
    """The toy gives pose 0 in its crop, so the frame's roll is how far the crop was turned."""
    places = [_turned(DENSE - ORIGIN, angle, 0.7, (160, 120)) for angle in (0.5, -0.2)]
    views = [close_view(points) for points in places]
    seen = net._look([_red_disc((160, 120))] * 2, views)
    np.testing.assert_allclose(seen.pose[:, 2], np.degrees([0.5, -0.2]), atol=0.01)
    np.testing.assert_allclose(seen.pose[:, :2], 0)
    # An upright face in a turned crop is a turned face in the frame: here the places themselves.
    np.testing.assert_allclose(seen.points, np.stack(places), atol=1.5)


def test_many_boxes_are_as_good_as_one(net):
    frame = _red_disc((60, 60)) + _red_disc((250, 170))
    boxes = [(20, 20, 80, 80), (200, 130, 90, 90), (150, 20, 40, 40)]
    faces = net.refine_all(frame, boxes)
    assert faces.confidence.tolist() == [1, 1, 0] and len(faces) == 3
    for index, box in enumerate(boxes):
        np.testing.assert_allclose(net.refine_all(frame, [box]).points[0], faces.points[index], atol=1e-3)


def test_no_faces(net):
    frame = _red_disc((9, 9))
    crops = np.zeros((0, 128, 128, 3), dtype=np.uint8)
    for none in (net.refine_all(frame, []), net.follow(frame, []), net.in_crops(crops)):
        assert none.points.shape == (0, COUNT, 2) and none.pose.shape == (0, 3) and len(none) == 0


@pytest.mark.parametrize("graph", [matte_net(), b""], ids=["another network", "nothing"])
def test_a_graph_that_is_no_landmark_network(graph):
    with pytest.raises(BundleError):
        LandmarkNet(graph)


@pytest.mark.parametrize("size", [64, 128, 256])
def test_faces_in_template_crops(net, size):
    crops = np.zeros((2, size, size, 3), dtype=np.uint8)
    centre = (ORIGIN * size / 128).round().astype(int).tolist()
    cv2.circle(crops[1], centre, size // 16, (0, 0, 255), -1)
    faces = net.in_crops(crops)
    np.testing.assert_allclose(faces.points[1], DENSE * (size / 128), atol=1.5 * size / 128)
    assert faces.confidence.tolist() == [0, 1]


@pytest.mark.parametrize("five", [False, True])
@pytest.mark.parametrize(("away", "looks"), [(0, 1), (0.5, 1), (20, 2), (400, 5)])
def test_follows_until_the_points_stay(net, monkeypatch, away, looks, five):
    """A face that rests takes one look, one that has moved takes more, but no more than five."""
    calls, look = [], LandmarkNet._look
    monkeypatch.setattr(LandmarkNet, "_look", lambda *args: calls.append(len(args[2])) or look(*args))
    wanted = (DENSE - ORIGIN) * 90 / 96 + (160, 120)
    places = [wanted + np.array((away, 0)), wanted]
    faces = net.follow(_red_disc((160, 120)), [five_points(p) for p in places] if five else places)
    assert len(calls) <= looks and calls[0] == 2
    np.testing.assert_allclose(faces.points[1], wanted, atol=1.5)
    if away < 100:
        np.testing.assert_allclose(faces.points[0], wanted, atol=1.5)
        assert faces.confidence.tolist() == [1, 1] and len(calls) == looks
