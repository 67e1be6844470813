"""A coarse matte along the photo's own edges and strands: a guided filter in colour, on a reduced grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, UInt8Array

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

STRIP = 16
"""Rows of cells that are brought to the photo's resolution in one go."""


def refine_matte(
    photo_box_bgr: UInt8Array, matte: Float32Array, *, reach: float | None = None
) -> Float32Array:
    """The matte with the photo's own edges and strands: float32 (h, w) in [0, 1].

    Around every cell of a coarse grid the matte is fitted as a linear function of colour, and the fits give
    the matte at the photo's resolution (guided filter, He et al., 2013, equations 14-16; on a reduced grid as
    in "Fast guided filter", He and Sun, 2015). The fit trusts the matte where it is sure, near 0 and 1, so
    between the two a pixel gets the share that its colour says. Nothing changes farther than `reach` from
    the matte's border.

    Args:
        photo_box_bgr: uint8 (h, w, 3), the part of the photo that the matte covers.
        matte: float32 (h, w) in [0, 1].
        reach: how far the matte's border may be off in photo pixels; None for `REACH` of the longer side,
            which suits a box as large as the aligned crop.

    Raises:
        ValueError: photo and matte are not of one size.
    """
    if photo_box_bgr.shape != (*matte.shape, 3):
        raise ValueError(f"photo {photo_box_bgr.shape} and matte {matte.shape} are not of one size")
    height, width = matte.shape
    out = matte.astype(np.float32)
    if not height or not width:
        return out
    far = max(height, width) * REACH if reach is None else max(0.0, reach)
    step = min(max(1, round(far / CELLS)), height, width)
    cells = min(far / step, 2.0 * CELLS)
    photo, matte = _whole_cells(photo_box_bgr, step), _whole_cells(out, step)
    size = (matte.shape[1] // step, matte.shape[0] // step)
    rough = np.asarray(cv2.resize(matte, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
    border = _border(rough, cells)
    radius = max(1, round(cells))
    part = _around(border > 0.02, 2 * radius + 1)
    if part is not None:
        pixels = (
            slice(part[0].start * step, part[0].stop * step),
            slice(part[1].start * step, part[1].stop * step),
        )
        size = (part[1].stop - part[1].start, part[0].stop - part[0].start)
        small = np.asarray(cv2.resize(photo[pixels], size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        planes = [*_repeated_fits(small, rough[part], border[part], radius), border[part]]
        for place in _places(border[part] > 0.02):
            _apply(photo_box_bgr[pixels], planes, place, step, out[pixels])
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
    return np.asarray(cv2.blur(span, (size // 2 | 1, size // 2 | 1)), dtype=np.float32)


def _around(active: npt.NDArray[np.bool_], margin: int) -> tuple[slice, slice] | None:
    """Rows and columns that hold all active cells, and `margin` more on each side; None without any."""
    slices = []
    for axis in (1, 0):
        found = np.flatnonzero(active.any(axis=axis))
        if not len(found):
            return None
        slices.append(slice(max(int(found[0]) - margin, 0), int(found[-1]) + 1 + margin))
    rows, columns = (
        slice(part.start, min(part.stop, length)) for part, length in zip(slices, active.shape, strict=True)
    )
    return rows, columns


def _places(active: npt.NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """Rectangles of cells (top, bottom, left, right) that hold all active ones, in strips of `STRIP` rows."""
    places = []
    for top in range(0, active.shape[0], STRIP):
        bottom = min(top + STRIP, active.shape[0])
        columns = np.flatnonzero(active[top:bottom].any(axis=0))
        if not len(columns):
            continue
        gaps = np.flatnonzero(np.diff(columns) > STRIP)
        starts, ends = [columns[0], *columns[gaps + 1]], [*columns[gaps], columns[-1]]
        places += [(top, bottom, int(left), int(right) + 1) for left, right in zip(starts, ends, strict=True)]
    return places


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
        return np.asarray(cv2.blur(plane, size, borderType=cv2.BORDER_REFLECT), dtype=np.float32)

    c = [plane.astype(np.float32) * np.float32(1 / 255) for plane in cv2.split(image)]
    sure = np.square(2 * rough - 1) + np.float32(DOUBT)
    weighted = [plane * sure for plane in c]
    scale = 1 / mean(sure)
    first = [mean(plane) * scale for plane in weighted]
    height = mean(sure * rough) * scale
    right = [mean(plane * rough) * scale - m * height for plane, m in zip(weighted, first, strict=True)]

    def moment(i: int, j: int) -> Float32Array:
        return np.asarray(mean(weighted[i] * c[j]) * scale - first[i] * first[j], dtype=np.float32)

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


def _apply(
    photo: UInt8Array,
    planes: list[Float32Array],
    place: tuple[int, int, int, int],
    step: int,
    out: Float32Array,
) -> None:
    """Change `out` in one rectangle of cells: the fits at its pixels, mixed in by the border's plane."""
    top, bottom, left, right = place
    rows, columns = planes[0].shape
    # One more cell all around, where there is one, so that neighbouring rectangles meet without a seam.
    y, x = max(top - 1, 0), max(left - 1, 0)
    there = (slice(y, min(bottom + 1, rows)), slice(x, min(right + 1, columns)))
    pixels = (slice(top * step, bottom * step), slice(left * step, right * step))
    target = out[pixels]
    height, width = target.shape
    dy, dx = (top - y) * step, (left - x) * step

    def fine(plane: Float32Array) -> npt.NDArray[Any]:
        grown = cv2.resize(plane[there], None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
        return np.asarray(grown)[dy : dy + height, dx : dx + width]

    found = _values([fine(plane) for plane in planes[:4]], photo[pixels])
    np.clip(found, 0, 1, out=found)
    target += fine(planes[4]) * (found - target)
