"""One face's edit in the photo: movement, tint and detail."""

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from made_up_face import face_picture, face_points, made_up_frame

from aif.runtime.editing.shape.detail import DEEPEST, amplified
from aif.runtime.editing.shape.edit import ShapeEdit, apply_edit, sum_of
from aif.runtime.editing.shape.gain import BRIGHTER, DARKER, EPSILON, PALER, gain_mask, log_gain
from aif.runtime.editing.shape.warp import FacePlace
from aif.runtime.geometry import points as dense

FRAME = made_up_frame()
SIZE = 64


def an_edit(move=0.0, gain=0.0, detail=0.0, pores=0.0):
    moves = np.zeros((dense.COUNT, 2), np.float32)
    moves[dense.LOWER_LIP, 1] = moves[62:66, 1] = move
    moves[46:56, 1] = move
    return ShapeEdit(
        moves,
        np.full((SIZE, SIZE, 3), gain, np.float32) * gain_mask(FRAME, SIZE)[:, :, None],
        np.full((SIZE // 4, SIZE // 4, 3), detail, np.float32),
        np.full((SIZE // 4, SIZE // 4), pores, np.float32),
    )


def scene(opening=6.0, scale=2.0):
    photo = face_picture(face_points(opening) * scale, 300)
    return photo, FacePlace.of(FRAME, face_points(opening) * scale, photo.shape)


def edited(photo, place, edit):
    result = photo.copy()
    apply_edit(result, FRAME, place, edit)
    return result


@pytest.mark.parametrize("edit", [an_edit(), an_edit(0.05, 0.3).times(0)], ids=["nothing", "at no strength"])
def test_an_edit_of_nothing_leaves_every_byte(edit):
    photo, place = scene()
    assert edit.empty
    assert (edited(photo, place, edit) == photo).all()


def test_a_gain_multiplies_what_the_photo_has():
    photo, place = scene()
    result = edited(photo, place, an_edit(gain=0.2))
    for x, y in ((64, 75), (50, 85)):
        before, after = (image[y * 2, x * 2] / 255 for image in (photo, result))
        np.testing.assert_allclose(after, (before + EPSILON) * np.exp(0.2) - EPSILON, atol=0.02)
    for x, y in ((46, 62), (82, 62), (64, 101)):  # eyes and teeth
        assert np.abs(result[y * 2, x * 2].astype(int) - photo[y * 2, x * 2]).max() < 10
    assert (result[:20] == photo[:20]).all()  # beyond the face


def test_strength_is_smooth():
    photo, place = scene(0.2)
    edit = an_edit(move=0.06, gain=0.3)
    strengths = np.linspace(0, 1, 17)
    pictures = [edited(photo, place, edit.times(s)).astype(float) for s in strengths]
    steps = [np.abs(b - a).mean() for a, b in pairwise(pictures)]
    assert max(steps) < 0.35 * np.abs(pictures[-1] - pictures[0]).mean()


def test_an_edit_where_a_part_is_hidden():
    share = np.where(FRAME.mean[:, 1] > 0.7, 0, 1).astype(np.float32)
    whole = an_edit(0.04, 0.2, 0.1, 0.5)
    found = whole.where(share, FRAME, share / 2)
    np.testing.assert_allclose(found.moves, whole.moves * share[:, None] / 2)
    for part in (found.gain, found.detail, found.pores):
        chin, brow = (part[round(y * len(part)), len(part) // 2] for y in (0.9, 0.4))
        assert np.all(chin == 0) and np.all(brow > 0.05)


def test_between_two_edits():
    one, other = an_edit(0.0, 0.0), an_edit(0.04, 0.2)
    half = one.towards(other, 0.5)
    np.testing.assert_allclose(half.moves, other.moves / 2)
    np.testing.assert_allclose(half.gain, other.gain / 2)
    assert (one.towards(other, 0).gain == one.gain).all()


@pytest.mark.parametrize(("source", "target", "limit"), [(0.05, 1.0, PALER + BRIGHTER), (1.0, 0.05, -DARKER)])
def test_gains_are_bounded(source, target, limit):
    images = (np.full((1, 3, SIZE, SIZE), value, np.float32) for value in (source, target, 0.5))
    gain = log_gain(*images, FRAME)
    assert gain.shape == (1, 3, SIZE, SIZE)
    greatest = gain.flat[np.abs(gain).argmax()]
    assert 0.75 < greatest / limit <= 1


def test_a_part_of_a_face_does_not_glow():
    source, target, own = (np.full((1, 3, SIZE, SIZE), 0.4, np.float32) for _ in range(3))
    target[:, :, 40:50, 20:30] = 0.8
    gain = log_gain(source, target, own, FRAME)[0, 1]
    assert 0.02 < gain[45, 25] - gain[45, 42] <= BRIGHTER + 0.01


def test_a_fold_is_brightened_only_where_the_photo_has_one():
    source, target, smooth = (np.full((1, 3, SIZE, SIZE), 0.5, np.float32) for _ in range(3))
    source[:, :, :, 20] = folded = 0.3
    own = smooth.copy()
    own[:, :, :, 20] = folded
    without, there = (log_gain(source, target, each, FRAME)[0, 1, 45] for each in (smooth, own))
    assert there[20] - there[18] > 0.2
    assert without[20] - without[18] < (there[20] - there[18]) / 2


def test_no_gain_on_eyes_and_teeth():
    mask = gain_mask(FRAME, SIZE)
    for x, y in ((46, 62), (82, 62), (64, 101), (2, 2), (126, 126)):
        assert mask[y * SIZE // 128, x * SIZE // 128] < 0.1
    assert mask[45, 20] > 0.9  # a cheek


@pytest.mark.parametrize(("amount", "low", "high"), [(-1.0, 0.2, 0.8), (-0.5, 0.5, 0.9), (0.15, 1.02, 1.2)])
@pytest.mark.parametrize("scale", [1.0, 2.2])
def test_detail_softens_and_deepens_what_is_there(amount, low, high, scale):
    photo, place = scene(scale=scale)
    noise = np.random.default_rng(0).normal(0, 1, (*photo.shape[:2], 1))
    folded, grainy = (np.clip(photo + size * noise, 0, 255).astype(np.uint8) for size in (30, 3))
    cheek = np.s_[int(74 * scale) : int(90 * scale), int(40 * scale) : int(52 * scale)]

    def contrast(image):
        return float((image[cheek].astype(float) - cv2.GaussianBlur(image[cheek], (0, 0), 2)).std())

    result = edited(folded, place, an_edit(detail=amount))
    assert low <= contrast(result) / contrast(folded) <= high
    assert abs(result[cheek].mean() - folded[cheek].mean()) < 2
    corner = np.s_[: int(8 * scale), : int(30 * scale)]  # beyond the face
    assert (result[corner] == folded[corner]).all()
    assert contrast(edited(grainy, place, an_edit(detail=amount))) == pytest.approx(
        contrast(grainy), rel=0.02
    )


def test_fine_detail_stays():
    photo, place = scene(scale=2.2)
    result = edited(photo, place, an_edit(move=0.01, gain=0.1))

    def detail(image):
        patch = image[140:200, 110:170].astype(float).mean(axis=2)
        return float(np.abs(np.diff(patch, axis=1)).mean())

    assert 0.9 < detail(result) / detail(photo) < 1.25


def test_light_held_back_leaves_no_stain():
    source, target = (
        np.full((1, 3, SIZE, SIZE), 0.2, np.float32),
        np.full((1, 3, SIZE, SIZE), 0.9, np.float32),
    )
    target[:, 0] = 0.5
    reddish = np.log((0.5 + EPSILON) / (0.2 + EPSILON)) - np.log((0.9 + EPSILON) / (0.2 + EPSILON))
    gain = log_gain(source, target, source, FRAME)[0, :, 45, 20]
    assert gain[0] - gain[1] > reddish / 3


def test_amounts_of_detail():
    made = amplified(np.float32([-9, -0.7, 0, 0.01, 9]))
    np.testing.assert_allclose(made, [-0.75, -0.455, 0, 0.0097, 0.15], atol=1e-3)


def test_several_edits_at_once_are_their_sum_and_hair_is_of_those_that_grow_it():
    smile, brows = an_edit(0.01, -0.1, 0.1), replace(an_edit(0, -0.3, 0.1), hairs=0.5)
    brows.gain[:40] = 0
    both = sum_of([smile, brows])
    assert sum_of([smile]) is smile
    np.testing.assert_array_equal(both.moves, smile.moves)
    np.testing.assert_allclose(both.gain, smile.gain + brows.gain)
    assert both.detail.max() == pytest.approx(DEEPEST)
    inside = gain_mask(FRAME, SIZE) > 0.9
    assert not both.hairs[:40].any()
    np.testing.assert_allclose(both.hairs[40:][inside[40:]], 0.5 * 0.3 / 0.4, rtol=1e-3)
    photo, place = scene()
    alone, one, two = (edited(photo, place, edit) for edit in (smile, both, replace(both, hairs=0.0)))
    assert (one != two).any() and (alone != one).any()
    half = both.towards(smile, 0.5).hairs
    np.testing.assert_allclose(half, both.hairs / 2)
