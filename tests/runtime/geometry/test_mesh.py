"""Triangles over pixels."""

import numpy as np
import pytest

from aif.runtime.geometry.mesh import evaluate, linear_fields, raster, signed_areas

SQUARE = np.array([[0, 0], [9, 0], [9, 9], [0, 9]], np.float32)
HALVES = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


@pytest.mark.parametrize(
    ("vertices", "triangles", "expected"),
    [
        pytest.param(SQUARE, HALVES, {0, 1}, id="two halves"),
        pytest.param(SQUARE - 100, HALVES, {-1}, id="outside"),
        pytest.param(SQUARE * 100, HALVES, {0, 1}, id="larger than the picture"),
        pytest.param(SQUARE, HALVES[[0, 0]], {-1, 1}, id="the later one covers"),
        pytest.param(SQUARE, np.empty((0, 3), np.int32), {-1}, id="none"),
    ],
)
def test_raster(vertices, triangles, expected):
    ids = raster(vertices, triangles, (10, 10))
    assert ids.shape == (10, 10)
    assert set(np.unique(ids).tolist()) == expected


@pytest.mark.parametrize("seed", range(20))
def test_a_triangle_covers_the_pixels_whose_centres_lie_in_it(seed):
    corners = np.random.default_rng(seed).uniform(-8, 28, (3, 2))
    ids = raster(corners, np.array([[0, 1, 2]], np.int32), (20, 20))
    centres = np.stack(np.meshgrid(np.arange(20), np.arange(20)), axis=-1)
    (ax, ay), (bx, by) = (np.moveaxis(centres - corner, 2, 0) for corner in corners[:2])
    (cx, cy) = np.moveaxis(centres - corners[2], 2, 0)
    turns = np.sign([ax * by - ay * bx, bx * cy - by * cx, cx * ay - cy * ax])
    np.testing.assert_array_equal(ids == 0, np.abs(turns.sum(axis=0)) == 3)


def test_fields_are_linear_and_meet_at_the_corners():
    values = np.array([[0, 5], [9, 5], [18, -4], [9, -4]], np.float32)  # x + y, 5 - y
    fields = linear_fields(SQUARE, values, HALVES)
    at = np.arange(10, dtype=np.float32)
    found = evaluate(raster(SQUARE, HALVES, (10, 10)), fields, at, at, fill=-7)
    np.testing.assert_allclose(found[0], at[None] + at[:, None], atol=1e-4)
    np.testing.assert_allclose(found[1], np.broadcast_to(5 - at[:, None], (10, 10)), atol=1e-4)
    assert (evaluate(np.full((2, 2), -1, np.int32), fields, at[:2], at[:2], fill=-7) == -7).all()


def test_a_triangle_without_area_is_constant():
    line = np.array([[0, 0], [5, 5], [9, 9]], np.float32)
    fields = linear_fields(line, [[1.0], [2.0], [6.0]], np.array([[0, 1, 2]], np.int32))
    np.testing.assert_allclose(fields.ravel(), [0, 0, 3, 1, 6])


@pytest.mark.parametrize(("order", "sign"), [((0, 1, 2), 1), ((0, 2, 1), -1), ((0, 0, 1), 0)])
def test_signed_areas(order, sign):
    area = signed_areas(SQUARE, np.array([order], np.int32))[0]
    assert np.sign(area) == sign
    assert abs(area) == 81 * abs(sign)
