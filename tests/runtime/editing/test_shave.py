"""Beards that go: the skin under them, where they are, and the fine detail of skin in their place."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from made_up_face import BEARD, bare_skin, face_picture, face_points, face_texture, made_up_frame
from staged_faces import Finds
from tiny_bundles import sha256

from aif.runtime import Detection, Editor
from aif.runtime.bundle.manifest import AttributeInfo, FileInfo
from aif.runtime.editing.shape.bare_skin import BareSkin
from aif.runtime.editing.shape.baring import Baring
from aif.runtime.editing.shape.edit import ShapeEdit, apply_edit
from aif.runtime.editing.shape.gain import EPSILON, gain_mask
from aif.runtime.editing.shape.hairs import beard_area
from aif.runtime.editing.shape.pores import cheeks_of, like
from aif.runtime.editing.shape.region import Regions, Seen
from aif.runtime.editing.shape.shave import shave
from aif.runtime.editing.shape.warp import FacePlace, plan_warp
from aif.runtime.errors import BundleError
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.runtime.geometry import points as dense

FRAME, SIZE = made_up_frame(), 128


@pytest.mark.parametrize("light", [0.0, 0.8])
@pytest.mark.parametrize("beard", [0.3, 1.2])
def test_the_skin_under_a_beard(beard, light):
    shaved = shave(bare_skin(), face_texture(beard, light), FRAME)
    assert shaved.hair[BEARD].mean() > 0.85 and shaved.strands[BEARD].mean() > 0.9
    cheek = np.s_[70:80, 40:50]
    assert max(shaved.hair[cheek].max(), shaved.strands[cheek].max()) < 1e-3
    inside = cv2.erode(BEARD.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    np.testing.assert_allclose(shaved.gain[inside], beard, atol=0.12)


def test_grey_beards_of_the_skins_own_brightness():
    assert shave(bare_skin(), face_texture(grey=True), FRAME).hair[BEARD].mean() > 0.75


def test_what_hides_the_eyes_tells_nothing_of_the_skin():
    texture = face_texture(0.8)
    texture[:, 56:68, 36:92] *= 0.2  # dark glasses
    shaved = shave(bare_skin(), texture, FRAME)
    inside = cv2.erode(BEARD.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    np.testing.assert_allclose(shaved.gain[inside], 0.8, atol=0.15)


def test_skin_under_a_beard_is_no_brighter_than_the_face_and_ends_at_the_chin():
    skin = bare_skin()
    low = cv2.resize(BEARD.astype(np.float32), (32, 32), interpolation=cv2.INTER_AREA)[skin.where] > 0.5
    glowing = replace(skin, mean=skin.mean + low[:, None] * np.float32(0.5))
    shaved = shave(glowing, face_texture(0.8), FRAME)
    assert shaved.gain[BEARD].max() < 0.95
    assert shaved.hair[120:122, 60:68].min() > 0.7


def test_a_grey_picture_stays_grey():
    grey = np.repeat(face_texture(0.6, 0.8)[1:2], 3, axis=0)
    shaved = shave(bare_skin(), grey, FRAME)
    assert shaved.hair[BEARD].mean() > 0.7
    np.testing.assert_allclose(shaved.gain - shaved.gain[:, :, :1], 0, atol=1e-5)


def test_who_has_no_beard_is_left_alone():
    assert not shave(bare_skin(), face_texture(light=0.8), FRAME).hair.any()
    shadow = np.zeros_like(BEARD)
    shadow[112:116, 50:78] = True  # below the lower lip
    assert shave(bare_skin(), face_texture(0.4, where=shadow), FRAME).hair.max() < 0.05


def test_a_skin_is_stored():
    skin = bare_skin()
    again = BareSkin.read(skin.stored())
    np.testing.assert_array_equal(again.where, skin.where)
    np.testing.assert_allclose(again.mean, skin.mean, atol=1e-3)
    np.testing.assert_allclose(again.components, skin.components, atol=1e-3)
    assert again.noise == pytest.approx(skin.noise)


def baring_of(infos):
    return Baring.of(None, infos, Regions.of(infos, FRAME, SIZE), FRAME)


def stored(**changed):
    return replace(bare_skin(), **changed).stored()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04nothing",
        stored(where=np.ones((8, 8), bool)),
        stored(mean=np.zeros((1, 3), np.float32)),
        stored(mean=np.full_like(bare_skin().mean, np.nan)),
        stored(components=bare_skin().components[:, :, :0]),
    ],
)
def test_what_is_no_skin_is_refused(data):
    with pytest.raises(BundleError, match=r"skin\.npz cannot"):
        BareSkin.read(data)


@pytest.mark.parametrize(
    ("source", "target", "shaved"),
    [
        ((0.8, 0), (0, 0), 1),
        ((0.8, 0), (-0.5, 0), 1),  # beyond 0 there is no more to shave
        ((0.8, 0), (0.4, 0), 0.5),
        ((0.02, 0), (0, 0), 0.25),  # of those who hardly have one
        ((0.04, 0), (-1, 0), 0.5),
        ((0, 0), (1, 0), 0),
        ((0, 0.2), (0, 1), 1),  # as an attribute comes that is none
        ((0, 1), (0, 0), 0),
    ],
)
def test_how_much_is_shaved(source, target, shaved):
    infos = [
        AttributeInfo(name="Mustache", bearded=1, region=("moustache",)),
        AttributeInfo(name="No_Beard", bearded=0),
    ]
    going, _ = baring_of(infos).going_and_coming(*(np.float32(each) for each in (source, target)))
    assert going.max() == pytest.approx(shaved)


@pytest.mark.parametrize("had", [0.2, 0.96])
def test_a_beard_that_is_asked_for_comes_and_sex_is_none(had):
    infos = [
        AttributeInfo(name="Male", bearded=1),
        AttributeInfo(name="Mustache", bearded=1, region=("moustache",)),
    ]
    baring = baring_of(infos)
    going, coming = baring.going_and_coming(np.float32([1, had]), np.float32([0, 1]))
    assert going.min() == 1
    np.testing.assert_allclose(coming, baring.beards[1], atol=1e-6)
    going, coming = baring.going_and_coming(np.float32([0.97, 0.9]), np.float32([1, 0]))
    assert not coming.any()
    np.testing.assert_allclose(going, baring.beards[1], atol=1e-6)


def test_a_calibrated_attribute_is_shaved_to_the_end_at_0():
    info = AttributeInfo(name="Goatee", bearded=1, off=-0.5)
    baring = baring_of([info])
    ways = [
        baring.going_and_coming(np.float32([0.8]), np.float32([0.8 - 1.5 * 0.8 * way])) for way in (0.5, 1)
    ]
    assert [going.max() for going, _ in ways] == [pytest.approx(0.5), pytest.approx(1)]


def test_pores_are_a_cheeks_without_its_folds():
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 0.02, (40, 40, 3)).astype(np.float32)
    folded = grain.copy()
    folded[20] -= 0.5
    tile, other = like(grain), like(folded)
    assert tile.shape == (32, 32, 3) and other.std() == pytest.approx(tile.std(), rel=0.5)
    rows = np.abs(other.mean(axis=(1, 2)))
    assert rows.max() < 0.1  # the fold had 0.5


@pytest.mark.parametrize(("left", "right", "cheeks"), [(0, 0, 2), (100, 0, 1), (0, 60, 1)])
def test_a_cheek_that_is_cut_off_or_turned_away_is_not_looked_at(left, right, cheeks):
    """The photo begins `left` px into the face; what is right of its middle is `right` % nearer to that."""
    points = 2 * face_points()
    beyond = points[:, 0] > 128
    points[beyond, 0] -= right / 100 * (points[beyond, 0] - 128)
    points -= np.float32((left, 0))
    place = FacePlace.of(FRAME, points, (256, 256))
    warp = plan_warp(FRAME, place, np.zeros((dense.COUNT, 2), np.float32))
    x0, y0, x1, y1 = place.box
    blocks = cheeks_of(warp, (y1 - y0, x1 - x0))
    assert len(blocks) == cheeks
    for rows, columns in blocks:
        assert 2 * 76 < (rows.start + rows.stop) / 2 + y0 < 2 * 94
        assert min(rows.stop - rows.start, columns.stop - columns.start) > 12


@pytest.mark.parametrize("scale", [0.8, 2.4])
def test_hair_becomes_skin_and_lips_stay(scale):
    points = face_points() * np.float32(scale)
    size = round(140 * scale)
    photo = cv2.GaussianBlur(face_picture(points, size), (0, 0), 0.8)
    place = FacePlace.of(FRAME, points, photo.shape)
    rng = np.random.default_rng(0)
    rough = np.clip(photo + rng.normal(0, 2, photo.shape), 0, 255)
    chin = np.zeros((size, size), np.float32)
    cv2.ellipse(
        chin, (round(64 * scale), round(114 * scale)), (round(9 * scale), round(4 * scale)), 0, 0, 360, 1, -1
    )
    hairy = np.clip(rough + chin[:, :, None] * rng.normal(0, 40, (size, size, 1)), 0, 255).astype(np.uint8)
    area = gain_mask(FRAME, SIZE) * beard_area(FRAME, SIZE)
    pores = cv2.resize(area, (SIZE // 4, SIZE // 4), interpolation=cv2.INTER_AREA)
    nothing = np.zeros((dense.COUNT, 2), np.float32), np.zeros((SIZE, SIZE, 3), np.float32)
    edit = ShapeEdit(*nothing, np.zeros((SIZE // 4, SIZE // 4, 3), np.float32), pores)
    assert not edit.empty and edit.times(0).empty
    shaved = hairy.copy()
    apply_edit(shaved, FRAME, place, edit)

    def contrast(image, rows, columns):
        part = image[tuple(slice(*(round(each * scale) for each in pair)) for pair in (rows, columns))]
        logs = np.log(part.astype(float).mean(axis=2) + 16)
        return float((logs - cv2.GaussianBlur(logs, (0, 0), scale)).std())

    there, cheek = ((112, 116), (58, 70)), ((76, 84), (42, 52))
    assert contrast(hairy, *there) > 4 * contrast(hairy, *cheek)
    assert contrast(hairy, *cheek) / 3 < contrast(shaved, *there) < contrast(hairy, *there) / 3
    assert contrast(shaved, *cheek) == pytest.approx(contrast(hairy, *cheek), rel=0.02)
    lips = np.s_[round(99 * scale) : round(103 * scale), round(60 * scale) : round(68 * scale)]
    np.testing.assert_allclose(shaved[lips].astype(float), hairy[lips], atol=2)


def test_smooth_skin_gets_pores_of_the_plainer_cheek():
    points, rng = 2 * face_points(), np.random.default_rng(0)
    photo = np.full((280, 280, 3), 150, np.float32)
    photo[:190] += rng.normal(0, 6, (190, 280, 1))
    photo[:190, 140:] += rng.normal(0, 30, (190, 140, 1))
    photo = photo.clip(0, 255).astype(np.uint8)
    nothing = np.zeros((dense.COUNT, 2), np.float32), np.zeros((SIZE, SIZE, 3), np.float32)
    pores = np.ones((SIZE // 4, SIZE // 4), np.float32)
    edit = ShapeEdit(*nothing, np.zeros((SIZE // 4, SIZE // 4, 3), np.float32), pores)
    shaved = photo.copy()
    apply_edit(shaved, FRAME, FacePlace.of(FRAME, points, photo.shape), edit)
    assert photo[222:236, 110:170].std() == 0
    assert 2 < shaved[222:236, 110:170].mean(axis=2).std() < 9


def test_brows_that_come_draw_no_strands_on_a_beard_that_goes():
    points, nothing = 2 * face_points(), np.zeros((SIZE // 4, SIZE // 4, 3), np.float32)
    photo = face_picture(points, 280)
    moves, gain = np.zeros((dense.COUNT, 2), np.float32), np.full((SIZE, SIZE, 3), -0.4, np.float32)

    def chin(pores, hairs):
        result = photo.copy()
        edit = ShapeEdit(moves, gain, nothing, np.full((SIZE // 4, SIZE // 4), pores, np.float32), hairs)
        apply_edit(result, FRAME, FacePlace.of(FRAME, points, photo.shape), edit)
        return result[226:234, 110:146].astype(float)

    assert np.abs(chin(0, 1) - chin(0, 0)).mean() > 5
    assert np.abs(chin(1, 1) - chin(1, 0)).max() <= 1


@pytest.mark.parametrize(
    ("bearded", "wanted", "brighter"), [(1, 0.0, 33), (1, 0.2, 18), (None, 0.0, 0), (0, 0.0, 0), (0, 1.0, 33)]
)
def test_an_edit_shaves_the_photo(make_shape_bundle, bearded, wanted, brighter):
    scale, size = 1.5, 192
    photo = face_picture(face_points(), size, scale)
    skin_colour = photo[round(75 * scale), round(50 * scale)].copy()
    beard = cv2.resize(beard_area(FRAME, size), (size, size)) > 0.5
    photo[beard] = skin_colour // 2
    skin = bare_skin()
    plain = np.log(skin_colour[::-1].astype(np.float32) / 255 + EPSILON)
    data = replace(skin, mean=np.tile(plain, (len(skin.mean), 1))).stored()
    info = FileInfo(file="skin.npz", sha256=sha256(data))
    region = AttributeInfo(name="Smiling", bearded=bearded, region=("beard",))
    attributes = region, AttributeInfo(name="Blond_Hair", group="hair")

    def edited(**fields):
        bundle = make_shape_bundle({"skin.npz": data}, attributes=attributes, **fields)
        five = dense.five_points(face_points() * np.float32(scale))
        finds = Finds(Detection(box_from_landmarks(five), five, 0.9))
        with Editor.load(bundle, "cpu", finds, threads=1) as editor:
            return editor.edit(photo, {"Smiling": wanted}).image_hwc_bgr.astype(float)

    difference = (edited(skin=info) - edited()).mean(axis=2)
    middle = difference[166:174, 85:107].mean()
    assert middle == pytest.approx(brighter, abs=6)
    assert np.abs(difference[:120]).max() <= 2  # all above the nose


@pytest.fixture
def edit_of(make_shape_bundle, monkeypatch):
    """What a change of an attribute from `values[0]` to `values[1]` does to a face of a texture (3, 32, 32),
    of which the decoder knows `known`."""
    data = bare_skin().stored()

    def edit(attribute, texture, known, values):
        attributes = attribute, AttributeInfo(name="Blond_Hair", group="hair")
        info = FileInfo(file="skin.npz", sha256=sha256(data))
        bundle = make_shape_bundle({"skin.npz": data}, attributes=attributes, skin=info)
        with Editor.load(bundle, "cpu", Finds(), threads=1) as editor:
            path, five = editor.path, dense.five_points(face_points())
            photo = face_picture(face_points(), SIZE)
            views = path.look(photo, [Detection(box_from_landmarks(five), five, 0.9)])
            encoded = path.encode(path.cut(photo, views))
            inputs = replace(encoded.inputs, images=texture[None])
            before, after = np.float32([[values[0], 0]]), np.float32([[values[1], 0]])
            decoded = [
                replace(d, image=known[None]) for d in path.model.decode_both(encoded.encoding, before, after)
            ]
            monkeypatch.setattr(path.model, "decode_both", lambda *_: decoded)
            (found,) = path.change(replace(encoded, inputs=inputs), before, after)
        return found.edit

    return edit


def small(texture):
    return cv2.resize(texture.transpose(1, 2, 0), (32, 32), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)


def test_half_a_beard_and_what_hides_it(edit_of):
    """As the value goes halfway, half of the beard goes, and none where the decoder knows something else."""
    goatee, texture, values = AttributeInfo(name="Goatee", bearded=1), small(face_texture(0.8)), (0.8, 0.4)
    where = beard_area(FRAME, 32)
    beard = cv2.resize(where, (8, 8), interpolation=cv2.INTER_AREA) > 0.95
    edit = edit_of(goatee, texture, texture, values)
    assert 0.35 < edit.pores[beard].mean() < 0.51
    np.testing.assert_allclose(edit.detail[beard], 0.55 * edit.detail.min(), rtol=0.2)
    hidden = edit_of(goatee, texture, np.where(where > 0.5, 1, texture).astype(np.float32), values)
    assert hidden.pores[beard].max() < 0.05 and np.abs(hidden.gain).max() < np.abs(edit.gain).max() / 2


def test_folds_fade_and_a_beard_stays(edit_of):
    fold, texture = np.s_[74:94, 36:42], face_texture(0.8)
    texture[:, *fold] *= 0.75
    texture, where = small(texture), beard_area(FRAME, 32) > 0.95
    plain, young = (AttributeInfo(name="Young", unfolds=unfolds) for unfolds in (None, 1))
    one, other = (edit_of(each, texture, texture, (0.2, 1.0)) for each in (plain, young))
    gain = (other.gain - one.gain).mean(axis=2)
    assert gain[20:22, 9:10].mean() > 0.05 and np.abs(gain[where]).max() < 0.06
    assert other.pores[5, 2] > 0.1 > one.pores.max() == 0


MALE = AttributeInfo(name="Male", bearded=1)
MUSTACHE = AttributeInfo(name="Mustache", bearded=1, region=("moustache",))
YOUNG = AttributeInfo(name="Young", unfolds=1)


def bared(source, target, seen=None):
    """What changes in a bearded face with a fold on its left cheek, of the attributes above."""
    infos = [MALE, MUSTACHE, YOUNG]
    baring = Baring.of(bare_skin(), infos, Regions.of(infos, FRAME, SIZE), FRAME)
    texture = face_texture(0.8)
    texture[:, 74:94, 36:42] *= 0.75
    there = np.ones((SIZE, SIZE), np.float32) if seen is None else seen
    nothing = np.zeros((SIZE, SIZE, 3), np.float32)
    values = (np.float32(each) for each in (source, target))
    gain, pores = baring.apply(nothing, texture, tuple(values), Seen(there, np.ones(dense.COUNT, np.float32)))
    return gain.mean(axis=2), pores, baring.beards[1]


def test_a_beard_and_folds_go_where_they_are_seen_and_no_beard_is_asked_for():
    fold, jaw = np.s_[80:88, 38:40], BEARD & (np.indices(BEARD.shape)[0] > 112)
    jaw &= np.indices(BEARD.shape)[1] > 60
    gain, pores, upper_lip = bared([1, 0.96, 0.2], [0, 0.96, 1])
    assert gain[fold].mean() > 0.08 and gain[jaw].mean() > 0.5
    assert pores[fold].mean() > 0.1 and pores[jaw].mean() > 0.8
    right = np.ones((SIZE, SIZE), np.float32)
    right[:, :56] = 0
    hidden, hidden_pores, _ = bared([1, 0.96, 0.2], [0, 0.96, 1], right)
    assert not hidden[:, :56].any() and not hidden_pores[:, :56].any() and hidden[jaw].mean() > 0.5
    lip = (upper_lip > 0.6) & BEARD
    assert gain[lip].mean() > 0.3
    for source, target in (([1, 0.96, 0.2], [0, 1, 1]), ([1, 0.1, 0.2], [1, 1, 1])):  # asked for; comes
        kept, kept_pores, _ = bared(source, target)
        assert kept[lip].mean() < 0.4 * gain[lip].mean() and kept_pores[lip].mean() < 0.4 * pores[lip].mean()
