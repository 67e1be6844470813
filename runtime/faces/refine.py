"""A coarse matte along the photo's own edges and strands: a guided filter in colour, on a reduced grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, UInt8Array, f32
from aif.runtime.geometry.blocks import Block, upsampled

REACH = 1 / 36
"""How far the network's border may be off, as a share of the crop's side: some 3.5 of its 128 pixels."""

REGULAR = 4e-4
"""Added to the variance of each colour channel (of 1): edges with less contrast than 0.02 are not trusted."""

DOUBT = 0.02
"""Least weight of a cell in a fit, where the matte is 1/2; where it is 0 or 1 the weight is 1 more."""

ROUNDS = 2
"""How often the fits are made: a second time from what the first gave, which moves a border that was off."""

CELLS = 3
"""Cells of the grid of the local fits to a reach."""

BORDER = 0.02
"""Cells whose matte may change by less stay as they are."""

STRIP = 16
"""Rows of cells that are brought to the photo's resolution in one go."""


def refine_matte(photo_box_bgr: UInt8Array, matte: Float32Array, reach: float) -> Float32Array:
    """The matte with the photo's own edges and strands: float32 (h, w) in [0, 1].

    Around every cell of a coarse grid the matte is fitted as a linear function of colour, and the fits give
    the matte at the photo's resolution (guided filter, He et al., 2013, equations 14-16; on a reduced grid as
    in "Fast guided filter", He and Sun, 2015). The fit trusts the matte where it is sure, near 0 and 1, so
    between the two a pixel gets the share that its colour says. Nothing changes farther than `reach` from
    the matte's border.

    Args:
        photo_box_bgr: uint8 (h, w, 3), the part of the photo that the matte covers.
        matte: float32 (h, w) in [0, 1].
        reach: how far the matte's border may be off in photo pixels.
    """
    out = matte.astype(np.float32)
    step = min(max(1, round(reach / CELLS)), *matte.shape)
    cells = min(reach / step, 2.0 * CELLS)
    photo, matte = _whole_cells(photo_box_bgr, step), _whole_cells(out, step)
    size = (matte.shape[1] // step, matte.shape[0] // step)
    rough = f32(cv2.resize(matte, size, interpolation=cv2.INTER_AREA))
    border = _border(rough, cells)
    radius = max(1, round(cells))
    x, y, width, height = cv2.boundingRect((border > BORDER).astype(np.uint8))
    if width:
        # What the fits of the outermost active cells are made of.
        margin = 2 * radius + 1
        rows = slice(max(y - margin, 0), min(y + height + margin, size[1]))
        columns = slice(max(x - margin, 0), min(x + width + margin, size[0]))
        part = rows, columns
        pixels = tuple(slice(each.start * step, each.stop * step) for each in part)
        size = (columns.stop - columns.start, rows.stop - rows.start)
        small = np.asarray(cv2.resize(photo[pixels], size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        planes = [*_repeated_fits(small, rough[part], border[part], radius), border[part]]
        planes = [plane[:, :, None] for plane in planes]
        for block in _blocks(border[part] > BORDER, step):
            target = out[pixels][block]
            inside = np.s_[: target.shape[0], : target.shape[1], 0]
            *fits, share = (upsampled(plane, step, block)[inside] for plane in planes)
            found = _values(fits, photo_box_bgr[pixels][block])
            target += share * (np.clip(found, 0, 1, out=found) - target)
    return np.clip(out, 0, 1, out=out)


def _whole_cells(image: npt.NDArray[Any], step: int) -> npt.NDArray[Any]:
    """`image` with its last row and column repeated until cells of `step` pixels fill it."""
    down, right = -image.shape[0] % step, -image.shape[1] % step
    if not down and not right:
        return image
    return np.asarray(cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REPLICATE))


def _border(rough: Float32Array, reach: float) -> Float32Array:
    """How much each cell's matte may change: the matte's span within `reach` cells, softened, in [0, 1]."""
    size = 2 * max(1, round(reach)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    span = cv2.subtract(cv2.dilate(rough, disc), cv2.erode(rough, disc))
    return f32(cv2.blur(span, (size // 2 | 1, size // 2 | 1)))


def _blocks(active: npt.NDArray[np.bool_], step: int) -> Iterator[Block]:
    """Rows and columns of pixels that hold all active cells, in strips of `STRIP` rows of cells."""
    for top in range(0, len(active), STRIP):
        rows = slice(top * step, min(top + STRIP, len(active)) * step)
        columns = np.flatnonzero(active[top : top + STRIP].any(axis=0))
        for run in np.split(columns, np.flatnonzero(np.diff(columns) > STRIP) + 1):
            if len(run):
                yield rows, slice(int(run[0]) * step, (int(run[-1]) + 1) * step)


def _repeated_fits(
    image: UInt8Array, rough: Float32Array, border: Float32Array, radius: int
) -> list[Float32Array]:
    """`_local_fits` of the matte, then of what they made of it, `ROUNDS` in all."""
    fits = _local_fits(image, rough, radius)
    for _ in range(ROUNDS - 1):
        better = np.clip(_values(fits, image), 0, 1)
        fits = _local_fits(image, rough + border * (better - rough), radius)
    return fits


def _local_fits(image: UInt8Array, rough: Float32Array, radius: int) -> list[Float32Array]:
    """Planes (h, w) of the matte's local fits: slopes of blue, green and red (in 0 to 255), and the offset.

    Around each cell: least squares with weights (2 m - 1)^2, ridge `REGULAR`; then the mean of the fits.
    """
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(plane: npt.NDArray[Any]) -> Float32Array:
        return f32(cv2.blur(plane, size, borderType=cv2.BORDER_REFLECT))

    c = [plane.astype(np.float32) * np.float32(1 / 255) for plane in cv2.split(image)]
    sure = np.square(2 * rough - 1) + np.float32(DOUBT)
    weighted = [plane * sure for plane in c]
    scale = 1 / mean(sure)
    first = [mean(plane) * scale for plane in weighted]
    height = mean(sure * rough) * scale
    right = [mean(plane * rough) * scale - m * height for plane, m in zip(weighted, first, strict=True)]

    def moment(i: int, j: int) -> Float32Array:
        return f32(mean(weighted[i] * c[j]) * scale - first[i] * first[j])

    ridge = np.float32(REGULAR)
    slopes = _solve(
        [moment(i, i) + ridge for i in range(3)], [moment(1, 2), moment(0, 2), moment(0, 1)], right
    )
    offset = height - sum(a * m for a, m in zip(slopes, first, strict=True))
    return [*(mean(a) * np.float32(1 / 255) for a in slopes), mean(offset)]


def _values(fits: Sequence[Float32Array], image: UInt8Array) -> Float32Array:
    """What the fits (slopes of blue, green and red, offset) give for the colours of `image`: (h, w)."""
    *slopes, offset = fits
    found = offset.copy()
    for slope, colour in zip(slopes, cv2.split(image), strict=True):
        found += slope * colour.astype(np.float32)
    return found


def _solve(
    diagonal: Sequence[npt.NDArray[Any]], mixed: Sequence[npt.NDArray[Any]], right: Sequence[npt.NDArray[Any]]
) -> list[npt.NDArray[Any]]:
    """Solve the symmetric 3x3 system of every cell, an entry a plane; `mixed` holds entries 12, 02 and 01."""
    (d0, d1, d2), (m12, m02, m01), (r0, r1, r2) = diagonal, mixed, right
    c00, c11, c22 = d1 * d2 - m12 * m12, d0 * d2 - m02 * m02, d0 * d1 - m01 * m01
    c01, c02, c12 = m02 * m12 - m01 * d2, m01 * m12 - m02 * d1, m01 * m02 - d0 * m12
    scale = 1 / (d0 * c00 + m01 * c01 + m02 * c02)
    return [
        (c00 * r0 + c01 * r1 + c02 * r2) * scale,
        (c01 * r0 + c11 * r1 + c12 * r2) * scale,
        (c02 * r0 + c12 * r1 + c22 * r2) * scale,
    ]
