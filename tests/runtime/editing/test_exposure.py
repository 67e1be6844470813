"""Crops of unusual exposure are levelled for the networks, and usual ones are left alone."""

import cv2
import numpy as np
import pytest

from aif.runtime.editing.similarity.path import MOST_GAIN, Exposure

NORMAL_MEAN = np.array([0.56, 0.43, 0.36])[:, None, None]


def crops(gain=1.0, offset=0.0, count=2, size=64):
    noise = np.random.default_rng(3).normal(0, 1, (count * 3, size, size)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(each, (0, 0), size / 12) for each in noise])
    smooth = smooth.reshape(count, 3, size, size)
    usual = NORMAL_MEAN + 0.2 * smooth / smooth.std(axis=(2, 3), keepdims=True)
    return (usual.clip(0, 1) * gain + offset).astype(np.float32)


def column(*values):
    return np.array(values)[:, None, None]


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_usual_crops_stay_as_they_are(count, size):
    faces = crops(count=max(count, 1), size=size)[:count]
    exposure = Exposure.of(faces)
    np.testing.assert_array_equal(exposure.level(faces), faces)
    np.testing.assert_array_equal(exposure.undo(faces), faces)


@pytest.mark.parametrize(
    ("gain", "offset"),
    [(0.3, 0.0), (0.2, 0.4), (0.5, 0.5), (column(1, 0.6, 0.3), 0.0), (column(0.4, 0.7, 1.0), 0.0)],
    ids=["dark", "flat", "bright", "red", "blue"],
)
def test_unusual_crops_come_nearer_and_go_back(gain, offset):
    usual, faces = crops(), crops(gain, offset)
    exposure = Exposure.of(faces)
    levelled = exposure.level(faces)
    assert levelled.min() >= 0 and levelled.max() <= 1 and levelled.dtype == np.float32
    assert np.abs(levelled - usual).mean() < 0.9 * np.abs(faces - usual).mean()
    inner = (levelled > 0) & (levelled < 1)
    assert inner.mean() > 0.9
    np.testing.assert_allclose(exposure.undo(levelled)[inner], faces[inner], atol=1e-5)
    np.testing.assert_allclose(Exposure.of(levelled).gain, 1, atol=0.1)


def test_each_crop_for_itself():
    faces = np.concatenate([crops(count=1), crops(0.3, count=1)])
    exposure = Exposure.of(faces)
    np.testing.assert_array_equal(exposure.level(faces)[0], faces[0])
    np.testing.assert_array_equal(exposure.gain[1], Exposure.of(faces[1:]).gain[0])


def test_an_edit_takes_the_exposure_of_its_photo():
    """A decoder that brightens levelled faces by 0.1 brightens a photo of half the contrast by less."""
    faces = crops(0.5)
    exposure = Exposure.of(faces)
    levelled = exposure.level(faces)
    change = exposure.undo(levelled + np.float32(0.1)) - exposure.undo(levelled)
    assert 0.03 < change.mean() < 0.09


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_crop_of_one_colour(level):
    faces = np.full((1, 3, 64, 64), level, dtype=np.float32)
    exposure = Exposure.of(faces)
    assert np.isfinite(exposure.gain).all() and exposure.gain.max() <= MOST_GAIN
    np.testing.assert_allclose(exposure.undo(exposure.level(faces)), faces, atol=1e-5)
