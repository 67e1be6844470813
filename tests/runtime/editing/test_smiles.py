"""Mouths are about as wide as people's when a smile comes or goes."""

import numpy as np
import pytest
from made_up_face import face_points

from aif.runtime.editing.shape.smiles import SLOPE, SMILE, SMILE_SLOPE, WIDTH, naturally_wide
from aif.runtime.geometry import points as dense

POINTS = face_points() / np.float32(128)
EYES = np.linalg.norm(POINTS[dense.LEFT_EYE].mean(axis=0) - POINTS[dense.RIGHT_EYE].mean(axis=0))


def width(points):
    return float(np.linalg.norm(points[dense.RIGHT_MOUTH] - points[dense.LEFT_MOUTH]))


def narrowed(share, points=POINTS):
    """Movements that leave a mouth a share of its width."""
    moves = np.zeros_like(points)
    lips = [*range(dense.COUNT)[dense.OUTER_LIP], *range(dense.COUNT)[dense.INNER_LIP]]
    middle = (points[dense.LEFT_MOUTH] + points[dense.RIGHT_MOUTH]) / 2
    moves[lips] = (share - 1) * (points[lips] - middle)
    return moves


@pytest.mark.parametrize("share", [0.5, 0.65, 0.8])
def test_what_a_mouth_lacks_in_width_is_given_back(share):
    moves = naturally_wide(POINTS, narrowed(share))
    wide = width(POINTS)
    wanted = max(share * wide, min(wide, WIDTH * EYES + SLOPE * wide))
    assert width(POINTS + moves) == pytest.approx(wanted, rel=1e-5)
    given = moves - narrowed(share)
    assert np.abs(given[dense.LEFT_EYE]).max() < 0.05 * np.abs(given).max()
    np.testing.assert_allclose(given.sum(axis=0), 0, atol=0.02)  # to both sides alike


@pytest.mark.parametrize("share", [1.1, 1.3, 1.6])
def test_what_a_mouth_is_wider_than_people_s_is_given_back(share):
    wide = 0.75 * EYES / width(POINTS)  # as most are without a smile
    usual = POINTS + narrowed(wide)
    moves = naturally_wide(usual, narrowed(share, usual))
    wanted = min(share * width(usual), SMILE * EYES + SMILE_SLOPE * width(usual))
    assert width(usual + moves) == pytest.approx(wanted, rel=1e-5)
    assert wanted < 1.36 * width(usual) and (share > 1.3) == (wanted < 0.99 * share * width(usual))
    broad = POINTS + narrowed(1.2 * EYES / width(POINTS))
    kept = naturally_wide(broad, narrowed(1.1, broad))
    assert width(broad + kept) == pytest.approx(width(broad), rel=1e-5)  # it may be as wide as it was


def test_it_goes_along_with_a_turned_head():
    turn = np.float32([[0.8, -0.6], [0.6, 0.8]])
    turned = naturally_wide(POINTS @ turn.T, narrowed(0.6) @ turn.T)
    np.testing.assert_allclose(turned, naturally_wide(POINTS, narrowed(0.6)) @ turn.T, atol=1e-6)


def test_mouths_that_are_wide_enough_or_are_none_stay_as_they_are():
    for moves in (narrowed(1.05), narrowed(1.0), narrowed(0.0)):
        np.testing.assert_array_equal(naturally_wide(POINTS, moves), moves)
    small = POINTS.copy()
    small[dense.OUTER_LIP] = small[dense.OUTER_LIP].mean(axis=0) + 0.5 * (
        small[dense.OUTER_LIP] - small[dense.OUTER_LIP].mean(axis=0)
    )
    kept = naturally_wide(small, narrowed(0.9, small))
    assert width(small + kept) == pytest.approx(width(small), rel=1e-5)  # it may be as narrow as it was


def test_it_is_smooth_in_the_movement():
    widths = [width(POINTS + naturally_wide(POINTS, narrowed(1 - s))) for s in np.linspace(0, 0.6, 61)]
    assert (np.diff(widths) <= 1e-6).all() and np.abs(np.diff(widths)).max() < 0.02 * width(POINTS)
    widths = [width(POINTS + naturally_wide(POINTS, narrowed(1 + s))) for s in np.linspace(0, 0.6, 61)]
    assert (np.diff(widths) >= -1e-6).all() and np.abs(np.diff(widths)).max() < 0.02 * width(POINTS)
