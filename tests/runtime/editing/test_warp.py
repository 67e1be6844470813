"""Moved landmarks: the photo follows, without cracks, folds or specks of teeth between shut lips."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from made_up_face import face_picture, face_points, made_up_frame

from aif.runtime.editing.shape.warp import FacePlace, plan_warp
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.mesh import signed_areas

FRAME = made_up_frame()
STILL = np.zeros((dense.COUNT, 2), np.float32)


def placed(scale=2.0, opening=6.0, side=300):
    points = face_points(opening) * scale
    photo = face_picture(points, side)
    return photo, FacePlace.of(FRAME, points, photo.shape)


def shut(points):
    """Movements in units of the crop's side after which the lips of `points` (128 px) meet."""
    moves = STILL.copy()
    middle = (points[dense.UPPER_LIP] + points[dense.LOWER_LIP]) / 2
    moves[dense.UPPER_LIP] = (middle - points[dense.UPPER_LIP]) / 128
    moves[dense.LOWER_LIP] = (middle - points[dense.LOWER_LIP]) / 128
    return moves


@pytest.mark.parametrize("scale", [0.8, 1.0, 2.0, 4.0])
def test_no_movement_changes_nothing(scale):
    photo, place = placed(scale, side=round(150 * scale))
    warp = plan_warp(FRAME, place, STILL)
    left, top, right, bottom = place.box
    assert np.abs(warp.apply(photo).astype(int) - photo[top:bottom, left:right]).max() <= 1


def test_a_small_face_keeps_its_fine_detail():
    points = face_points() * 0.4
    photo = np.random.default_rng(0).integers(0, 255, (60, 60, 3)).astype(np.uint8)
    photo = cv2.GaussianBlur(photo, (0, 0), 0.5)
    place = FacePlace.of(FRAME, points, photo.shape)
    left, top, *_ = place.box
    box = plan_warp(FRAME, place, STILL + np.float32(0.5 / 0.4 / 128)).apply(photo)  # half a pixel
    middle = np.s_[25:45, 20:32]
    before, after = (
        float(np.square(cv2.Laplacian(each, cv2.CV_32F)[middle]).mean())
        for each in (photo, cv2.copyMakeBorder(box, top, 0, left, 0, cv2.BORDER_REPLICATE))
    )
    assert after > 0.55 * before


@pytest.mark.parametrize("move", [(0.0, -0.015), (0.02, 0.0), (-0.015, 0.02)])
@pytest.mark.parametrize("scale", [1.0, 2.6])
def test_what_is_at_a_landmark_goes_with_it(move, scale):
    photo, place = placed(scale, side=round(150 * scale))
    moves = STILL.copy()
    moves[dense.LEFT_BROW] = moves[dense.RIGHT_BROW] = move
    box = plan_warp(FRAME, place, moves).apply(photo)
    left, top, *_ = place.box
    for ring in (dense.LEFT_BROW, dense.RIGHT_BROW):
        centre = place.points[ring].mean(axis=0)
        x, y = np.round(centre + np.array(move) * 128 * scale - (left, top)).astype(int)
        here_x, here_y = np.round(centre - (left, top)).astype(int)
        before = photo[top + here_y, left + here_x].astype(int)
        assert np.abs(box[y, x].astype(int) - before).max() < 30
        assert box[y, x].mean() < 90  # dark, as brows are


@pytest.mark.parametrize("scale", [1.0, 2.3, 4.0])
@pytest.mark.parametrize("opening", [3.0, 6.0, 12.0])
def test_no_teeth_show_between_lips_that_are_shut(opening, scale):
    photo, place = placed(scale, opening, side=round(150 * scale))
    warp = plan_warp(FRAME, place, shut(face_points(opening)))
    box = warp.apply(photo)
    left, top, *_ = place.box
    rows = slice(*(round(v * scale) - top for v in (101 - opening / 2, 101 + opening / 2)))
    columns = slice(round(55 * scale) - left, round(73 * scale) - left)
    mouth = box[rows, columns].astype(int)
    assert warp.lips is not None and not np.isnan(warp.lips[1]).any()  # the lips meet without a gap
    assert photo[top:][rows, left:][:, columns][..., 1].max() > 200  # there were teeth
    assert mouth[..., 1].max() < 150  # red lips alone
    assert dense.mouth_opening(warp.moved) < 0.01


def test_a_wild_movement_folds_thin_triangles_at_most_and_leaves_no_crack():
    rng = np.random.default_rng(3)
    _, place = placed()
    moves = rng.normal(0, 0.06, STILL.shape).astype(np.float32)
    warp = plan_warp(FRAME, place, moves)
    before = np.concatenate([place.points, place.anchors])
    after = np.concatenate([warp.moved, place.anchors])
    areas, share = signed_areas(before, FRAME.triangles), signed_areas(after, FRAME.triangles)
    large = np.abs(areas) > 0.25 * np.abs(areas).mean()
    assert (share / areas > 0)[large & ~FRAME.inner_mouth].all()
    wild = signed_areas(
        np.concatenate([place.points + place.in_photo(moves), place.anchors]), FRAME.triangles
    )
    assert (wild / areas < 0)[large & ~FRAME.inner_mouth].sum() > 50  # without care
    assert (warp.texture_grid[..., 0] >= 0).mean() > 0.6 and np.isfinite(warp.offsets).all()


@pytest.mark.parametrize(
    ("offset", "empty"),
    [((0, 0), False), ((-120, 0), False), ((200, 200), False), ((5000, 0), True), ((0, -5000), True)],
)
def test_faces_at_and_beyond_the_border(offset, empty):
    photo, _ = placed()
    place = FacePlace.of(FRAME, face_points() * 2 + np.float32(offset), photo.shape)
    left, top, right, bottom = place.box
    assert (right <= left or bottom <= top) == empty
    if not empty:
        assert 0 <= left < right <= photo.shape[1]
        assert 0 <= top < bottom <= photo.shape[0]
        moves = STILL.copy()
        moves[dense.FACE_OVAL] = 0.02
        assert plan_warp(FRAME, place, moves).apply(photo).shape == (bottom - top, right - left, 3)


def test_movements_turn_and_grow_with_the_face():
    # A quarter turn, three times as large.
    turned = face_points() @ np.array([[0, 3], [-3, 0]], np.float32) + 500
    place = FacePlace.of(FRAME, turned, (1000, 1000))
    assert place.scale == pytest.approx(3, rel=0.05)
    moves = STILL.copy()
    moves[0] = (0.1, 0)
    np.testing.assert_allclose(place.in_photo(moves)[0], (0, 0.1 * 128 * 3), rtol=0.05, atol=1.5)


def test_lips_that_cross_meet_in_a_line():
    points = face_points(6)
    moves = STILL.copy()
    moves[dense.UPPER_LIP, 1], moves[dense.LOWER_LIP, 1] = 6 / 128, -6 / 128
    warp = plan_warp(FRAME, FacePlace.of(FRAME, points, (128, 128)), moves)
    gaps = dense.lip_gaps(warp.moved)
    assert gaps.min() >= -1e-4 and dense.mouth_opening(warp.moved) < 0.01
    crossed = points + moves * 128
    assert dense.mouth_opening(crossed) < -2
    line = warp.moved[dense.UPPER_LIP]
    assert np.abs(np.diff(line[:, 1], n=2)).max() < 1


@pytest.mark.parametrize(
    ("own", "further", "opening"),
    [(0.2, 1.6, 0), (0.2, 4.5, 4.7), (3, 0.6, 3.6), (5, -3.3, 0), (5, -1.5, 3.5), (12, -9.5, 0), (12, -7, 5)],
)
def test_lips_part_plainly_or_not_at_all(own, further, opening):
    points = face_points(own)
    moves = STILL.copy()
    moves[dense.LOWER_LIP, 1] = further / 128
    warp = plan_warp(FRAME, FacePlace.of(FRAME, points, (128, 128)), moves)
    assert dense.mouth_opening(warp.moved) == pytest.approx(opening, abs=0.5)


def test_lips_that_meet_leave_no_stairs():
    face = face_points(8)
    picture = np.full((128, 128, 3), 220, np.uint8)
    picture[: round(float(face[dense.INNER_LIP, 1].mean()))] = 20  # the upper lip and what is above it
    warp = plan_warp(FRAME, FacePlace.of(FRAME, face, picture.shape), shut(face))
    x, y = (warp.moved[dense.UPPER_LIP][4] - warp.place.box[:2]).round().astype(int)
    across = warp.apply(picture)[y - 4 : y + 5, x].astype(int)
    assert across[0].max() < 40 and across[-1].min() > 200
    assert np.abs(np.diff(across, axis=0)).max() < 120


def test_smooth_in_the_movement():
    photo, place = placed()
    moves = STILL.copy()
    moves[dense.OUTER_LIP, 1] = np.linspace(-0.02, 0.02, 20)
    pictures = [plan_warp(FRAME, place, moves * s).apply(photo).astype(float) for s in np.linspace(0, 1, 9)]
    steps = [np.abs(b - a).mean() for a, b in pairwise(pictures)]
    assert max(steps) < 3 * max(min(steps), 0.01)


def test_lips_that_meet_stay_as_thick_as_they_are():
    points = face_points(6)
    moves = STILL.copy()
    moves[dense.UPPER_LIP, 1], moves[dense.LOWER_LIP, 1] = 6 / 128, -6 / 128
    for lip in (dense.UPPER_LIP, dense.LOWER_LIP):
        moves[lip - dense.INNER_TO_OUTER] = moves[lip]
    moved = plan_warp(FRAME, FacePlace.of(FRAME, points, (128, 128)), moves).moved
    for lip in (dense.UPPER_LIP, dense.LOWER_LIP):
        was, now = (p[lip] - p[lip - dense.INNER_TO_OUTER] for p in (points, moved))
        np.testing.assert_allclose(now[1:-1], was[1:-1], atol=0.5)


def test_what_would_fold_goes_along_with_what_is_beside_it():
    _, place = placed()
    moves = np.full_like(STILL, 0.02)
    moves[37] = -0.03  # one point of a lip, near the corner of the mouth
    moved, wanted = plan_warp(FRAME, place, moves).moved - place.points, place.in_photo(moves)
    assert (moved[37] > 0).all()
    others = np.delete(np.arange(dense.COUNT), 37)
    assert (moved[others] > 0.7 * wanted[others]).all()  # halving would leave half


@pytest.mark.parametrize("seed", range(4))
def test_a_movement_that_folds_is_smooth_in_its_strength(seed):
    _, place = placed()
    wild = np.random.default_rng(seed).normal(0, 0.02, STILL.shape).astype(np.float32)
    wild[dense.INNER_LIP] = wild[dense.OUTER_LIP] = 0  # lips part or stay joined
    moved = [plan_warp(FRAME, place, wild * s).moved for s in np.linspace(0.5, 1, 201).astype(np.float32)]
    largest = 128 * np.abs(wild).max() * place.scale / 400  # of what is asked for, from step to step
    assert np.abs(np.diff(moved, axis=0)).max() < 8 * largest
