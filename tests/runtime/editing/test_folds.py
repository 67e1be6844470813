"""Folds that fade, and what is no fold."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from made_up_face import bare_skin, face_texture, made_up_frame

from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.editing.shape.bare_skin import BareSkin
from aif.runtime.editing.shape.baring import Baring
from aif.runtime.editing.shape.folds import COMMON, DEEPER, MOST, OVER, OWN, nose_mask, unfold
from aif.runtime.editing.shape.gain import AGED, shallow
from aif.runtime.editing.shape.hairs import beard_area
from aif.runtime.editing.shape.region import Regions, Seen
from aif.runtime.errors import BundleError

FRAME, SIZE = made_up_frame(), 128
LINE, CHEEK, OTHER = np.s_[78:92, 38:41], np.s_[80:90, 39:40], np.s_[80:90, 86:90]


def with_dark(depth, where=LINE, **of):
    """A texture (3, S, S) that is darker in one place, with soft edges."""
    texture, dark = face_texture(**of), np.zeros((SIZE, SIZE), np.float32)
    dark[where] = depth
    return (texture * np.exp(-cv2.GaussianBlur(dark, (0, 0), 0.7))).astype(np.float32)


def faded(texture, edit=0.0, share=1.0):
    """The gain (S, S, 3) that fades the folds of a texture, beside an edit of that gain, all over."""
    own = np.broadcast_to(np.float32(edit), (SIZE, SIZE, 3))
    return unfold(bare_skin(), texture, FRAME).apply(own, np.full((SIZE, SIZE), share, np.float32))


@pytest.mark.parametrize("light", [0.0, 0.8])
@pytest.mark.parametrize("depth", [0.3, 0.55])
def test_a_fold_lightens_and_its_fine_detail_goes(light, depth):
    texture = with_dark(depth, light=light)
    gain, lines = faded(texture), unfold(bare_skin(), texture, FRAME).lines
    assert 0.08 < gain[CHEEK].mean() < MOST and lines[CHEEK].mean() > 0.4
    assert np.abs(gain[OTHER]).max() < 0.04 and lines[OTHER].max() < 0.3
    assert gain.max() <= MOST + 0.05


def test_a_fold_does_not_lighten_twice():
    texture = with_dark(0.3)
    lack, alone = unfold(bare_skin(), texture, FRAME).lack[CHEEK], faded(texture)[CHEEK].mean(axis=2)
    both = faded(texture, 0.15)[CHEEK].mean(axis=2)
    assert (both > alone + 0.03).all() and both.mean() < (alone + 0.15).mean() - 0.02
    np.testing.assert_array_less(both, np.maximum(lack + OVER, 0.15) + 1e-5)
    np.testing.assert_allclose(faded(texture, 0.9)[CHEEK].mean(axis=2), 0.9, atol=1e-5)  # an edit's own stays


def test_what_an_edit_darkens_stays_darkened():
    texture = with_dark(0.3)
    dark = faded(texture, -0.2).mean(axis=2)
    np.testing.assert_allclose(dark, faded(texture).mean(axis=2) - np.float32(0.2), atol=1e-5)


def test_an_edits_colours_stay_where_there_is_no_fold_and_without_fading():
    texture, pale = with_dark(0.3), (0.02, 0.1, 0.18)
    away = faded(texture, pale) - np.float32(pale)
    assert np.abs(away[OTHER]).max() < 0.02
    assert np.ptp(away[CHEEK], axis=2).mean() > 0.08  # a fold takes the colours of bare skin
    np.testing.assert_array_equal(faded(texture, pale, share=0)[80], np.tile(np.float32(pale), (SIZE, 1)))


def test_half_of_the_share_is_half_of_what_changes():
    texture = with_dark(0.25)
    texture[1:, *LINE] *= 0.85
    np.testing.assert_allclose(faded(texture, share=0.5)[CHEEK], faded(texture)[CHEEK] / 2, rtol=0.4)
    assert np.ptp(faded(texture, -0.3)[CHEEK], axis=2).max() < 0.03  # nothing brightens, no colour comes


def test_a_red_fold_loses_red():
    texture = with_dark(0.25)
    texture[1:, *LINE] *= 0.85
    gain = faded(texture)[CHEEK].mean(axis=(0, 1))
    assert gain[1] > gain[0] + 0.03 and gain[2] > gain[0] + 0.03


@pytest.mark.parametrize(
    ("depth", "where"),
    [(1.5, np.s_[76:94, 34:44]), (0.3, np.s_[86:92, 58:70]), (0.3, np.s_[58:66, 40:52])],
    ids=["hair", "nose", "eye"],
)
def test_what_is_no_fold_stays(depth, where):
    texture = with_dark(depth, where)
    inside = tuple(slice(part.start + 2, part.stop - 2) for part in where)
    assert np.abs(faded(texture)[inside]).mean() < 0.04
    assert unfold(bare_skin(), texture, FRAME).lines[inside].mean() < 0.25


def test_what_is_not_of_the_skins_colour_stays():
    texture = face_texture()
    texture[:, *LINE] = 0.33  # grey, no darker than a fold
    assert np.abs(faded(texture)[80:90, 39:40]).max() < 0.08


def test_a_grey_picture_stays_grey():
    grey = np.repeat(with_dark(0.3)[1:2], 3, axis=0)
    gain = faded(grey)
    assert gain[CHEEK].mean() > 0.05
    np.testing.assert_allclose(gain - gain[:, :, :1], 0, atol=1e-5)


def test_the_nose():
    mask = nose_mask(FRAME, SIZE)
    assert mask[84, 64] > 0.95 and mask[80, 40] == mask[100, 64] == 0


@pytest.mark.parametrize(
    ("source", "target", "fades"),
    [
        ((0, 0.2), (0, 1.0), 1),
        ((0, 0.2), (0, 0.6), 0.5),
        ((0, 0.9), (0, 1.0), 1 / 3),  # of those who hardly have any
        ((0, 0.2), (0, 3.0), 1),
        ((0, 0.8), (0, 0.0), 0),
        ((0.2, 0), (1, 0), 0),
        ((0.8, 0), (0.4, 0), 0.5),
        ((0.02, 0), (-0.5, 0), 0.02 / 0.3),  # below 0 there is nothing more to fade
        ((0.9, 0.5), (0, 0), 0),  # age is asked for
        ((0.02, 0.2), (1, 1), 1),  # a smile that comes is no age
        ((0.9, 0.5), (0, 0.25), 0.5),
    ],
)
def test_how_far_folds_fade(source, target, fades):
    infos = [
        AttributeInfo(name="Smiling", unfolds=0, group="expression"),
        AttributeInfo(name="Young", unfolds=1),
    ]
    baring = Baring.of(None, infos, Regions.of(infos, FRAME, SIZE), FRAME)
    found = baring.fading(*(np.float32(each) for each in (source, target)))
    assert found[101, 64] == pytest.approx(fades)
    alone = target[0] < source[0] and target[1] == source[1]
    assert found[30, 64] == pytest.approx(
        0 if alone else fades if source[0] < 0.5 else 0, abs=0.05
    )  # the forehead


@pytest.mark.parametrize("smooth", [True, False])
def test_with_age_a_face_s_own_folds_deepen(smooth):
    infos = [AttributeInfo(name="Young", unfolds=1)]
    regions = Regions.of(infos, FRAME, SIZE)
    baring = Baring.of(bare_skin(), infos, regions, FRAME)
    texture = face_texture() if smooth else with_dark(0.3)
    seen = Seen(np.ones((SIZE, SIZE), np.float32), np.ones(221, np.float32))
    none = np.zeros((SIZE, SIZE, 3), np.float32)
    values = [np.float32([each]) for each in (0.9, 0.0, 0.45)]
    older, half = (baring.apply(none, texture, (values[0], to), seen)[0][CHEEK].mean() for to in values[1:])
    lift = unfold(bare_skin(), texture, FRAME).lift[CHEEK].mean()
    assert older == pytest.approx(-DEEPER * lift, abs=1e-4) and half == pytest.approx(older / 2, abs=1e-4)
    assert older > -0.02 if smooth else older < -0.05


def test_age_deepens_only_what_is_seen_and_no_beard_and_hardly_where_it_is_there_already():
    infos = [
        AttributeInfo(name="Young", unfolds=1),
        AttributeInfo(name="Goatee", bearded=1, region=("cheeks",)),
    ]
    baring = Baring.of(bare_skin(), infos, Regions.of(infos, FRAME, SIZE), FRAME)
    texture, none = with_dark(0.3), np.zeros((SIZE, SIZE, 3), np.float32)

    def deepened(source, target, seen=1.0):
        shown = Seen(np.full((SIZE, SIZE), seen, np.float32), np.ones(221, np.float32))
        return -baring.apply(none, texture, (np.float32(source), np.float32(target)), shown)[0][CHEEK].mean()

    whole = deepened((0.9, 0), (0, 0))
    assert whole > 0.05 and deepened((0.9, 0), (0, 0), seen=0.0) == 0
    assert deepened((0.003, 0), (0, 0)) < 0.02 * whole  # or frames that say so would flicker
    hairy = baring.apply(
        none, texture, (np.float32([0.9, 0.9]), np.float32([0, 0.9])), Seen(none[:, :, 0] + 1, none)
    )
    beard = beard_area(FRAME, SIZE) > 0.9
    assert np.abs(hairy[0][beard]).max() < 0.01


def test_age_darkens_little_where_nothing_else_acts():
    infos = [
        AttributeInfo(name="Young", unfolds=1, region=("cheeks", "jaw")),
        AttributeInfo(name="Smiling", unfolds=0, group="expression"),
        AttributeInfo(name="Bushy_Eyebrows", region=("brows",)),
        AttributeInfo(name="Goatee", region=("beard",)),
    ]
    regions, brow, jaw = Regions.of(infos, FRAME, SIZE), (52, 45), (112, 64)

    def ages(*change):
        return regions.shares(np.float32(change)).ages

    assert ages(1, 0, 0, 0) is ages(0, 1, 0, 0) is None
    assert ages(-1, 0, 0, 0)[jaw] == 1 == ages(-1, 0, 1, 0)[jaw]
    assert ages(-1, 0, 1, 0)[brow] < 0.05 and ages(-1, 0, 0, 1)[jaw] < 0.1
    assert ages(-1, 1, 0, 0)[jaw] == pytest.approx(0.5)


def test_a_bounded_gain_darkens_little_and_keeps_its_hue():
    gain = np.float32([[[-0.3] * 3, [0.2, 0.1, 0.3], [-0.02] * 3, [-0.4, -0.2, -0.3], [0.1, -0.1, -1e-7]]])
    bounded = shallow(gain, np.ones((1, 5), np.float32))
    light = bounded.mean(axis=2)[0]
    assert -AGED < light[0] < -0.9 * AGED and light[2] == pytest.approx(-0.02, rel=0.02)
    np.testing.assert_array_equal(bounded[0, [1, 4]], gain[0, [1, 4]])
    hues = (each[0, 3] / each[0, 3].mean() for each in (bounded, gain))
    np.testing.assert_allclose(*hues, rtol=1e-5)
    np.testing.assert_array_equal(shallow(gain, np.zeros((1, 5), np.float32)), gain)


def test_a_calibrated_attribute_fades_all_at_1():
    infos = [AttributeInfo(name="Young", unfolds=1, on=2.0)]
    baring = Baring.of(None, infos, Regions.of(infos, FRAME, SIZE), FRAME)
    assert baring.fading(np.float32([0.2]), np.float32([0.2 + 2 * 0.8])).min() == pytest.approx(1)


def test_age_brings_the_folds_that_a_face_lacks():
    infos = [AttributeInfo(name="Young", unfolds=1)]
    regions = Regions.of(infos, FRAME, SIZE)
    aged = np.zeros((SIZE, SIZE), np.float32)
    aged[LINE] = aged[OTHER] = 0.1
    seen = Seen(np.ones((SIZE, SIZE), np.float32), np.ones(221, np.float32))
    none, texture = np.zeros((SIZE, SIZE, 3), np.float32), with_dark(0.12)
    own = unfold(bare_skin(), texture, FRAME)

    def gains(skin, after, before=0.9):
        values = np.float32([before]), np.float32([after])
        return Baring.of(skin, infos, regions, FRAME).apply(none, texture, values, seen)[0].mean(axis=2)

    older = gains(replace(bare_skin(), folds=aged), 0.0)
    # In full where skin is smooth; beside what deepens of its own, less where it is folded.
    assert older[OTHER] == pytest.approx(-COMMON * 0.1, abs=0.01)
    lack = own.lack[CHEEK]
    assert lack.min() > 0.03
    expected = -DEEPER * own.lift[CHEEK] - np.maximum(COMMON * 0.1 - OWN * lack, 0)
    np.testing.assert_allclose(older[CHEEK], expected, atol=1e-3)
    assert np.abs(older[:60]).max() < 0.02
    np.testing.assert_allclose(gains(replace(bare_skin(), folds=aged), 0.45), older / 2, atol=1e-4)
    # Youth that comes brings none; a bundle that tells of none deepens a face's own alone.
    assert gains(replace(bare_skin(), folds=aged), 0.9, before=0.1)[OTHER].max() < 0.01
    assert gains(replace(bare_skin(), folds=aged), 0.9, before=0.1)[OTHER].min() > -0.001
    np.testing.assert_allclose(gains(bare_skin(), 0.0)[CHEEK], -DEEPER * own.lift[CHEEK], atol=1e-4)


def test_age_folds_skin_alone():
    aged, all_over = np.full((SIZE, SIZE), 0.15, np.float32), np.ones((SIZE, SIZE), np.float32)
    none, texture = np.zeros((SIZE, SIZE, 3), np.float32), face_texture()
    texture[:, 80:90, 86:90] = np.float32([0.2, 0.5, 0.2])[:, None, None]  # paint
    faces = (texture, face_texture(beard=0.4))
    painted, beard = (unfold(bare_skin(), each, FRAME).deepen(none, all_over, aged) for each in faces)
    assert painted[80:90, 38:41].max() < -0.15 and painted[82:88, 87:89].min() > -0.02
    grows = beard_area(FRAME, SIZE) > 0.95
    assert beard[grows].min() > -0.02 and beard[72:78, 38:41].max() < -0.1


def test_folds_of_age_are_stored_with_the_skin():
    folds = np.random.default_rng(0).random((64, 64), np.float32) / 8
    read = BareSkin.read(replace(bare_skin(), folds=folds).stored())
    np.testing.assert_allclose(read.folds, folds, atol=1e-4)
    assert BareSkin.read(bare_skin().stored()).folds is None


@pytest.mark.parametrize(
    "folds", [np.zeros((4, 5)), np.zeros(4), *(np.full((4, 4), bad) for bad in (np.nan, -0.1))]
)
def test_damaged_folds_of_age_are_refused(folds):
    with pytest.raises(BundleError, match=r"skin\.npz cannot be read"):
        BareSkin.read(replace(bare_skin(), folds=folds.astype(np.float32)).stored())
