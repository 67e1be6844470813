"""Lips along the photo's own edges, on mouths whose thickness is known."""

import cv2
import numpy as np
import pytest
from made_up_face import face_points

from aif.runtime.faces.lips import along_edges
from aif.runtime.geometry.points import INNER_LIP, OUTER_LIP

SKIN, LIP, TEETH, HAIR = (140, 170, 220), (95, 95, 185), (225, 230, 235), (40, 50, 60)
MIDDLE = [*range(3, 8), *range(13, 18)]
"""Points of the outer lip, above and below, away from the corners."""


def mouth(scale=2.0, upper=0.6, lower=0.8, lip=LIP, teeth=TEETH):
    """A picture whose lips end at shares of the way from the inner to the outer landmarks, and these."""
    points = face_points(8.0) * np.float32(scale)
    outer, inner = points[OUTER_LIP], points[INNER_LIP]
    share = np.ones((20, 1))
    share[1:10], share[11:] = upper, lower
    image = np.full((round(128 * scale), round(128 * scale), 3), SKIN, np.uint8)
    for ring, colour in ((inner + share * (outer - inner), lip), (inner, teeth)):
        cv2.fillPoly(image, [np.round(ring * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(image, (0, 0), 0.3 * scale), points


def shares(image, points):
    """Where the outer lip was found, above and below: shares of the way to where it was said to be."""
    found = along_edges(image, points)
    others = np.setdiff1d(np.arange(len(points)), np.arange(OUTER_LIP.start, OUTER_LIP.stop))
    np.testing.assert_array_equal(found[others], points[others])
    inner = points[INNER_LIP]
    far = np.linalg.norm(found[OUTER_LIP] - inner, axis=1) / np.linalg.norm(points[OUTER_LIP] - inner, axis=1)
    return far[MIDDLE[:5]], far[MIDDLE[5:]]


@pytest.mark.parametrize("scale", [1.0, 2.0, 6.0])
@pytest.mark.parametrize("upper, lower", [(0.6, 0.8), (0.8, 1.0), (1.0, 0.6), (1.1, 1.1)])
def test_lips_are_found_where_they_end(scale, upper, lower):
    above, below = shares(*mouth(scale, upper, lower))
    np.testing.assert_allclose(above, upper, atol=0.11)
    np.testing.assert_allclose(below, lower, atol=0.11)


def _lit_from_the_left(image):
    return (image * np.linspace(1.0, 0.35, image.shape[1])[:, None]).astype(np.uint8)


def _noisy(image):
    noise = np.random.default_rng(0).normal(0, 12, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _bearded(image):
    """With stubble below the mouth, and a moustache."""
    hair = np.zeros(image.shape[:2], np.uint8)
    cv2.ellipse(hair, (128, 202), (60, 34), 0, 0, 360, 255, -1)
    skin = (np.abs(image.astype(int) - SKIN).sum(axis=2) < 20) & (hair > 0)
    return np.where(skin[..., None], np.uint8(HAIR), image)


def _grey(image):
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def _highlight(image):
    return cv2.circle(image.copy(), (128, 222), 3, (240, 240, 250), -1)


@pytest.mark.parametrize("change", [_lit_from_the_left, _noisy, _bearded, _grey, _highlight])
def test_light_noise_beards_and_highlights_do_not_move_them(change):
    image, points = mouth()
    above, below = shares(change(image), points)
    np.testing.assert_allclose(above, 0.6, atol=0.16)
    np.testing.assert_allclose(below, 0.8, atol=0.16)


def test_without_an_edge_the_network_is_believed():
    image, points = mouth(lip=SKIN, teeth=SKIN)
    np.testing.assert_array_equal(along_edges(_noisy(image), points), points)


@pytest.mark.parametrize(
    "image, points",
    [
        (mouth()[0][:180], mouth()[1]),
        (mouth()[0], mouth()[1] + (90, 0)),
        (mouth(0.4)[0], mouth(0.4)[1]),
        (np.zeros((0, 0, 3), np.uint8), mouth()[1]),
    ],
    ids=["cut off below", "beyond the edge", "too small", "empty"],
)
def test_mouths_that_are_not_in_the_picture_stay_as_they_are(image, points):
    assert along_edges(image, points) is points


def moved(image, points):
    return float(np.abs(along_edges(image, points) - points).max())


def test_they_come_by_degrees_with_size_and_with_room():
    sizes = [moved(*mouth(scale)) / scale for scale in np.linspace(0.4, 1.0, 31)]
    assert sizes[0] == 0 and sizes[-1] > 0.5 and np.abs(np.diff(sizes)).max() < 0.5
    image, points = mouth(2.0)
    rooms = [moved(image[:height], points) for height in range(226, 257, 2)]
    assert rooms[0] == 0 and rooms[-1] > 2 and np.abs(np.diff(rooms)).max() < 1.2


def test_points_that_are_none_are_given_back():
    image, points = mouth()
    points[OUTER_LIP.start + 4] = np.nan
    assert along_edges(image, points) is points
