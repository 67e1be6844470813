"""Cuts are seen; light, noise and motion are not taken for them."""

import cv2
import numpy as np
import pytest

from aif.runtime.tracking.scene_cut import SMALL_SIDE, SceneCut, small_grey


def scene(seed, height=240, width=320):
    """Soft patches of all sizes, as in a photo."""
    rng, total = np.random.default_rng(seed), np.zeros((height, width, 3))
    for side in (3, 6, 12, 24):
        patches = rng.normal(0, 30, (side, side, 3))
        total += cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC)
    return (128 + total).clip(0, 255).astype(np.uint8)


def noisy(image):
    noise = np.random.default_rng(5).normal(0, 15, image.shape)
    return (image + noise).clip(0, 255).astype(np.uint8)


def plain(level):
    return np.full((240, 320, 3), level, dtype=np.uint8)


@pytest.mark.parametrize(
    ("change", "cut"),
    [
        (lambda image: image, False),
        (noisy, False),
        (lambda image: (image * 0.5).astype(np.uint8), False),  # the light goes out
        (lambda image: cv2.add(image, (40, 40, 40, 0)), False),  # a flash
        (lambda image: np.roll(image, 5, axis=1), False),  # a pan
        (lambda image: scene(2), True),
        (lambda image: image[:, ::-1], True),
        (lambda image: plain(10), True),
        (lambda image: scene(2, 480, 640), True),  # of another size
        (lambda image: cv2.resize(image, (640, 480)), False),
    ],
)
def test_cuts(change, cut):
    judge, first = SceneCut(), scene(1)
    assert not judge(first)
    assert not judge(first)
    changed = np.ascontiguousarray(change(first))
    assert judge(changed) == cut
    assert not judge(changed)


@pytest.mark.parametrize(("before", "after", "cut"), [(10, 12, False), (10, 200, True), (128, 128, False)])
def test_plain_frames(before, after, cut):
    judge = SceneCut()
    judge(plain(before))
    assert judge(plain(after)) == cut


def test_reset():
    judge = SceneCut()
    judge(scene(1))
    judge.reset()
    assert not judge(scene(2))


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 900, 3), (900, 7, 3), (1080, 1920, 3)])
def test_frames_of_any_shape(shape):
    small = small_grey(np.full(shape, 77, dtype=np.uint8))
    assert small.shape == (SMALL_SIDE, SMALL_SIDE) and small.dtype == np.float32
    np.testing.assert_allclose(small, 77, atol=1)
