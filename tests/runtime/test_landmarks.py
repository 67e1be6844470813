"""The landmark network's geometry, and the network on pictures whose answer is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from aif.runtime.align import TEMPLATE_128, transform_points
from aif.runtime.bundle import Bundle
from aif.runtime.errors import BundleError
from aif.runtime.landmarks import LandmarkNet, box_from_landmarks, landmark_angle, landmark_crop

TURNS = [0.0, 0.3, -0.7, math.pi / 2, 3.0]


def _turned(angle: float, scale: float = 1.0, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    """The template's points, turned clockwise as seen in the image, scaled and shifted."""
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return (TEMPLATE_128 @ turn.T * scale + shift).astype(np.float32)


@pytest.mark.parametrize("angle", TURNS)
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_angle_and_box_of_a_moved_template(angle: float, scale: float) -> None:
    points = _turned(angle, scale, (500, -20))
    x, y, width, height = box_from_landmarks(points)
    assert landmark_angle(points) == pytest.approx(angle, abs=1e-3)
    assert width == height == pytest.approx(96 * scale, rel=1e-3)
    centre = _turned(angle, scale, (500, -20)).mean(axis=0)
    # The box's centre lies above the points' mean, along the face's own upward direction.
    up = np.array([math.sin(angle), -math.cos(angle)])
    expected = centre + up * (TEMPLATE_128.mean(axis=0)[1] - 74.0) * scale
    np.testing.assert_allclose([x + width / 2, y + height / 2], expected, atol=0.01 * scale + 0.01)


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.zeros((4, 2)), np.full((5, 2), np.nan)])
def test_points_that_make_no_face(points: np.ndarray) -> None:
    for function in (box_from_landmarks, landmark_angle):
        with pytest.raises(ValueError, match="landmarks"):
            function(points)


@pytest.mark.parametrize("angle", TURNS)
@pytest.mark.parametrize("box", [(10, 20, 60, 60), (-30, -10, 50, 80), (90, 70, 200, 20)])
def test_crop_puts_the_box_in_its_middle(box: tuple[float, ...], angle: float) -> None:
    frame = np.zeros((100, 120, 3), dtype=np.uint8)
    crop, matrix = landmark_crop(frame, box, 64, angle)
    assert crop.shape == (64, 64, 3) and matrix.dtype == np.float32
    x, y, width, height = box
    centre = np.array([x + width / 2, y + height / 2])
    np.testing.assert_allclose(transform_points(centre[None], matrix)[0], [32, 32], atol=1e-3)
    # What points along `angle` in the frame lies to the right in the crop, at 1.5 boxes a crop.
    step = np.array([math.cos(angle), math.sin(angle)]) * max(width, height)
    np.testing.assert_allclose(
        transform_points((centre + step)[None], matrix)[0], [32 + 64 / 1.5, 32], atol=1e-2
    )


def test_crop_shows_what_the_matrix_says() -> None:
    frame = np.zeros((200, 200, 3), dtype=np.uint8)
    cv2.circle(frame, (120, 80), 6, (255, 255, 255), -1)
    crop, matrix = landmark_crop(frame, (70, 40, 80, 80), 96, 0.5)
    ys, xs = np.nonzero(crop[:, :, 0] > 127)
    expected = transform_points(np.array([[120, 80]]), matrix)[0]
    np.testing.assert_allclose([xs.mean(), ys.mean()], expected, atol=0.5)


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 10), (0, 0, 10, -1), (math.nan, 0, 10, 10), (0, 0, math.inf, 10), (0, 0, 10)]
)
def test_boxes_that_are_none(box: tuple[float, ...]) -> None:
    with pytest.raises(ValueError):
        landmark_crop(np.zeros((50, 50, 3), dtype=np.uint8), box, 32)


@pytest.fixture(scope="module")
def net(toy_bundle: Bundle) -> LandmarkNet:
    return LandmarkNet(toy_bundle, threads=1)


def _red_disc(centre: tuple[int, int]) -> np.ndarray:
    frame = np.zeros((240, 320, 3), dtype=np.uint8)
    cv2.circle(frame, centre, 8, (0, 0, 255), -1)
    return frame


@pytest.mark.parametrize("passes", [1, 2, 3])
@pytest.mark.parametrize("centre", [(160, 120), (140, 110), (30, 30), (300, 220)])
def test_finds_the_points_in_frame_pixels(net: LandmarkNet, centre: tuple[int, int], passes: int) -> None:
    """The toy network puts the points around what is red: channels, crop and way back must be right."""
    box = (centre[0] - 45, centre[1] - 35, 90, 90)
    landmarks, confidence = net.refine(_red_disc(centre), box, passes)
    expected = TEMPLATE_128 - TEMPLATE_128.mean(axis=0)
    np.testing.assert_allclose(landmarks, expected * 90 / 96 + centre, atol=1.5)
    assert landmarks.dtype == np.float32 and confidence == 1.0


def test_nothing_there(net: LandmarkNet) -> None:
    _, confidence = net.refine(np.zeros((100, 100, 3), dtype=np.uint8), (20, 20, 50, 50))
    assert confidence == 0.0


def test_many_boxes_are_as_good_as_one(net: LandmarkNet) -> None:
    frame = _red_disc((60, 60)) + _red_disc((250, 170))
    boxes = [(20, 20, 80, 80), (200, 130, 90, 90), (150, 20, 40, 40)]
    landmarks, confidence = net.refine_all(frame, boxes)
    assert confidence.tolist() == [1, 1, 0]
    for index, box in enumerate(boxes):
        np.testing.assert_allclose(net.refine(frame, box)[0], landmarks[index], atol=1e-3)
    assert net.refine_all(frame, [])[0].shape == (0, 5, 2)


def test_passes_below_one(net: LandmarkNet) -> None:
    with pytest.raises(ValueError, match="passes"):
        net.refine(_red_disc((50, 50)), (20, 20, 50, 50), passes=0)


def test_a_graph_that_is_no_landmark_network(toy_parts: Any) -> None:
    with pytest.raises(BundleError, match="landmarks Nx5x2"):
        LandmarkNet(toy_parts.files["encoder.onnx"])


def test_a_bundle_without_one(make_bundle: Callable[..., Bundle]) -> None:
    with pytest.raises(BundleError, match="no landmark network"):
        LandmarkNet(make_bundle(landmarks=None))


@pytest.mark.parametrize(("away", "looks"), [(0, 1), (0.5, 1), (20, 2), (400, 5)])
def test_follows_until_the_points_stay(
    net: LandmarkNet, monkeypatch: pytest.MonkeyPatch, away: float, looks: int
) -> None:
    """A face that rests takes one look, one that has moved takes more, but no more than five."""
    calls, look = [], LandmarkNet._look
    monkeypatch.setattr(LandmarkNet, "_look", lambda *args: calls.append(len(args[2])) or look(*args))
    wanted = (TEMPLATE_128 - TEMPLATE_128.mean(axis=0)) * 90 / 96 + (160, 120)
    landmarks, confidence = net.follow(_red_disc((160, 120)), [wanted + np.array((away, 0)), wanted])
    assert len(calls) <= looks and calls[0] == 2
    np.testing.assert_allclose(landmarks[1], wanted, atol=1.5)
    if away < 100:
        np.testing.assert_allclose(landmarks[0], wanted, atol=1.5)
        assert confidence.tolist() == [1, 1] and len(calls) == looks
    assert net.follow(_red_disc((9, 9)), [])[0].shape == (0, 5, 2)
