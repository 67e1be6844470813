"""Block by block comes out what the plain formulas give for all of a box."""

import cv2
import numpy as np
import pytest

from aif.runtime.geometry.blocks import blocks, upsampled


@pytest.mark.parametrize("step", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("shape", [(1, 1), (97, 61), (200, 130)])
@pytest.mark.parametrize("points", [0, 1, 5])
def test_blocks_hold_all_that_points_reach(step, shape, points):
    rng = np.random.default_rng(step)
    grid = np.zeros((-(-shape[0] // step), -(-shape[1] // step), 2), np.float32)
    for _ in range(points):
        grid[rng.integers(grid.shape[0]), rng.integers(grid.shape[1]), rng.integers(2)] = rng.choice([-1, 1])
    full = cv2.resize(grid, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
    found = np.zeros((*shape, 2), np.float32)
    for block in blocks(grid, 0.5, step, shape):
        assert found[block].size
        assert not found[block].any(), "no pixel is in two blocks"
        found[block] = upsampled(grid, step, block)
    np.testing.assert_allclose(found, full[: shape[0], : shape[1]], atol=1e-5)
