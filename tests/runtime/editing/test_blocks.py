"""Block by block comes out what the plain formulas give for all of a box."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from made_up_face import face_picture, face_points, made_up_frame

from aif.runtime.editing.shape.detail import Detail, folds
from aif.runtime.editing.shape.edit import ShapeEdit, tint
from aif.runtime.editing.shape.gain import EPSILON, gain_mask
from aif.runtime.editing.shape.warp import FacePlace, _smooth_seam, plan_warp
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.blocks import blocks, upsampled
from aif.runtime.geometry.mesh import NO_MAP

FRAME = made_up_frame()
SIZE = 64


def whole(grid, step, shape):
    size = (grid.shape[1] * step, grid.shape[0] * step)
    full = cv2.resize(grid, size, interpolation=cv2.INTER_LINEAR)
    return full.reshape(size[1], size[0], -1)[: shape[0], : shape[1]]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("shape", [(1, 1), (97, 61), (200, 130)])
@pytest.mark.parametrize("points", [0, 1, 5])
def test_blocks_hold_all_that_points_reach(step, shape, points):
    rng = np.random.default_rng(step)
    grid = np.zeros((-(-shape[0] // step), -(-shape[1] // step), 2), np.float32)
    for _ in range(points):
        grid[rng.integers(grid.shape[0]), rng.integers(grid.shape[1]), rng.integers(2)] = rng.choice([-1, 1])
    expected, found = whole(grid, step, shape), np.zeros((*shape, 2), np.float32)
    for block in blocks(grid, 0.5, step, shape):
        assert found[block].size
        assert not found[block].any(), "no pixel is in two blocks"
        found[block] = upsampled(grid, step, block)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def scene(scale, opening, move):
    points = face_points(opening) * np.float32(scale)
    noise = np.random.default_rng(0).normal(0, 12, (round(150 * scale), round(150 * scale), 3))
    photo = np.clip(face_picture(points, round(150 * scale)) + noise, 0, 255).astype(np.uint8)
    moves = np.zeros((dense.COUNT, 2), np.float32)
    moves[dense.LOWER_LIP, 1] = moves[46:56, 1] = move
    mask = gain_mask(FRAME, SIZE)[:, :, None]
    small = cv2.resize(mask, (SIZE // 4, SIZE // 4), interpolation=cv2.INTER_AREA)[:, :, None]
    edit = ShapeEdit(
        moves,
        mask * np.float32([-0.4, 0.1, 0.2]),
        small * np.float32([-0.7, 0.15, -0.4]),
    )
    return photo, FacePlace.of(FRAME, points, photo.shape), edit


@pytest.mark.parametrize("scale", [1.0, 2.3, 5.0])
@pytest.mark.parametrize(("opening", "move"), [(6.0, 0.03), (6.0, -0.06), (0.0, 0.0)])
def test_movement(scale, opening, move):
    photo, place, edit = scene(scale, opening, move)
    warp = plan_warp(FRAME, place, edit.moves)
    left, top, right, bottom = place.box
    maps = whole(warp.offsets, warp.step, (bottom - top, right - left)).copy()
    if warp.lips is not None:
        (rows, columns), exact = warp.lips
        maps[rows, columns] = np.where(np.isnan(exact), maps[rows, columns], exact)
    maps += np.stack(np.meshgrid(np.arange(left, right), np.arange(top, bottom)), axis=-1)
    maps = np.float32(maps)
    plain = cv2.remap(photo, maps, NO_MAP, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    if warp.lips is not None:
        _smooth_seam(plain[rows, columns], maps[rows, columns])
    difference = np.abs(warp.apply(photo).astype(int) - plain)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


@pytest.mark.parametrize("scale", [1.0, 2.3, 5.0])
@pytest.mark.parametrize("detailed", [True, False])
def test_tint(scale, detailed):
    photo, place, edit = scene(scale, 6.0, 0.02)
    warp = plan_warp(FRAME, place, edit.moves)
    box = warp.apply(photo)

    def over_box(texture, share):
        where = warp.texture_grid * np.float32(len(texture)) + np.float32((1 / share - 1) / 2)
        return cv2.remap(texture, where, NO_MAP, cv2.INTER_LINEAR, borderValue=(0, 0, 0))

    x = box.astype(np.float64) / 255 + EPSILON
    log_factor = whole(over_box(np.ascontiguousarray(edit.gain[..., ::-1]), 1), warp.step, box.shape[:2])
    if detailed:
        amounts = over_box(edit.detail, 4)
        bands = Detail.of(box, place.scale, warp.step, amounts)
        base, rest, amount = (
            whole(each, warp.step, box.shape[:2]) for each in (bands.base, bands.gain, bands.amount)
        )
        own = np.log(255 * x).astype(np.float32)
        log_factor = log_factor + rest + amount * folds(own - base)
    else:
        edit = replace(edit, detail=np.zeros_like(edit.detail))
    plain = 255 * (x * np.exp(log_factor) - EPSILON)
    result = box.copy()
    tint(result, warp, edit, FRAME)
    assert np.abs(result - plain.clip(0, 255)).max() <= 1
    assert np.abs(result.astype(int) - box).max() > 30
