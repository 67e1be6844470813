"""A coarse grid over a box, at the box's own pixels: block by block, where anything happens.

A block fits into the processor's cache. Pictures of the whole box do not, and their memory would be fetched
from the system and given back in every frame.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from aif.runtime.arrays import Float32Array

# Rows of a block, about.
ROWS = 64

Block = tuple[slice, slice]


def blocks(what_hwc: Float32Array, least: float, step: int, shape: tuple[int, int]) -> Iterator[Block]:
    """Rows and columns of a box that together hold all that its grid's points may reach.

    The grid is float32 (gh, gw, C), 4 channels at most, with `step` pixels from point to point; a point
    counts where one of its channels is beyond `least`.
    """
    nothing = cv2.inRange(what_hwc, (-least,) * 4, (least,) * 4)
    reached = cv2.erode(nothing, np.ones((3, 3), np.uint8)) == 0
    high = max(1, ROWS // step)
    for first in range(0, len(reached), high):
        columns = np.flatnonzero(reached[first : first + high].any(axis=0))
        if len(columns):
            left, right = int(columns[0]) * step, min((int(columns[-1]) + 1) * step, shape[1])
            yield slice(first * step, min((first + high) * step, shape[0])), slice(left, right)


def upsampled(grid_hwc: Float32Array, step: int, block: Block) -> Float32Array:
    """A grid (gh, gw, C) at the pixels of a block, linear in between: float32 (h, w, C), a copy."""
    if step == 1:
        return grid_hwc[block].copy()
    # A point more on each side, where there is one: what lies between two blocks is linear, too.
    top, left = (max(part.start // step - 1, 0) for part in block)
    bottom, right = (-(-part.stop // step) + 1 for part in block)
    part = np.ascontiguousarray(grid_hwc[top:bottom, left:right])
    size = (part.shape[1] * step, part.shape[0] * step)
    full = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR).reshape(size[1], size[0], -1)
    rows, columns = (
        slice(part.start - first * step, part.stop - first * step)
        for part, first in zip(block, (top, left), strict=True)
    )
    return np.asarray(full[rows, columns], dtype=np.float32)
