"""Contact sheets: panels uncut, captions within their cells."""

import numpy as np
import pytest

from aif.runtime.editing.sheets import MAX_PANEL, Panel, compare_sheet, face_view, lay_out


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 200, (height, width, 3)).astype(np.uint8)


def find(panel, sheet):
    """Where `panel` stands in the sheet, pixel for pixel: row, column."""
    high, wide = panel.shape[:2]
    for row, column in np.argwhere((sheet == panel[0, 0]).all(axis=2)):
        if np.array_equal(sheet[row : row + high, column : column + wide], panel):
            return int(row), int(column)
    raise AssertionError("the panel is not in the sheet")


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (40, 30), (300, 200), (900, 1600)])
def test_both_pictures_stand_side_by_side_uncut(size):
    before, after = noise(*size), noise(*size, seed=1)
    sheet = compare_sheet(before, after, "Smiling 1")
    (top, left), (top_after, left_after) = find(before, sheet), find(after, sheet)
    assert top == top_after and left_after >= left + size[1]
    assert (sheet[:top] < 128).any(), "there is a caption"
    outside = sheet[top : top + size[0], left + size[1] : left_after]
    assert (outside == 255).all()


def test_the_caption_is_no_wider_than_its_cell():
    before = noise(200, 300)
    sheet = compare_sheet(before, before, ", ".join(["A_very_long_attribute_name 0.123456"] * 20))
    top, left = find(before, sheet)
    captions = (sheet[:top] < 128).any(axis=(0, 2))
    assert captions[left + 300 + 5 :].any()
    assert not captions[left + 300 : left + 305].any() and not captions[-4:].any()


@pytest.mark.parametrize("size", [(9000, 100), (60, 12000)])
def test_a_huge_picture_is_shrunk_in_proportion(size):
    big = np.full((*size, 3), 77, np.uint8)
    sheet = compare_sheet(big, big, "x")
    ratio = MAX_PANEL / max(size)
    panel = (sheet == 77).all(axis=2)
    assert panel.any(axis=1).sum() == round(size[0] * ratio)
    assert panel.any(axis=0).sum() == 2 * round(size[1] * ratio)


def test_rows_of_unequal_length_and_size():
    small, large = noise(20, 20), noise(64, 80, seed=2)
    sheet = lay_out([[Panel(small, "a"), Panel(large, "b")], [Panel(large[::-1], "c")]])
    assert find(small, sheet)[0] == find(large, sheet)[0] < find(large[::-1], sheet)[0]


@pytest.mark.parametrize(
    ("matrix", "centre"),
    [
        ([[1, 0, -100], [0, 1, -60]], (115.5, 75.5)),
        ([[0.5, 0, -50], [0, 0.5, -30]], (131, 91)),
        ([[0, 1, -60], [-1, 0, 131]], (115.5, 75.5)),
    ],
)
def test_a_face_view_is_centred_on_the_crop(matrix, centre):
    y, x = np.mgrid[0:240, 0:250]
    frame = np.stack([x, y, 0 * x], axis=2).astype(np.uint8)
    view = face_view(frame, np.array(matrix, np.float32), crop_size=32, side=64)
    assert view.shape == (64, 64, 3)
    np.testing.assert_allclose(view[:, :, :2].mean(axis=(0, 1)), centre, atol=1.1)


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (50, 3), (30, 30)])
@pytest.mark.parametrize("shift", [-1000.0, 0.0, 1000.0])
def test_a_face_view_stays_inside_any_frame(shape, shift):
    frame = noise(*shape)
    view = face_view(frame, np.array([[1, 0, shift], [0, 1, shift]], np.float32), crop_size=32, side=48)
    assert view.shape == (48, 48, 3)
    assert frame.min() <= view.mean() <= frame.max() or frame.size == 3
