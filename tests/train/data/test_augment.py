"""Augmentation moves a face where its numbers say, and nowhere when they say nothing."""

import numpy as np
import pytest

from aif.runtime.geometry.align import transform_points, warp_crop
from aif.train.data.augment import Augmentation, augment_crop, jitter_matrix, resize_crop


def dot(x, y, side):
    """A soft white dot on black at (x, y)."""
    columns, rows = np.meshgrid(np.arange(side), np.arange(side))
    blob = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (side / 32) ** 2))
    return np.repeat(blob[:, :, None], 3, axis=2).astype(np.uint8)


def centre(image):
    weight = image[:, :, 0].astype(np.float64)
    columns, rows = np.meshgrid(np.arange(image.shape[1]), np.arange(image.shape[0]))
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


@pytest.mark.parametrize("size", [64, 200])
@pytest.mark.parametrize(
    ("change", "goal"),  # where a dot at 3/4, 1/2 of the side goes, in fractions of the side
    [
        ({}, (0.75, 0.5)),
        ({"flip": True}, (0.25, 0.5)),
        ({"degrees": 90.0}, (0.5, 0.75)),
        ({"degrees": 90.0, "flip": True}, (0.5, 0.25)),
        ({"scale": 1.2}, (0.8, 0.5)),
        ({"shift": (-0.1, 0.2)}, (0.65, 0.7)),
        ({"flip": True, "shift": (0.1, 0.0)}, (0.35, 0.5)),
    ],
)
def test_geometry(change, goal, size):
    side = 128
    settings = {"degrees": 0.0, "scale": 1.0, "shift": (0.0, 0.0), "flip": False} | change
    matrix = jitter_matrix(side, size, **settings)
    moved = warp_crop(dot(0.75 * side - 0.5, 0.5 * side - 0.5, side), matrix, size)
    wanted = np.array(goal) * size - 0.5
    assert np.abs(centre(moved) - wanted).max() < 0.1
    start = np.array([[0.75 * side - 0.5, 0.5 * side - 0.5]])
    assert np.abs(transform_points(start, matrix)[0] - wanted).max() < 1e-4


@pytest.mark.parametrize("size", [32, 64, 128])
def test_no_jitter_is_the_plain_resize(size):
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    still = jitter_matrix(128, size, degrees=0, scale=1, shift=(0, 0), flip=False)
    assert np.array_equal(warp_crop(image, still, size), resize_crop(image, size))
    plain = resize_crop(image, size)
    shown = [augment_crop(image, size, Augmentation(flip=True), np.random.default_rng(s)) for s in range(20)]
    flipped = [np.array_equal(s, plain[:, ::-1]) for s in shown]
    assert all(f or np.array_equal(s, plain) for f, s in zip(flipped, shown, strict=True))
    assert 4 < sum(flipped) < 16
    never = [augment_crop(image, size, Augmentation(flip=False), np.random.default_rng(s)) for s in range(9)]
    assert all(np.array_equal(s, plain) for s in never)


def test_shrinking_does_not_alias():
    stripes = np.zeros((256, 256, 3), dtype=np.uint8)
    stripes[:, ::2] = 255  # finer than the small crop can show: must turn grey
    jitter = Augmentation(flip=True, rotation=1, scale=0.02, shift=0.01)
    for seed in range(5):
        crop = augment_crop(stripes, 64, jitter, np.random.default_rng(seed))
        assert np.abs(crop[8:-8, 8:-8].astype(int) - 128).max() < 24


def test_spreads_are_standard_deviations():
    image = dot(63.5, 63.5, 128)
    jitter = Augmentation(flip=False, shift=0.05)
    rng = np.random.default_rng(0)
    places = np.array([centre(augment_crop(image, 64, jitter, rng)) for _ in range(400)])
    assert np.abs(places.mean(axis=0) - 31.5).max() < 0.5
    assert np.abs(places.std(axis=0) / 64 - 0.05).max() < 0.006
