"""Compositing: what must not change does not, and what changes has no visible edge."""

import dataclasses
import math

import cv2
import numpy as np
import pytest

from aif.runtime.editing.similarity.composite import FacePatch, composite, face_mask

MODES = ["delta", "replace"]
CROP = 64


def _frame(height=240, width=320, seed=0):
    """Colourful noise around mid-tones, smooth enough to look like a photo."""
    noise = np.random.default_rng(seed).normal(0, 60, (height, width, 3)).astype(np.float32)
    return (128 + cv2.GaussianBlur(noise, (0, 0), 2.0) * 3).clip(0, 255).astype(np.uint8)


def _plain(height, width):
    """One colour, and no grey."""
    return np.full((height, width, 3), (70, 110, 110), dtype=np.uint8)


def _matrix(centre, side, angle=0.0, size=CROP):
    """Photo to crop, for a crop of `side` photo pixels around `centre`, turned by `angle`."""
    scale = size / side
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    x, y = centre
    half = size / 2
    return np.array(
        [[cos, sin, half - cos * x - sin * y], [-sin, cos, half + sin * x - cos * y]], dtype=np.float32
    )


def _patch(frame, matrix, change=0.0, size=CROP):
    """A face whose decoding is a blurred crop, and whose edit adds `change` (RGB planes or one number)."""
    crop = cv2.warpAffine(frame, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
    rgb = (crop[:, :, ::-1].transpose(2, 0, 1) / 255).astype(np.float32)
    source = cv2.GaussianBlur(rgb.transpose(1, 2, 0), (0, 0), 1.0).transpose(2, 0, 1)
    target = (source + change).clip(0, 1).astype(np.float32)
    return FacePatch(matrix, rgb, np.ascontiguousarray(source), target)


def _spot(size=CROP, strength=0.3):
    """A soft red spot where the mouth is."""
    y, x = np.mgrid[0:size, 0:size] / size * 128
    blob = strength * np.exp(-(((x - 64) / 16) ** 2 + ((y - 101) / 8) ** 2))
    return (blob * np.array([1, -0.5, -0.5])[:, None, None]).astype(np.float32)


def _box(matrix, size=CROP):
    inverse = cv2.invertAffineTransform(matrix.astype(np.float64))
    # The outermost pixels of a crop reach half a pixel beyond their centres.
    edge = np.array([-0.5, size - 0.5])
    corners = np.array([[x, y, 1] for x in edge for y in edge]) @ inverse.T
    return (*(corners.min(axis=0) - 1), *(corners.max(axis=0) + 1))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("size", "centre", "side", "angle", "shows"),
    [
        (64, (160, 120), 100, 0.0, True),
        (128, (160, 120), 150, -2.5, True),
        (32, (163.3, 121.7), 20, 0.3, True),
        (64, (160, 120), 4, 0.0, False),
        (64, (5, 5), 100, 0.2, True),
        (128, (319, 239), 60, 0.0, True),
        (32, (160, 120), 2000, 0.1, True),
        (64, (-500, 100), 200, 0.0, False),
        (64, (100, 2000), 50, 0.0, False),
    ],
    ids=str,
)
def test_outside_the_box_is_untouched(mode, size, centre, side, angle, shows):
    frame = _frame()
    before = frame.copy()
    matrix = _matrix(centre, side, angle, size)
    result = composite(frame, [_patch(frame, matrix, 0.3, size)], mode)
    np.testing.assert_array_equal(frame, before)
    assert result.dtype == np.uint8 and result.shape == frame.shape
    left, top, right, bottom = _box(matrix, size)
    ys, xs = np.nonzero((result != frame).any(axis=2))
    assert len(xs) or not shows
    if len(xs):
        assert left <= xs.min() and xs.max() <= right and top <= ys.min() and ys.max() <= bottom


@pytest.mark.parametrize("side", [10, 64, 100, 700])
@pytest.mark.parametrize("noise", [0.0, 1e-6])
def test_equal_decodings_change_no_bit(side, noise):
    frame = _frame()
    frame[:40] = 255
    frame[-40:] = 0
    result = composite(frame, [_patch(frame, _matrix((160, 120), side, 0.2), noise)], "delta")
    np.testing.assert_array_equal(result, frame)


@pytest.mark.parametrize("size", [16, 64, 128, 256])
def test_mask(size):
    mask = face_mask(size)
    assert mask.shape == (size, size) and mask.dtype == np.float32 and not mask.flags.writeable
    assert mask is face_mask(size)
    assert not np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).any()
    scale = size / 128
    for x, y in [(46, 62), (82, 62), (64, 84), (48.8, 100.6), (79.2, 100.6), (64, 115)]:
        assert mask[int(y * scale), int(x * scale)] > 0.9
    np.testing.assert_allclose(mask, mask[:, ::-1], atol=1e-6)
    steps = max(np.abs(np.diff(mask, axis=0)).max(), np.abs(np.diff(mask, axis=1)).max())
    assert steps < 1.6 / (9 * scale) + 0.01


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("angle", [0.0, 0.5])
@pytest.mark.parametrize(("size", "side"), [(64, 60), (64, 200), (128, 200), (64, 600), (128, 40)])
def test_no_seam(mode, angle, size, side):
    """A face made brighter all over fades in without a step, whatever the ratio of photo to crop."""
    frame = _plain(700, 700)
    result = composite(frame, [_patch(frame, _matrix((350, 350), side, angle, size), 0.3, size)], mode)
    change = result.astype(int) - frame
    assert change.max() > 60
    steps = max(np.abs(np.diff(change, axis=0)).max(), np.abs(np.diff(change, axis=1)).max())
    # The taper's steepest slope is 1.5 x height / width; its narrowest side is 9/128 of the crop.
    assert steps <= 1.5 * 78 / (side * 9 / 128) * 1.2 + 2


@pytest.mark.parametrize(("size", "side"), [(64, 256), (64, 640), (128, 640)])
def test_no_halo(size, side):
    """A soft spot that only brightens red leaves no ring of darker red around it."""
    frame = _plain(700, 700)
    patch = _patch(frame, _matrix((350, 350), side, 0.2, size), _spot(size), size)
    change = composite(frame, [patch], "delta").astype(int) - frame
    assert change[:, :, 2].max() > 60
    assert change[:, :, 2].min() >= -1 and change[:, :, 0].max() <= 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("side", [100, 180])
@pytest.mark.parametrize("angle", [0.0, 0.9, math.pi])
def test_the_change_lands_where_it_belongs(mode, side, angle):
    frame = _plain(240, 320)
    matrix = _matrix((160, 120), side, angle)
    change = composite(frame, [_patch(frame, matrix, _spot())], mode).astype(float) - frame
    red = change[:, :, 2].clip(min=0)
    ys, xs = np.mgrid[0:240, 0:320]
    found = np.array([(red * xs).sum(), (red * ys).sum()]) / red.sum()
    inverse = cv2.invertAffineTransform(matrix.astype(np.float64))
    # The spot's middle at 64 px, centres of pixels counted from 0.
    expected = inverse @ (32, 50.5, 1)
    np.testing.assert_allclose(found, expected, atol=0.02 * side)
    assert red.max() == pytest.approx(0.3 * 255, abs=8)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tint", [0, 1])
def test_a_grey_photo_stays_grey(mode, tint):
    frame = np.repeat(_frame()[:, :, :1], 3, axis=2)
    frame = frame.clip(10, 240)
    frame[:, :, 0] += np.uint8(tint)
    result = composite(frame, [_patch(frame, _matrix((160, 120), 120), _spot(strength=0.5))], mode).astype(
        int
    )
    assert (result != frame).any()
    spread = result.max(axis=2) - result.min(axis=2)
    assert spread.max() <= (2 if tint else 0)


@pytest.mark.parametrize("mode", MODES)
def test_several_faces(mode):
    frame = _frame()
    far = [_matrix((70, 100), 90), _matrix((240, 130), 110, 0.4)]
    both = composite(frame, [_patch(frame, m, _spot()) for m in far], mode)
    left, right = (composite(frame, [_patch(frame, m, _spot())], mode) for m in far)
    np.testing.assert_array_equal(both[:, :160], left[:, :160])
    np.testing.assert_array_equal(both[:, 160:], right[:, 160:])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (2, 3000), (3000, 2), (1500, 2500)])
def test_odd_frames(mode, shape):
    frame = _frame(*shape)
    matrix = _matrix((shape[1] / 2, shape[0] / 2), 80)
    assert composite(frame, [_patch(frame, matrix, 0.3)], mode).shape == frame.shape


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("strength", [-0.5, 0.0, 0.25, 1.0])
def test_a_weaker_edit_shows_less(mode, strength):
    frame = _frame(400, 400)
    patch = _patch(frame, _matrix((200, 200), 256), 0.3)
    full = composite(frame, [patch], mode).astype(int) - frame
    part = composite(frame, [dataclasses.replace(patch, strength=strength)], mode).astype(int) - frame
    inside = np.s_[150:250, 150:250]
    wanted = max(strength, 0.0) * np.abs(full[inside]).mean()
    assert np.abs(part[inside]).mean() == pytest.approx(wanted, abs=0.7)
    assert strength > 0 or not part.any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("unlike", "stays"), [(0.1, False), (0.3, True), (-0.3, True)])
def test_what_hides_the_face_is_not_painted_over(mode, unlike, stays):
    """A plate before the mouth that neither decoding has: the more unlike them, the less of it changes."""
    frame = _plain(400, 400)
    matrix = _matrix((200, 200), 256)
    face = _patch(frame, matrix, _spot())
    seen = frame.copy()
    seen[230:310, 150:250] = np.clip(frame[0, 0] + 255 * unlike, 0, 255).astype(np.uint8)
    crop = cv2.warpAffine(seen, matrix, (CROP, CROP))[:, :, ::-1].transpose(2, 0, 1) / np.float32(255)
    patch = dataclasses.replace(face, crop_chw=crop.astype(np.float32))
    change = np.abs(composite(seen, [patch], mode).astype(int) - seen)[250:290, 170:230]
    assert (change.max() <= 1) == stays
    plain = np.abs(composite(frame, [face], mode).astype(int) - frame)[250:290, 170:230]
    assert plain.max() > 50


def test_where_the_source_s_values_are_misjudged_the_target_counts():
    """A photo that is like the target already is not taken for hidden."""
    frame = _plain(400, 400)
    patch = _patch(frame, _matrix((200, 200), 256), _spot(strength=0.6))
    patch = dataclasses.replace(patch, source_chw=patch.target_chw, target_chw=patch.source_chw)
    assert composite(frame, [patch], "delta")[270, 200, 2] < 20


def test_overflow_saturates():
    frame = np.full((240, 320, 3), 250, dtype=np.uint8)
    frame[:, :, 0] = 200
    result = composite(frame, [_patch(frame, _matrix((160, 120), 120), 1.0)], "delta")
    assert result.max() == 255 and (result.astype(int) - frame).min() >= -1
    patch = _patch(frame, _matrix((160, 120), 120))
    darker = FacePatch(patch.matrix, patch.crop_chw, patch.source_chw, patch.source_chw * 0)
    assert composite(frame, [darker], "delta").min() == 0
