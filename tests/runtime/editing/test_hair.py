"""The colour of hair."""

from types import SimpleNamespace

import numpy as np
import pytest

from aif.runtime.bundle.manifest import HairColour, HairInfo
from aif.runtime.editing.shape.hair import (
    SKIN,
    HairChange,
    decided,
    hair_change,
    hair_colour,
    hair_view,
    recoloured,
)
from aif.runtime.geometry.align import transform_points

DARK = HairColour(lightness=-1.4, red=0.12, blue=-0.08, contrast=0.37)
FAIR = HairColour(lightness=-0.3, red=0.22, blue=-0.27, contrast=0.33)
WHITE = HairColour(lightness=-0.2, red=0.02, blue=-0.02, contrast=0.25)
NAMES = ("Smiling", "Black_Hair", "Blond_Hair")
MANIFEST = SimpleNamespace(
    attribute_names=NAMES,
    hair={"Black_Hair": HairInfo(on=DARK, off=FAIR), "Blond_Hair": HairInfo(on=FAIR, off=DARK)},
)


def crop_and_matte():
    """float32 (3, 128, 128): brown strands above, skin below; and the matte of the strands."""
    rng = np.random.default_rng(1)
    image = np.empty((3, 128, 128), np.float32)
    image[:] = np.array([0.75, 0.58, 0.5], np.float32)[:, None, None]
    strands = np.exp(rng.normal(0, 0.3, (1, 40, 128))).astype(np.float32)
    image[:, :40] = np.array([0.30, 0.2, 0.12], np.float32)[:, None, None] * strands
    matte = np.zeros((128, 128), np.float32)
    matte[:40] = 1
    return image.clip(0, 1), matte


def box_of(crop):
    return np.round(255 * crop[::-1].transpose(1, 2, 0)).astype(np.uint8)


@pytest.mark.parametrize("goal", [DARK, FAIR, WHITE], ids=["dark", "fair", "white"])
def test_hair_gets_the_wanted_statistics_and_keeps_its_strands(goal):
    crop, matte = crop_and_matte()
    own = hair_colour(crop, matte)
    assert own is not None
    box = box_of(crop)
    result = recoloured(box, *decided(box, matte), own, HairChange(goal, 1.0))
    found = hair_colour(result[..., ::-1].transpose(2, 0, 1).astype(np.float32) / 255, matte)
    assert found is not None
    assert found.lightness == pytest.approx(goal.lightness, abs=0.12)
    assert found.red == pytest.approx(goal.red, abs=0.05)
    assert found.blue == pytest.approx(goal.blue, abs=0.06)
    before, after = (image[:40].astype(float).sum(axis=2).ravel() for image in (box, result))
    assert np.corrcoef(before, after)[0, 1] > 0.95
    assert (result[41:] == box[41:]).all()
    still = recoloured(box, *decided(box, matte), own, HairChange(goal, 0.0))
    assert np.abs(still.astype(int) - box).max() <= 1
    assert hair_colour(crop, 0 * matte) is None


def test_grey_that_is_exaggerated_stays_grey():
    crop, matte = crop_and_matte()
    own, box = hair_colour(crop, matte), box_of(crop)
    assert own is not None
    plain, more = (recoloured(box, *decided(box, matte), own, HairChange(WHITE, share)) for share in (1, 1.5))
    chroma = [np.ptp(image[:35].astype(int), axis=2).mean() for image in (plain, more)]
    assert more[:35].mean() > plain[:35].mean() + 5
    assert chroma[1] == pytest.approx(chroma[0], abs=3)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ((0, 0.1, 0.2), (1, 0.1, 0.2), None),
        ((0, 1.0, 0.0), (0, 0.0, 1.0), (FAIR, 1.0)),  # what comes counts before what goes
        ((0, 1.0, 0.0), (0, 0.0, 0.0), (FAIR, 1.0)),
        ((0, 0.2, 0.0), (0, 1.0, 0.0), (DARK, 0.8)),
        ((0, 0.0, 0.0), (0, 0.0, 2.0), (FAIR, 1.5)),  # exaggeration ends somewhere
        ((0, 1.0, 0.0), (0, 1.0, 0.0), None),
    ],
)
def test_what_values_ask_of_the_hair(source, target, expected):
    found = hair_change(MANIFEST, np.float32(source), np.float32(target))
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert found.share == pytest.approx(expected[1])
        assert found.colour.lightness == pytest.approx(expected[0].lightness)
        assert found.times(0.5).share == pytest.approx(expected[1] / 2)


@pytest.mark.parametrize(("matte_there", "keeps"), [(0.3, True), (1.0, False)], ids=["doubtful", "certain"])
def test_a_bright_wall_that_the_matte_touches_does_not_glow(matte_there, keeps):
    crop, matte = crop_and_matte()
    own = hair_colour(crop, matte)
    assert own is not None
    crop[:, 40:60, :20] = 0.9
    matte[40:60, :20] = matte_there
    box = box_of(crop)
    result = recoloured(box, *decided(box, matte), own, HairChange(WHITE, 1.0))
    change = np.abs(result.astype(int) - box)[45:55, 3:17]
    assert (change.max() <= 5) == keeps


def test_a_matte_ends_where_the_hair_does():
    box = np.full((200, 300, 3), (200, 210, 220), np.uint8)
    box[:, :150] = (30, 40, 60)
    for reach in (15, -15):  # over the wall, and short of the hair's end
        end = np.interp(np.arange(300), (135 + reach, 165 + reach), (1, 0)).astype(np.float32)
        matte = end[None].repeat(200, axis=0)
        found, hair = decided(box, matte)
        assert found[100, 160] < 0.1 and found[100, 140] > 0.9
        assert np.abs(matte[100, [160, 140]] - (0, 1)).max() > 0.3
        np.testing.assert_allclose(hair[100, 140], np.log(np.array((30, 40, 60)) / 255 + 0.06), atol=0.15)
    alike, _ = decided(np.full_like(box, 90), matte)
    np.testing.assert_allclose(alike, matte, atol=1e-5)
    assert (decided(box, np.zeros_like(matte))[0] == 0).all()


def test_hair_that_is_nowhere_certain_has_the_colour_of_what_is_surest():
    box = np.full((60, 60, 3), 200, np.uint8)
    box[20:40] = 40
    matte = np.zeros((60, 60), np.float32)
    matte[20:40] = 0.85
    _, hair = decided(box, matte)
    np.testing.assert_allclose(hair[30, 30], np.log(40 / 255 + 0.06), atol=0.1)
    _, everywhere = decided(np.full_like(box, 40), np.full_like(matte, 0.5))
    np.testing.assert_allclose(everywhere, np.log(40 / 255 + 0.06), atol=0.01)


def test_what_is_half_hair_changes_by_half_of_what_hair_does():
    hair, skin = np.array([20, 25, 30]), np.array([150, 170, 210])
    box = (
        np.tile(np.linspace(0, 1, 5)[None, :, None] * (skin - hair) + hair, (9, 1, 1))
        .round()
        .astype(np.uint8)
    )
    matte = np.tile(np.linspace(1, 0, 5, dtype=np.float32), (9, 1))
    logs = np.broadcast_to(np.log(hair / 255 + 0.06).astype(np.float32), box.shape)
    result = recoloured(box, matte, logs, DARK.model_copy(update={"lightness": -2.0}), HairChange(FAIR, 1.0))
    change = result[4].astype(int) - box[4]
    assert change[0].min() > 25
    np.testing.assert_allclose(change, matte[4][:, None] * change[0], atol=5)


@pytest.mark.parametrize("yaw", [-60, -30, 0, 10, 30, 40])
def test_hair_of_a_turned_face_is_looked_for_further_back(yaw):
    aligned = np.array([[0.5, 0, 10], [0, 0.5, 20]], np.float32)
    matrix, skin = hair_view(SimpleNamespace(matrix=aligned, size=64, yaw=yaw), 128)
    share = {10: 0, 30: 0.5}.get(abs(yaw), min(abs(yaw), 1))  # of what it is from 40 degrees on
    assert matrix[0, 0] == pytest.approx(1 - 0.25 * share) and matrix[0, 1] == matrix[1, 0] == 0
    # The face looks to one side, and moves there.
    middle = transform_points([[63.5 - 20, 63.5 - 40]], matrix)[0]
    np.testing.assert_allclose(middle, (63.5 + np.sign(yaw) * share * 0.08 * 128, 63.5), atol=1e-3)
    place = transform_points([[SKIN[0] - 20, SKIN[1] - 40]], matrix)[0]
    np.testing.assert_allclose(skin, (*place, SKIN[2] * (1 - 0.25 * share)), atol=1e-3)


def test_the_noise_of_black_hair_gets_no_colours():
    rng = np.random.default_rng(0)
    noisy = rng.integers(8, 33, (60, 60, 3)).astype(np.uint8)
    own = HairColour(lightness=-2.2, red=0.0, blue=0.0, contrast=0.3)
    matte, logs = np.ones((60, 60), np.float32), np.full((60, 60, 3), np.log(0.14), np.float32)
    result = recoloured(noisy, matte, logs, own, HairChange(FAIR, 1.0)).astype(float)
    spread = [
        (image - image.mean(axis=(0, 1)))[:, :, 2] - (image - image.mean(axis=(0, 1)))[:, :, 0]
        for image in (noisy, result)
    ]
    assert result.mean() > 2.5 * noisy.mean()
    assert spread[1].std() < 1.5 * spread[0].std()  # as it was, not as much brighter as the hair is
