"""Beards, shirts and shaded necks are left out where hair is coloured; long hair beside a face is not."""

import cv2
import numpy as np
import pytest
from made_up_face import face_points

from aif.runtime.editing.shape.strays import beard_mask, from_the_head, without_strays
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


def over_one_cheek():
    matte = beside_the_face()
    matte[:, :52] = 1
    return matte


@pytest.mark.parametrize("matte", [on_scalp(), beside_the_face(), over_one_cheek(), 0 * on_scalp()])
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


def box_of(matte, scale):
    """A larger picture of the crop's matte, and its pixels' places in the crop."""
    whole = cv2.resize(matte, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    return whole, np.array([[1 / scale, 0, 0.5 / scale - 0.5], [0, 1 / scale, 0.5 / scale - 0.5]])


@pytest.mark.parametrize("scale", [0.7, 1.0, 5.0])
def test_what_hangs_from_the_head_is_hair_and_what_lies_below_alone_is_none(scale):
    matte = beside_the_face()
    matte[-12:, 45:80] = 1  # a shirt
    whole, place = box_of(matte, scale)
    kept = from_the_head(whole, POINTS, place)
    rows, columns = np.indices(whole.shape) / scale
    assert kept[(rows > 118) & (columns > 47) & (columns < 78)].max() < 0.1
    assert kept[(rows < 112) | (columns < 20) | (columns > 108)].min() > 0.9


def test_hair_below_a_hat_stays_and_a_thin_bridge_fades_it_by_degrees():
    beside = np.zeros((128, 128), np.float32)
    beside[64:, :22] = beside[64:, 106:] = 1
    assert from_the_head(beside, POINTS, np.eye(2, 3)).min() == 1
    kept = []
    for bridge in np.linspace(0, 1, 21, dtype=np.float32):
        matte = on_scalp()
        matte[100:, 45:80], matte[40:100, 60:64] = 1, bridge
        kept.append(float(from_the_head(matte, POINTS, np.eye(2, 3))[112, 62]))
    assert kept[0] < 0.1 and kept[-1] > 0.9 and np.diff(kept).max() < 0.4


def test_nothing_else_is_touched():
    for matte in (on_scalp(), beside_the_face(), 0 * on_scalp()):
        whole, place = box_of(matte, 2.0)
        np.testing.assert_array_equal(without_strays(whole, matte, POINTS, place), whole)


def test_a_turned_picture_has_its_own_above():
    matte = beside_the_face()
    matte[-12:, 45:80] = 1
    turned = np.ascontiguousarray(np.rot90(matte))
    place = np.array([[0.0, -1.0, 127.0], [1.0, 0.0, 0.0]])  # x of the crop is 127 - y of the picture
    np.testing.assert_allclose(
        from_the_head(turned, POINTS, place), np.rot90(from_the_head(matte, POINTS, np.eye(2, 3))), atol=1e-5
    )


@pytest.mark.parametrize("size", [64, 256])
def test_any_size_of_crop(size):
    matte = cv2.resize(full_beard(), (size, size), interpolation=cv2.INTER_AREA)
    small, usual = beard_mask(matte, POINTS * np.float32(size / 128)), beard_mask(full_beard(), POINTS)
    again = cv2.resize(usual, (size, size), interpolation=cv2.INTER_AREA)
    assert np.abs(small - again).mean() < 0.02
