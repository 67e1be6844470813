"""Faces at part of their strength."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aif.runtime.compose import FacePatch, composite
from aif.runtime.errors import ConfigError
from aif.runtime.fading import composite_faded

SIZE = 32


def patch(left: float, top: float, scale: float = 1.0, brighter: float = 0.3) -> FacePatch:
    """A crop of SIZE x scale pixels at (left, top) that is made brighter all over."""
    matrix = np.array([[1 / scale, 0, -left / scale], [0, 1 / scale, -top / scale]], dtype=np.float32)
    crop = np.full((3, SIZE, SIZE), 0.4, dtype=np.float32)
    return FacePatch(matrix, crop, crop, crop + np.float32(brighter))


@pytest.fixture
def photo() -> Any:
    return np.random.default_rng(0).integers(90, 120, (100, 140, 3), dtype=np.uint8)


@pytest.mark.parametrize("mode", ["delta", "replace", "hybrid"])
@pytest.mark.parametrize(
    "place", [(20, 30, 1.0), (60, 10, 2.5), (-10, -12, 1.5), (130, 90, 2.0), (50, 50, 0.1)]
)
@pytest.mark.parametrize("strength", [0.0, 0.25, 0.7, 1.0])
def test_between_photo_and_edit(photo: Any, mode: Any, place: tuple[float, ...], strength: float) -> None:
    before = photo.copy()
    whole = composite(photo, [patch(*place)], mode)
    result = composite_faded(photo, [patch(*place)], mode, [strength])
    np.testing.assert_array_equal(photo, before)
    expected = photo + strength * (whole.astype(float) - photo)
    assert np.abs(result - expected).max() <= (1 if strength < 1 else 0)
    if strength == 0:
        np.testing.assert_array_equal(result, photo)


def test_each_face_has_its_own_strength(photo: Any) -> None:
    patches = [patch(5, 5), patch(60, 50, 1.5), patch(100, 5)]
    result = composite_faded(photo, patches, "delta", [0.5, 1.0, 0.0]).astype(int)
    assert (result[21, 21] - photo[21, 21]).tolist() == pytest.approx([38] * 3, abs=1)
    assert (result[74, 84] - photo[74, 84]).tolist() == pytest.approx([76] * 3, abs=1)
    np.testing.assert_array_equal(result[:40, 100:], photo[:40, 100:])


@pytest.mark.parametrize("place", [(500, 500), (-300, 0), (0, -40)])
def test_faces_out_of_the_frame(photo: Any, place: tuple[float, float]) -> None:
    np.testing.assert_array_equal(composite_faded(photo, [patch(*place)], "delta", [0.5]), photo)


def test_nothing_to_do(photo: Any) -> None:
    result = composite_faded(photo, [], "delta", [])
    np.testing.assert_array_equal(result, photo)
    assert not np.shares_memory(result, photo)


def test_what_cannot_be(photo: Any) -> None:
    with pytest.raises(ConfigError):
        composite_faded(photo, [patch(0, 0)], "poisson", [0.5])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="zip"):
        composite_faded(photo, [patch(0, 0)], "delta", [])
