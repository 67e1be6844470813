"""Beards are left out where hair is coloured; long hair beside a face is not."""

import cv2
import numpy as np
import pytest
from made_up_face import face_points

from aif.runtime.editing.shape.beard import beard_mask
from aif.runtime.geometry import points as dense

POINTS = face_points()


def on_scalp():
    matte = np.zeros((128, 128), np.float32)
    matte[:40] = 1
    return matte


def beside_the_face():
    matte = on_scalp()
    matte[:, :22] = matte[:, 106:] = 1
    return matte


def full_beard():
    matte = on_scalp()
    cv2.ellipse(matte, (64, 104), (34, 24), 0, 0, 180, 1.0, -1)
    return matte


def moustache_in_patches():
    matte = on_scalp()
    matte[88:96, 46:62] = matte[108:122, 66:86] = 0.9
    return matte


@pytest.mark.parametrize("matte", [on_scalp(), beside_the_face(), 0 * on_scalp()])
def test_without_a_beard_all_hair_counts(matte):
    assert not beard_mask(matte, POINTS).any()


@pytest.mark.parametrize("matte", [full_beard(), moustache_in_patches()])
def test_a_beard_is_left_out_as_a_whole_and_hair_above_is_not(matte):
    mask = beard_mask(matte, POINTS)
    chin, nose = POINTS[dense.FACE_OVAL, 1].max(), POINTS[dense.NOSE_TIP, 1]
    rows = slice(round(float(nose)) + 4, round(float(chin)) - 2)
    assert mask[rows, 52:76].min() > 0.9
    assert mask[: round(float(POINTS[dense.LEFT_EYE, 1].min())) - 8].max() == 0
    assert mask.min() >= 0 and mask.max() <= 1 + 1e-6


def test_it_comes_by_degrees():
    shares = np.linspace(0, 1, 41, dtype=np.float32)
    most = [float(beard_mask(full_beard() * share, POINTS).max()) for share in shares]
    assert most[0] == 0 and most[-1] > 0.99
    assert np.all(np.diff(most) >= 0) and np.diff(most).max() < 0.6


@pytest.mark.parametrize("size", [64, 256])
def test_any_size_of_crop(size):
    matte = cv2.resize(full_beard(), (size, size), interpolation=cv2.INTER_AREA)
    small, usual = beard_mask(matte, POINTS * np.float32(size / 128)), beard_mask(full_beard(), POINTS)
    again = cv2.resize(usual, (size, size), interpolation=cv2.INTER_AREA)
    assert np.abs(small - again).mean() < 0.02
