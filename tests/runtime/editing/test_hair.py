"""The colour of hair."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from aif.runtime.bundle.manifest import HairColour, HairInfo
from aif.runtime.editing.shape.hair import (
    HairChange,
    hair_change,
    hair_colour,
    recoloured,
    without_background,
)

DARK = HairColour(lightness=-1.4, red=0.12, blue=-0.08, contrast=0.37)
FAIR = HairColour(lightness=-0.3, red=0.22, blue=-0.27, contrast=0.33)
WHITE = HairColour(lightness=-0.2, red=0.02, blue=-0.02, contrast=0.25)
NAMES = ("Smiling", "Black_Hair", "Blond_Hair")
MANIFEST = SimpleNamespace(
    attribute_names=NAMES,
    hair={"Black_Hair": HairInfo(on=DARK, off=FAIR), "Blond_Hair": HairInfo(on=FAIR, off=DARK)},
)


def crop_and_matte() -> tuple[np.ndarray, np.ndarray]:
    """float32 (3, 128, 128): brown strands above, skin below; and the matte of the strands."""
    rng = np.random.default_rng(1)
    image = np.empty((3, 128, 128), np.float32)
    image[:] = np.array([0.75, 0.58, 0.5], np.float32)[:, None, None]
    strands = np.exp(rng.normal(0, 0.3, (1, 40, 128))).astype(np.float32)
    image[:, :40] = np.array([0.30, 0.2, 0.12], np.float32)[:, None, None] * strands
    matte = np.zeros((128, 128), np.float32)
    matte[:40] = 1
    return image.clip(0, 1), matte


def box_of(crop: np.ndarray) -> np.ndarray:
    return np.round(255 * crop[::-1].transpose(1, 2, 0)).astype(np.uint8)


@pytest.mark.parametrize("goal", [DARK, FAIR, WHITE], ids=["dark", "fair", "white"])
def test_hair_gets_the_wanted_statistics_and_keeps_its_strands(goal: HairColour) -> None:
    crop, matte = crop_and_matte()
    own = hair_colour(crop, matte)
    assert own is not None
    box = box_of(crop)
    result = recoloured(box, matte, own, HairChange(goal, 1.0))
    found = hair_colour(result[..., ::-1].transpose(2, 0, 1).astype(np.float32) / 255, matte)
    assert found is not None
    assert found.lightness == pytest.approx(goal.lightness, abs=0.12)
    assert found.red == pytest.approx(goal.red, abs=0.05)
    assert found.blue == pytest.approx(goal.blue, abs=0.06)
    before, after = (image[:40].astype(float).sum(axis=2).ravel() for image in (box, result))
    assert np.corrcoef(before, after)[0, 1] > 0.95
    assert (result[41:] == box[41:]).all()


def test_no_share_no_change() -> None:
    crop, matte = crop_and_matte()
    own = hair_colour(crop, matte)
    assert own is not None
    assert (
        np.abs(recoloured(box_of(crop), matte, own, HairChange(FAIR, 0.0)).astype(int) - box_of(crop)).max()
        <= 1
    )


def test_too_little_hair_is_none() -> None:
    crop, matte = crop_and_matte()
    assert hair_colour(crop, 0 * matte) is None


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
def test_what_values_ask_of_the_hair(
    source: tuple[float, ...], target: tuple[float, ...], expected: tuple[HairColour, float] | None
) -> None:
    found = hair_change(MANIFEST, np.float32(source), np.float32(target))  # type: ignore[arg-type]
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert found.share == pytest.approx(expected[1])
        assert found.colour.lightness == pytest.approx(expected[0].lightness)
        assert found.times(0.5).share == pytest.approx(expected[1] / 2)


@pytest.mark.parametrize(("matte_there", "keeps"), [(0.3, True), (1.0, False)], ids=["doubtful", "certain"])
def test_a_bright_wall_that_the_matte_touches_does_not_glow(matte_there: float, keeps: bool) -> None:
    crop, matte = crop_and_matte()
    own = hair_colour(crop, matte)
    assert own is not None
    crop[:, 60:80, :20] = 0.9
    matte[60:80, :20] = matte_there
    box = box_of(crop)
    change = np.abs(recoloured(box, matte, own, HairChange(WHITE, 1.0)).astype(int) - box)[60:80, :20]
    assert (change.max() <= 3) == keeps


def test_a_matte_that_reaches_over_the_wall_ends_where_the_hair_does() -> None:
    box = np.full((200, 300, 3), (200, 210, 220), np.uint8)
    box[:, :150] = (30, 40, 60)
    matte = np.interp(np.arange(300), (130, 180), (1, 0)).astype(np.float32)[None].repeat(200, axis=0)
    found = without_background(box, matte)
    assert found[100, 160] < 0.05 and matte[100, 160] > 0.3
    np.testing.assert_allclose(found[:, :145], matte[:, :145], atol=0.05)
    alike = without_background(np.full_like(box, 90), matte)
    np.testing.assert_allclose(alike, matte, atol=1e-5)
    assert (without_background(box, np.zeros_like(matte)) == 0).all()
