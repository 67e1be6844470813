"""Edits stay where the attribute is."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from made_up_face import made_up_frame

from aif.runtime.bundle.attributes import AttributeInfo, MakeupInfo
from aif.runtime.editing.shape.gain import dimmed, gain_mask, lips_mask
from aif.runtime.editing.shape.hairs import SIDES, OwnHair, beard_area, shaven, strands, strands_at
from aif.runtime.editing.shape.region import Regions, region_share
from aif.runtime.editing.shape.skin import OwnSkin
from aif.runtime.geometry import points as dense

FRAME = made_up_frame()


def about(*parts, group="face"):
    return AttributeInfo(name="any", region=parts, group=group)


@pytest.mark.parametrize(
    ("parts", "within", "beyond"),
    [
        (("nose",), dense.NOSE, (dense.LEFT_BROW, dense.FACE_OVAL)),
        (("brows",), dense.RIGHT_BROW, (dense.OUTER_LIP, slice(10, 27))),
        (("mouth",), dense.INNER_LIP, (dense.LEFT_EYE, dense.RIGHT_BROW)),
        (("mouth", "jaw"), slice(14, 23), (dense.LEFT_EYE, slice(128, 132))),
        (("moustache",), slice(37, 46), (dense.LEFT_EYE, slice(14, 23))),
        (("beard",), slice(14, 23), (dense.LEFT_EYE, dense.RIGHT_BROW)),
        (("eyes",), dense.LEFT_EYE, (dense.OUTER_LIP, slice(10, 27))),
    ],
)
def test_an_edit_of_a_part_stays_there(parts, within, beyond):
    share = region_share(parts, FRAME)
    assert (share[within] == 1).all()
    for others in beyond:
        assert share[others].mean() < 0.1


def test_hair_is_decoded_after_skin():
    """At once, what age darkens would grow hair wherever brows come."""
    young, brows, goatee = (about(*parts) for parts in (("cheeks", "jaw"), ("brows",), ("beard",)))
    regions = Regions.of([brows, young, goatee, about(group="expression")], FRAME, 64)
    steps = regions.steps(*np.float32([[[0, 0, 0, 0]], [[1, 2, 3, 4]]]))
    assert [(new - old).tolist() for old, new in steps] == [[[0, 0, 0, 4]], [[0, 2, 0, 0]], [[1, 0, 3, 0]]]


def test_what_is_put_on_the_skin_moves_nothing():
    paint = AttributeInfo(name="Lipstick", region=("mouth",), still=True)
    regions = Regions.of([paint, about("nose")], FRAME, 64)
    alone, both = (regions.shares(np.float32(change)) for change in ((1, 0), (1, 1)))
    assert not alone.at_landmarks.any() and alone.texture.max() == 1
    assert both.at_landmarks[dense.NOSE_TIP] == 1 and both.at_landmarks[dense.LOWER_LIP].max() < 0.1
    # A step of its own: decoded with others it would move them, or they less.
    steps = regions.steps(*np.float32([[[0, 0]], [[2, 1]]]))
    assert [(new - old).tolist() for old, new in steps] == [[[0, 1]], [[2, 0]]]
    assert len(regions.steps(*np.float32([[[0, 0]], [[1, 0]]]))) == 1


def test_of_several_edits_each_acts_in_its_own_part():
    regions = Regions.of([about(), about("nose"), about("brows")], FRAME, 64)
    brow, nose = 115, dense.NOSE_TIP

    def at(*change):
        return regions.shares(np.array(change, np.float32)).at_landmarks[[brow, nose]]

    np.testing.assert_allclose(at(1, 0, 0), 1)
    np.testing.assert_allclose(at(0, -0.2, 0), (0, 1))
    np.testing.assert_allclose(at(0, 1, 1), 1)
    np.testing.assert_allclose(at(0, 1, 0.25), (0.25, 1))
    np.testing.assert_allclose(at(0, 0, 0), 0)
    texture = regions.shares(np.array([0, 1, 0], np.float32)).texture
    x, y = np.round(FRAME.mean[[nose, 0]] * 64).astype(int).T
    assert texture[y[0], x[0]] == pytest.approx(1, abs=0.05)
    assert texture[y[1] + 3, x[1]] < 0.05


def test_the_colour_of_hair_is_nothing_of_the_face():
    regions = Regions.of([about(group="hair"), about("nose")], FRAME, 64)
    alone, nose, both = (
        regions.shares(np.array(change, np.float32)) for change in ((1, 0), (0, 0.3), (1, 0.3))
    )
    assert not alone.at_landmarks.any() and not alone.texture.any()
    np.testing.assert_array_equal(both.texture, nose.texture)
    assert nose.at_landmarks[dense.NOSE_TIP] == 1


def test_beards_grow_hair_by_hair_and_leave_lips():
    regions = Regions.of([about(), about("beard")], FRAME, 128)
    assert regions.shares(np.array([0.5, 1], np.float32)).hairs == 1
    assert regions.shares(np.array([1, 0.5], np.float32)).hairs == 0.5
    assert regions.shares(np.array([1, -0.5], np.float32)).hairs == 0  # one that goes
    lips = FRAME.mask(128, dense.OUTER_LIP) == 1
    assert regions.texture[1][lips].mean() < 0.1
    x, y = np.round(FRAME.mean[[51, 18]].mean(axis=0) * SIDES[0]).astype(int)
    chin = strands(FRAME)[0][y - 20 : y + 20, x - 20 : x + 20]
    assert chin.min() < -1 and chin.max() > 0.25
    mouth = cv2.resize(lips.astype(np.float32), SIDES[:1] * 2) > 0.99
    assert np.abs(strands(FRAME)[0][mouth]).mean() < 0.05


def test_an_edit_that_is_no_beard_darkens_no_chin():
    bare = about("mouth", "jaw").model_copy(update={"shaven": True})
    makeup = about().model_copy(update={"makeup": MakeupInfo(on={}, off={})})
    regions = Regions.of([bare, about("brows"), about("beard"), about(), makeup], FRAME, 128)

    def at_the_chin(*change):
        found = regions.shares(np.float32(change)).shaven
        return 0 if found is None else float(found[114, 64])

    assert at_the_chin(1, 0, 0, 0, 0) == pytest.approx(1)
    assert at_the_chin(-1, 0, 0, 0, 0) == at_the_chin(0, 0, 1, 1, 1) == 0
    assert at_the_chin(0.2, 1, 0, 0, 1) == pytest.approx(1)  # brows and make-up bring none, either
    assert at_the_chin(1, 0, 1, 0, 0) == pytest.approx(0, abs=1e-3)  # a beard that is asked for
    assert at_the_chin(1, 0, 0, 1, 0) == pytest.approx(0.5, abs=1e-3)
    gain = np.float32([-0.3, -0.1, 0.2]) + np.zeros((128, 128, 3), np.float32)
    half, chin, cheek = np.full((128, 128), 0.5, np.float32), np.s_[114, 64], np.s_[70, 40]
    np.testing.assert_allclose(shaven(gain, half, FRAME)[chin], (-0.15, -0.05, 0.2), atol=0.01)
    np.testing.assert_array_equal(shaven(gain, 2 * half, FRAME)[cheek], gain[cheek])


def test_expressions_keep_the_light_of_the_photo():
    regions = Regions.of([about(group="expression"), about()], FRAME, 128)
    shares = [regions.shares(np.array(change, np.float32)).light for change in ((-1, 0), (0, 1), (1, 0.5))]
    for light, share in zip(shares, (0.2, 1, 0.5), strict=True):
        np.testing.assert_allclose(light, share, rtol=1e-6)
    face = gain_mask(FRAME, 128)[:, :, None]
    gain = np.full((128, 128, 3), -0.3, np.float32)  # a face in the shade, with a fold beside its mouth
    gain[80:84, 40:44] -= 0.1
    gain *= face
    lips = lips_mask(FRAME, 128) > 0.98
    assert lips.any() and np.array_equal(dimmed(gain, np.ones((128, 128), np.float32), FRAME), gain)
    left = dimmed(gain, shares[0], FRAME)
    assert (np.abs(left[65, 64]) < 0.12).all()  # 0.06, but for the edge of the face
    assert not left[face[:, :, 0] == 0].any()
    assert left[81, 41].mean() - left[81, 30].mean() == pytest.approx(-0.1, abs=0.01)
    np.testing.assert_allclose(left[lips], gain[lips], atol=0.01)


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        ((-1, 0.4, 0, 0), [(-1, 0.4, 0, 0)]),
        ((0, 0, 1, 0), [(0, 0, 1, 0)]),
        ((-1, 0, 1, 1), [(-1, 0, 0, 0), (0, 0, 1, 0)]),
        ((0, 0, 0, 1), [(0, 0, 0, 0)]),  # the hair's colour alone
        ((0, 0, 0, 0), [(0, 0, 0, 0)]),
    ],
)
def test_parts_of_the_face_change_step_by_step(change, steps):
    mouth = about("mouth", group="expression")
    regions = Regions.of([about(group="expression"), mouth, about("brows"), about(group="hair")], FRAME, 32)
    source = np.float32([[0.9, 0.5, 0.1, 0.2]])
    found = regions.steps(source, source + np.float32(change))
    np.testing.assert_array_equal(found[0][0], source)
    assert all(np.array_equal(one[1], two[0]) for one, two in pairwise(found))
    np.testing.assert_allclose(
        [after - before for before, after in found], np.float32(steps)[:, None], atol=1e-6
    )


def test_light_is_that_of_the_edits_which_act_at_a_place():
    makeup = about().model_copy(update={"makeup": MakeupInfo(on={}, off={})})
    regions = Regions.of([about(group="expression"), about("brows"), makeup], FRAME, 128)

    def light(*change):
        return regions.shares(np.array(change, np.float32)).light

    brow = tuple(np.round(FRAME.mean[dense.LEFT_BROW].mean(axis=0) * 128).astype(int)[::-1])
    chin = 112, 64
    both = light(-1, 1, 0)
    assert both[chin] == pytest.approx(0.2) and both[brow] == pytest.approx(1, abs=0.01)
    assert light(-1, 0, 1)[chin] == pytest.approx(0.2) and light(0, 0, 1).min() == 1
    swept = np.array([light(share, 0, 1)[chin] for share in np.linspace(0, 1, 21)])
    assert np.abs(np.diff(swept)).max() < 0.1 and (np.diff(swept) < 0).all()


def test_an_expression_gives_skin_no_colour_of_its_own():
    rng = np.random.default_rng(0)
    own = np.array([0.7, 0.5, 0.4], np.float32)[:, None, None] * rng.uniform(0.9, 1.1, (1, 128, 128))
    own = (own * (1 + 0.02 * rng.normal(size=(3, 128, 128)))).astype(np.float32)
    reddish, skin, lips = np.s_[96:100, 30:34], np.s_[75:85, 40:50], lips_mask(FRAME, 128)
    own[1:, *reddish] *= 0.75  # a fold beside the mouth
    greener = np.zeros((128, 128, 3), np.float32) + np.float32([-0.15, 0.05, 0.1]) - np.float32(0.2)
    skin_of = OwnSkin.of(own, FRAME)
    given = skin_of.keeps_colours(greener, np.zeros((128, 128), np.float32))

    def red(gain, where):
        return float((gain[where][..., 0] - gain[where].mean(axis=-1)).mean())

    assert red(greener, skin) == pytest.approx(-0.15, abs=1e-6) and abs(red(given, skin)) < 0.03
    assert red(given, reddish) < -0.1  # it becomes what the rest of the skin is
    np.testing.assert_allclose(given[skin].mean(axis=-1), -0.2, atol=1e-5)
    np.testing.assert_allclose(given[lips > 0.99], greener[lips > 0.99], atol=0.01)
    toned = skin_of.keeps_colours(greener, np.ones((128, 128), np.float32))
    np.testing.assert_allclose(toned[skin], greener[skin], atol=1e-5)


def test_a_highlight_that_is_darkened_shows_the_skin_under_it():
    own = np.zeros((3, 128, 128), np.float32) + np.float32([0.6, 0.4, 0.3])[:, None, None]
    white, fair = np.s_[75:85, 40:50], np.s_[75:85, 78:88]
    own[:, *white] = 0.9
    own[:, *fair] *= 1.5  # bright, but of the skin's colour
    darker = np.full((128, 128, 3), -0.8, np.float32)
    given = OwnSkin.of(own, FRAME).under_highlights(darker)
    red, green, blue = np.exp(given[80, 45])
    assert red / green == pytest.approx(0.66 / 0.46, abs=0.02)
    assert green / blue == pytest.approx(0.46 / 0.36, abs=0.02)
    np.testing.assert_allclose(given.mean(axis=2), -0.8, atol=1e-5)
    np.testing.assert_allclose(given[100:110, 60:68], darker[100:110, 60:68], atol=1e-6)
    np.testing.assert_allclose(given[fair], darker[fair], atol=0.03)  # it is a little paler in log units
    np.testing.assert_allclose(OwnSkin.of(own, FRAME).under_highlights(-darker), -darker, atol=1e-6)
    beard = beard_area(FRAME, 128)
    own[:, beard > 0.5] = 0.9
    np.testing.assert_allclose(OwnSkin.of(own, FRAME).shine[beard > 0.99], 0, atol=0.02)  # a white beard


def test_beards_darker_than_the_brows_have_no_more_of_their_colour():
    own = OwnHair(1.0, np.float32([1.3, 0.9, 0.8]), 0.2, np.zeros((2, 1), np.float32))
    gain = np.float32([-0.2, -0.5])[:, None, None] * np.ones((1, 1, 3), np.float32)
    given = own.tint(gain, np.ones((2, 1), np.float32), np.zeros((2, 1), np.float32))
    np.testing.assert_allclose(given[0, 0], -0.2 * own.colour, atol=1e-6)
    np.testing.assert_allclose(given[1, 0], -0.3 - 0.2 * own.colour, atol=1e-6)


def test_strands_are_as_fine_as_the_photo():
    levels = strands(FRAME)
    assert [len(each) for each in levels] == list(SIDES)
    assert [len(strands_at(FRAME, scale)) for scale in (0.5, 1, 3, 20)] == [128, 128, 512, 1024]
    for fine, coarse in pairwise(levels):
        assert coarse.std() < fine.std()
        assert coarse.mean() == pytest.approx(fine.mean(), abs=0.01)


@pytest.mark.parametrize(
    ("brows", "share", "colour"),
    [
        ((0.5, 0.5, 0.5), 0.5, (1, 1, 1)),
        ((0.4, 0.4, 0.4), 0.66, (1, 1, 1)),
        ((0.2, 0.2, 0.2), 1.0, (1, 1, 1)),
        ((0.8, 0.8, 0.8), 0.5, (1, 1, 1)),  # fairer than the skin: they tell nothing
        ((0.3, 0.25, 0.2), 1.0, (0.74, 0.98, 1.28)),  # brown
        ((0.49, 0.4, 0.1), 0.71, (0.7, 0.7, 1.35)),  # an extreme
    ],
)
def test_beards_are_as_dark_and_of_the_colour_as_the_brows(brows, share, colour):
    texture = np.full((3, 128, 128), 0.5, np.float32)
    for ring in (dense.LEFT_BROW, dense.RIGHT_BROW):
        texture[:, FRAME.mask(128, ring) > 0] = np.array(brows, np.float32)[:, None]
    dark = FRAME.mask(128, slice(0, 36)) > 0
    dark[:110] = False
    texture[:, dark] = 0.1  # a beard that is there
    own = OwnHair.of(texture, FRAME)
    assert own.bare[90, 64] == 1 and own.bare[dark].max() == 0
    own = own._replace(bare=np.ones((2, 1), np.float32))
    assert own.share == pytest.approx(share, abs=0.02)
    np.testing.assert_allclose(own.colour, colour, atol=0.02)
    gain = np.zeros((2, 1, 3), np.float32) + np.array([[[-0.3, -0.2, -0.1]], [[0.1, 0, 0.2]]], np.float32)
    here = np.ones((2, 1), np.float32)
    given, grown = (own.tint(gain, here, beard)[0, 0] for beard in (0 * here, here))
    assert given.mean() == pytest.approx(-0.2) and grown.mean() == pytest.approx(-0.2 * (1 + share), abs=4e-3)
    np.testing.assert_array_equal(np.argsort(-given), np.argsort(own.colour))
    assert np.ptp(given) <= 0.2 * np.ptp(own.colour) + 1e-6  # some hair on light skin is less coloured
    np.testing.assert_allclose(own.tint(gain, here, here)[1], gain[1], atol=1e-6)  # what brightens
    np.testing.assert_allclose(own.tint(gain, 0 * here, 0 * here), gain, atol=1e-6)
