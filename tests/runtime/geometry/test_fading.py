"""Faces at part of their strength."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from aif.runtime.editing.similarity.composite import FacePatch, composite

SIZE = 32


def patch(left: float, top: float, scale: float = 1.0, brighter: float = 0.3) -> FacePatch:
    """A crop of SIZE x scale pixels at (left, top) that is made brighter all over."""
    matrix = np.array([[1 / scale, 0, -left / scale], [0, 1 / scale, -top / scale]], dtype=np.float32)
    crop = np.full((3, SIZE, SIZE), 0.4, dtype=np.float32)
    return FacePatch(matrix, crop, crop, crop + np.float32(brighter))


@pytest.fixture
def photo() -> Any:
    return np.random.default_rng(0).integers(90, 120, (100, 140, 3), dtype=np.uint8)


@pytest.mark.parametrize("mode", ["delta", "replace"])
@pytest.mark.parametrize(
    "place", [(20, 30, 1.0), (60, 10, 2.5), (-10, -12, 1.5), (130, 90, 2.0), (50, 50, 0.1)]
)
@pytest.mark.parametrize("strength", [0.0, 0.25, 0.7, 1.0])
def test_between_photo_and_edit(photo: Any, mode: Any, place: tuple[float, ...], strength: float) -> None:
    before = photo.copy()
    whole = composite(photo, [patch(*place)], mode)
    result = composite(photo, [dataclasses.replace(patch(*place), strength=strength)], mode)
    np.testing.assert_array_equal(photo, before)
    expected = photo + strength * (whole.astype(float) - photo)
    assert np.abs(result - expected).max() <= (1 if strength < 1 else 0)
    if strength == 0:
        np.testing.assert_array_equal(result, photo)


def test_each_face_has_its_own_strength(photo: Any) -> None:
    patches = [patch(5, 5), patch(60, 50, 1.5), patch(100, 5)]
    strengths = (0.5, 1.0, 0.0)
    shown = [dataclasses.replace(each, strength=s) for each, s in zip(patches, strengths, strict=True)]
    result = composite(photo, shown, "delta").astype(int)
    assert (result[21, 21] - photo[21, 21]).tolist() == pytest.approx([38] * 3, abs=1)
    assert (result[74, 84] - photo[74, 84]).tolist() == pytest.approx([76] * 3, abs=1)
    np.testing.assert_array_equal(result[:40, 100:], photo[:40, 100:])
