"""Mouths and noses move about as far as people's when a smile comes or goes."""

import numpy as np
import pytest
from made_up_face import face_points

from aif.runtime.editing.shape.expressions import (
    LOWER,
    SLOPE,
    SMILE,
    SMILE_SLOPE,
    TIP,
    UPPER,
    WIDTH,
    natural,
)
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
    moves[lips, 0] = (share - 1) * (points[lips] - middle)[:, 0]
    return moves


@pytest.mark.parametrize("share", [0.5, 0.65, 0.8])
def test_what_a_mouth_lacks_in_width_is_given_back(share):
    moves = natural(POINTS, narrowed(share))
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
    moves = natural(usual, narrowed(share, usual))
    wanted = min(share * width(usual), SMILE * EYES + SMILE_SLOPE * width(usual))
    assert width(usual + moves) == pytest.approx(wanted, rel=1e-5)
    assert wanted < 1.36 * width(usual) and (share > 1.3) == (wanted < 0.99 * share * width(usual))
    broad = POINTS + narrowed(1.2 * EYES / width(POINTS))
    kept = natural(broad, narrowed(1.1, broad))
    assert width(broad + kept) == pytest.approx(width(broad), rel=1e-5)  # it may be as wide as it was


def test_it_goes_along_with_a_turned_head():
    turn = np.float32([[0.8, -0.6], [0.6, 0.8]])
    turned = natural(POINTS @ turn.T, narrowed(0.6) @ turn.T)
    np.testing.assert_allclose(turned, natural(POINTS, narrowed(0.6)) @ turn.T, atol=1e-6)


def test_mouths_that_are_wide_enough_or_are_none_stay_as_they_are():
    for moves in (narrowed(1.05), narrowed(1.0), narrowed(0.0)):
        np.testing.assert_array_equal(natural(POINTS, moves), moves)
    small = POINTS.copy()
    small += narrowed(0.5)
    kept = natural(small, narrowed(0.9, small))
    assert width(small + kept) == pytest.approx(width(small), rel=1e-5)  # it may be as narrow as it was


def test_it_is_smooth_in_the_movement():
    widths = [width(POINTS + natural(POINTS, narrowed(1 - s))) for s in np.linspace(0, 0.6, 61)]
    assert (np.diff(widths) <= 1e-6).all() and np.abs(np.diff(widths)).max() < 0.02 * width(POINTS)
    widths = [width(POINTS + natural(POINTS, narrowed(1 + s))) for s in np.linspace(0, 0.6, 61)]
    assert (np.diff(widths) >= -1e-6).all() and np.abs(np.diff(widths)).max() < 0.02 * width(POINTS)


def raised(corners, points=POINTS):
    """Movements that raise the corners of a mouth by so many eye distances, and what is between by less."""
    moves = np.zeros_like(points)
    half = width(points) / 2
    middle = (points[dense.LEFT_MOUTH] + points[dense.RIGHT_MOUTH]) / 2
    for ring in (dense.OUTER_LIP, dense.INNER_LIP):
        moves[ring, 1] = -corners * EYES * ((points[ring] - middle)[:, 0] / half) ** 2
    return moves


def height(points):
    """How far the corners are above the middle of the lips, in eye distances."""
    upper, lower = (points[lip][4, 1] for lip in (dense.UPPER_LIP, dense.LOWER_LIP))
    return float((upper + lower) / 2 - (points[dense.LEFT_MOUTH] + points[dense.RIGHT_MOUTH])[1] / 2) / EYES


@pytest.mark.parametrize("own", [-0.08, 0.0, 0.12])
@pytest.mark.parametrize("corners", [0.02, 0.08, 0.25, -0.02, -0.08, -0.25])
def test_corners_of_a_mouth_rise_and_hang_no_further_than_people_s(own, corners):
    face = POINTS + raised(own)
    was, moves = height(face), raised(corners, face)
    after = face + natural(face, moves)
    lips = [*dense.UPPER_LIP[2:-2], *dense.LOWER_LIP[2:-2]]
    least = min(-0.024 + 0.22 * was, was - 0.035)  # as measured, and half of what people do
    most = max(0.104 + 0.43 * was, was + 0.035)
    assert height(after) == pytest.approx(min(max(was + corners, least), most), abs=0.008)
    assert np.abs(after[lips] - (face + moves)[lips]).max() < 0.5 * abs(corners) * EYES + 1e-4


def everything(points):
    """Movements that go too far in all that is bounded."""
    moves = narrowed(0.6, points) + raised(-0.3, points)
    moves[dense.NOSE, 1] += 0.05
    outer = dense.UPPER_LIP - dense.INNER_TO_OUTER
    moves[outer] += 0.8 * (points[dense.UPPER_LIP] - points[outer])
    return moves


def test_all_of_it_goes_along_with_a_rolled_and_a_mirrored_face():
    moves = everything(POINTS)
    given = natural(POINTS, moves)
    assert np.abs(given - moves).max() > 0.03
    turn = np.float32([[0.6, 0.8], [-0.8, 0.6]])
    np.testing.assert_allclose(natural(POINTS @ turn, moves @ turn), given @ turn, atol=1e-6)
    flip = np.float32([-1, 1])
    mirrored = natural(POINTS[dense.MIRROR] * flip, moves[dense.MIRROR] * flip)
    np.testing.assert_allclose(mirrored, given[dense.MIRROR] * flip, atol=1e-6)
    np.testing.assert_allclose(natural(3 * POINTS, 3 * moves), 3 * given, atol=1e-5)


def test_what_is_given_back_stays_near_the_mouth_and_the_nose():
    given = natural(POINTS, everything(POINTS)) - everything(POINTS)
    far = [*range(dense.COUNT)[dense.LEFT_BROW], *range(dense.COUNT)[dense.LEFT_EYE], 0]
    assert np.abs(given[far]).max() < 0.15 * np.abs(given).max()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 1.1, 2.0])
def test_lips_stay_about_as_thick_as_they_are(share):
    moves = np.zeros_like(POINTS)
    pairs = [(dense.UPPER_LIP, UPPER), (dense.LOWER_LIP, LOWER)]
    for inner, _ in pairs:
        outer = inner - dense.INNER_TO_OUTER
        moves[outer] = (share - 1) * (POINTS[outer] - POINTS[inner])
    after = POINTS + natural(POINTS, moves)
    for inner, (least, most) in pairs:
        outer = inner - dense.INNER_TO_OUTER
        was, now = (np.abs(p[outer, 1] - p[inner, 1])[2:-2] for p in (POINTS, after))
        np.testing.assert_allclose(now / was, np.clip(share, least, most), rtol=0.05)


def test_a_nose_hardly_goes_up_or_down_and_may_widen():
    moves = np.zeros_like(POINTS)
    moves[dense.NOSE] = (0, 0.05 * EYES)
    moves[140, 0] = 0.02
    given = natural(POINTS, moves)
    assert given[dense.NOSE_TIP, 1] == pytest.approx(TIP * EYES, rel=1e-4)
    assert given[140, 0] == pytest.approx(0.02, abs=1e-6)
    little = 0.1 * moves
    np.testing.assert_allclose(natural(POINTS, little), little, atol=1e-7)


def test_the_head_does_not_move_with_an_expression():
    moves = np.random.default_rng(0).normal(0, 0.01, (2, *POINTS.shape)).astype(np.float32)
    moves[1] += (0.02, -0.03)
    still = dense.head_still(moves)
    np.testing.assert_allclose(still[:, [76, 84, 92, 100]].mean(axis=1), 0, atol=1e-7)
    np.testing.assert_allclose(
        still - still[:, :1], moves - moves[:, :1], atol=1e-7
    )  # as they were among them
