"""The line between lips that an edit shuts, and what is between lips that it parts."""

import cv2
import numpy as np
import pytest
from made_up_face import face_picture, face_points, made_up_frame

from aif.runtime.editing.shape.edit import ShapeEdit, apply_edit
from aif.runtime.editing.shape.mouth import LIGHTEST, Mouth, blurred, closed, draw_mouth, parted
from aif.runtime.editing.shape.teeth import keep_teeth
from aif.runtime.editing.shape.warp import FacePlace
from aif.runtime.geometry import points as dense

FRAME = made_up_frame()
SCALE = 2.5
MIDDLE = round(64 * SCALE)
ROW = round(101 * SCALE)


def scene(opening):
    points = face_points(opening) * np.float32(SCALE)
    return face_picture(points, 320), points


def edited(opening, move, photo=None):
    """A mouth open by `opening` px of 128 whose lower lip is moved by `move` px of 128."""
    made_up, points = scene(opening)
    photo = made_up if photo is None else photo.copy()
    moves = np.zeros((dense.COUNT, 2), np.float32)
    moves[[*dense.LOWER_LIP, *range(46, 56)], 1] = move / 128
    nothing = np.zeros((64, 64, 3), np.float32), np.zeros((16, 16, 3), np.float32)
    edit = ShapeEdit(moves, *nothing, np.zeros((16, 16), np.float32))
    apply_edit(photo, FRAME, FacePlace.of(FRAME, points, photo.shape), edit)
    return photo


def light(image, rows, columns=slice(MIDDLE - 3, MIDDLE + 4)):
    return float(image[rows, columns].mean())


def test_lips_that_shut_meet_in_a_dark_red_line():
    shut = edited(6.0, -6.0)
    line = shut[ROW - 20 : ROW + 20, MIDDLE - 3 : MIDDLE + 4].astype(float).mean(axis=1)
    darkest = line.mean(axis=1).argmin()
    lips = np.median(line, axis=0)
    drop = np.log((lips + 15) / (line[darkest] + 15))
    assert drop[1] > 0.3 and drop[1] > 1.3 * drop[2]  # green more than red
    assert 4 < darkest < 36 and line[darkest + 8].mean() > 1.2 * line[darkest].mean()


def test_what_is_left_between_lips_that_close_is_dark_and_not_full_of_teeth(monkeypatch):
    dark = edited(6.0, -3.8)
    monkeypatch.setattr("aif.runtime.editing.shape.edit.draw_mouth", lambda *args: None)
    teeth = edited(6.0, -3.8)
    slit = teeth[ROW - 12 : ROW + 13, MIDDLE].astype(int).mean(axis=1).argmax() + ROW - 12
    assert dark[slit, MIDDLE].mean() < 0.38 * teeth[slit, MIDDLE].mean()
    aside = MIDDLE + round(30 * SCALE)
    np.testing.assert_array_equal(dark[:, aside:], teeth[:, aside:])


def test_what_is_dark_between_lips_does_not_lighten():
    photo, points = scene(1.8)
    between = slice(ROW - 1, ROW + 2), slice(MIDDLE - 3, MIDDLE + 4)
    photo[ROW - 6 : ROW + 7, MIDDLE - 10 : MIDDLE + 11] = 12
    draw_mouth(photo, points, SCALE, (8.0, 1.8))
    assert photo[between].max() <= 12


def test_where_pixels_of_a_mouth_are():
    _, points = scene(4.0)
    mouth = Mouth.of(points, 10, (320, 320))
    rows, columns = mouth.block
    column = MIDDLE - columns.start
    between, at = mouth.between(0, SCALE)[:, column, 0], np.arange(rows.start, rows.stop)
    assert between[abs(at - ROW) < 4].min() > 0.4 and between[abs(at - ROW) > 8].max() < 0.02


@pytest.mark.parametrize(("opening", "move"), [(0.0, 0.0), (0.0, -2.0), (6.0, -2.0), (6.0, 0.0)])
def test_a_mouth_that_was_shut_or_stays_open_gets_no_line_and_no_inside(opening, move, monkeypatch):
    drawn = edited(opening, move)
    monkeypatch.setattr("aif.runtime.editing.shape.edit.draw_mouth", lambda *args: None)
    np.testing.assert_array_equal(drawn, edited(opening, move))


def test_lips_that_part_show_teeth_above_and_dark_below():
    photo, points = scene(8.0)
    before = photo.copy()
    draw_mouth(photo, points, SCALE, (0.0, 8.0))
    teeth, behind, skin = light(photo, slice(ROW - 6, ROW - 2)), light(photo, slice(ROW + 5, ROW + 7)), 171
    assert 0.9 * skin < teeth < 1.3 * skin
    blue, _, red = photo[ROW - 6 : ROW - 2, MIDDLE - 3 : MIDDLE + 4].mean(axis=(0, 1))
    assert 0.05 < (red - blue) / teeth < 0.3  # skin, 0.4: a third of its colour
    assert behind < 0.6 * teeth
    outside = np.ones(photo.shape[:2], bool)
    outside[ROW - 16 : ROW + 17, MIDDLE - 50 : MIDDLE + 51] = False
    np.testing.assert_array_equal(photo[outside], before[outside])
    aside = slice(MIDDLE + round(6.5 * SCALE), MIDDLE + round(7.5 * SCALE))
    assert light(photo, slice(ROW - 2, ROW + 2), aside) < 0.8 * teeth


def test_teeth_beside_dark_skin_are_lighter_against_it():
    photo, points = scene(8.0)
    against = []
    for share in (1.0, 0.5, 0.25, 0.15):
        image = (photo * share).astype(np.uint8)
        skin = light(image, slice(ROW + 40, ROW + 50))
        draw_mouth(image, points, SCALE, (0.0, 8.0))
        against.append(light(image, slice(ROW - 6, ROW - 2)) / skin)
    # Half the light of the skin: the teeth's falls to 0.5 ** 0.42 of what it was; in the dark as it does.
    assert np.diff(np.log(against[:2])) == pytest.approx(0.58 * np.log(2), abs=0.06)
    assert against[2] == pytest.approx(against[3], rel=0.06) and 1.6 < against[3] < LIGHTEST


@pytest.mark.parametrize("openings", [(0.0, 8.0), (8.0, 0.0), (8.0, 1.8)])
def test_a_grey_picture_stays_grey(openings):
    photo, points = scene(openings[1])
    photo[:] = photo.mean(axis=2, keepdims=True)
    before = photo.copy()
    draw_mouth(photo, points, SCALE, openings)
    assert (photo != before).any() and np.ptp(photo.astype(int), axis=2).max() == 0


def test_nothing_is_drawn_beyond_the_picture_or_where_a_mouth_has_no_width():
    photo, points = scene(8.0)
    before = photo.copy()
    draw_mouth(photo, points + 1000, SCALE, (0.0, 8.0))
    draw_mouth(photo, np.full_like(points, 100), SCALE, (0.0, 8.0))
    np.testing.assert_array_equal(photo, before)
    draw_mouth(photo, points + np.float32((160, 0)), SCALE, (0.0, 8.0))  # half of it
    assert (photo != before).any()


def test_what_is_drawn_is_smooth_in_both_openings():
    for before, after, inside, line in ((0, 6, 1, 0), (5, 9, 0, 0), (6, 0, 0, 1), (6, 3, 0, 0)):
        assert parted(before, after) == pytest.approx(inside) and closed(before, after) == pytest.approx(line)
    at = np.linspace(-3, 9, 241)
    for drawn in (parted, closed):
        values = np.array([[drawn(before, after) for after in at] for before in at])
        assert max(np.abs(np.diff(values, axis=k)).max() for k in (0, 1)) < 0.15


@pytest.mark.parametrize("blur", [1.5, 2.0, 2.5])
def test_what_is_drawn_is_as_blurred_as_the_face(blur):
    photo, points = scene(8.0)
    soft = cv2.GaussianBlur(photo, (0, 0), blur * SCALE)
    assert blurred(photo, points, SCALE) < 1 and blurred(soft, points, SCALE) == pytest.approx(blur, rel=0.25)
    steepest = []
    for image in (photo, soft):
        before = image.astype(float)
        draw_mouth(image, points, SCALE, (8.0, 0.0))
        steepest.append(np.abs(np.diff(image - before, axis=0)).max())
    assert steepest[1] < 0.6 * steepest[0]


def with_teeth(opening):
    """The picture with teeth that reach down to 2 px above the middle of the mouth, dark below them."""
    photo, points = scene(opening)
    white = (photo > 200).all(axis=2)
    photo[white & (np.arange(photo.shape[0]) >= ROW - 2)[:, None]] = 30
    return photo, points


def test_teeth_are_covered_by_a_mouth_that_closes_and_not_pressed():
    photo, _ = with_teeth(8.0)
    half = edited(8.0, -3.0, photo)
    teeth, dark = (light(half, slice(ROW + at, ROW + at + 2)) for at in (-5, 0))
    own = light(photo, slice(ROW - 5, ROW - 3))
    assert 170 < teeth < 0.97 * own and dark < 70  # in the shade of lips that are nearer
    wider = edited(8.0, -0.5, photo)
    about = slice(ROW - 8, ROW + 5), MIDDLE
    assert np.abs(wider[about].astype(int) - photo[about]).mean() < 15


def test_teeth_are_hidden_beside_the_corners_of_a_mouth_that_closes():
    half = edited(8.0, -4.0)
    middle, aside = (light(half, slice(ROW - 3, ROW), slice(at, at + 3)) for at in (MIDDLE, MIDDLE + 18))
    assert aside < 0.75 * middle


def test_where_the_photo_shows_lips_the_inside_of_a_mouth_is_dark():
    photo, points = scene(8.0)
    down = points + np.float32((0, 5 * SCALE))
    image = photo.copy()
    keep_teeth(image, photo, (points, down), SCALE, (8.0, 4.0))
    was_lip = slice(ROW + 15, ROW + 20)
    assert light(photo, was_lip) > 100 and light(image, was_lip) < 70
    black = np.full_like(photo, 5)
    keep_teeth(black, photo, (points, down), SCALE, (8.0, 4.0))
    assert light(black, was_lip) < 6
    grey = np.repeat(photo.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    image = grey.copy()
    keep_teeth(image, grey, (points, down), SCALE, (8.0, 4.0))
    assert (image != grey).any() and np.ptp(image.astype(int), axis=2).max() == 0


@pytest.mark.parametrize("openings", [(4.0, 8.0), (8.0, 8.0), (8.0, 1.0)])
def test_mouths_that_open_or_shut_keep_nothing(openings):
    photo, points = with_teeth(8.0)
    image = np.zeros_like(photo)
    keep_teeth(image, photo, (points, points), SCALE, openings)
    assert not image.any()


def test_teeth_beyond_the_picture_or_of_no_width_are_let_be():
    photo, points = with_teeth(8.0)
    image = np.full_like(photo, 9)
    flat = np.full_like(points, 100)
    for own, moved in ((points, points + 1000), (points, flat), (flat, points)):
        keep_teeth(image, photo, (own, moved), SCALE, (8.0, 4.0))
    assert (image == 9).all()
    half = np.float32((160, 0))
    keep_teeth(image, photo, (points + half, points + half), SCALE, (8.0, 4.0))
    assert (image != 9).any()
