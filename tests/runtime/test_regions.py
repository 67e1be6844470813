"""Masks by attribute: a mouth needs less of the crop than hair."""

from __future__ import annotations

import numpy as np
import pytest

from aif.runtime.regions import REGIONS, face_mask

# Places in a 128 px crop: x, y.
MOUTH, EYE, FOREHEAD, HAIR_LINE, CORNER = (64, 100), (46, 62), (64, 40), (64, 8), (8, 12)


def value(mask: np.ndarray, place: tuple[int, int]) -> float:
    scale = len(mask) / 128
    return float(mask[int(place[1] * scale), int(place[0] * scale)])


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize(
    ("attributes", "shown", "kept"),
    [
        (["Smiling"], [MOUTH], [FOREHEAD, HAIR_LINE, CORNER]),
        (["Mouth_Slightly_Open", "Smiling"], [MOUTH], [FOREHEAD, CORNER]),
        (["Eyeglasses"], [EYE], [(64, 112), HAIR_LINE]),
        (["Eyeglasses", "Smiling"], [EYE, MOUTH], [HAIR_LINE]),
        (["Heavy_Makeup"], [EYE, MOUTH, FOREHEAD], [CORNER]),
        (["Blond_Hair"], [EYE, MOUTH, FOREHEAD, (64, 16)], [(0, 0)]),
        (["Young"], [EYE, MOUTH, FOREHEAD], [(0, 64)]),
        (["Smiling", "no such name"], [EYE, MOUTH, FOREHEAD], [(0, 64)]),
        ([], [EYE, MOUTH, FOREHEAD], [(0, 64)]),
    ],
    ids=str,
)
def test_where_an_edit_shows(
    size: int, attributes: list[str], shown: list[tuple[int, int]], kept: list[tuple[int, int]]
) -> None:
    mask = face_mask(size, attributes)
    assert all(value(mask, place) > 0.9 for place in shown)
    assert all(value(mask, place) < 0.35 for place in kept)
    if set(attributes) <= {"Smiling", "Mouth_Slightly_Open"} and attributes:
        assert all(value(mask, place) == 0 for place in kept)


def test_hair_needs_more_than_the_rest() -> None:
    assert (face_mask(64, ["Bangs"]) >= face_mask(64)).all()
    assert face_mask(64, ["Bangs"]).mean() > 1.05 * face_mask(64).mean()
    assert face_mask(64, ["Smiling"]).mean() < 0.5 * face_mask(64).mean()


@pytest.mark.parametrize("name", [*sorted(REGIONS), "Young"])
@pytest.mark.parametrize("size", [16, 64, 256])
def test_every_mask_is_soft(name: str, size: int) -> None:
    mask = face_mask(size, [name])
    assert mask.shape == (size, size) and mask.dtype == np.float32 and not mask.flags.writeable
    assert mask is face_mask(size, (name, name))
    assert mask.min() == 0 and 0.99 < mask.max() <= 1
    assert not np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).any()
    np.testing.assert_allclose(mask, mask[:, ::-1], atol=1e-6)
    steps = max(np.abs(np.diff(mask, axis=0)).max(), np.abs(np.diff(mask, axis=1)).max())
    assert steps < 1.6 * 128 / (8 * size) + 0.01
