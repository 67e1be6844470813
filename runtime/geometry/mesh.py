"""Triangles over landmarks: which one covers a pixel, and values that are linear within each of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, Float64Array, f32

Int32Array = npt.NDArray[np.int32]
IntArray = npt.NDArray[np.intp]

# What `cv2.remap` takes in place of a second map where the first holds x and y.
NO_MAP: Float32Array = np.empty((0, 0), dtype=np.float32)

# A pixel so near to a triangle's rim, in pixels, is covered by it: none is left out between two of them.
_RIM = 1e-6
# Sides that fall by less than this, in pixels, are level.
_LEVEL = 1e-12
# Doubled triangle areas below this, in square pixels, are no triangles.
_LEAST_AREA = 1e-3


def raster(vertices: npt.ArrayLike, triangles: Int32Array, shape: tuple[int, int]) -> Int32Array:
    """The number of the triangle (T, 3) of vertices (V, 2) that covers each pixel's centre, int32 of `shape`;
    -1 outside; later triangles cover earlier ones."""
    height, width = shape
    ids = np.full(height * width, -1, dtype=np.int32)
    xs, ys = np.asarray(vertices, dtype=np.float64).T
    down = np.take_along_axis(triangles, np.argsort(ys[triangles], axis=1), axis=1).T
    (x0, x1, x2), (y0, y1, y2) = xs[down], ys[down]
    sides = ((x0, y0, x1, y1), (x1, y1, x2, y2), (x0, y0, x2, y2))
    slopes = ((x - left) / np.maximum(y - top, _LEVEL) for left, top, x, y in sides)
    which, row = _runs(np.ceil(y0).clip(0), np.floor(y2).clip(max=height - 1))
    upper, lower, whole, x0, y0, x1, y1 = (each[which] for each in (*slopes, x0, y0, x1, y1))
    one = x0 + (row - y0) * whole
    other = np.where(row < y1, x0 + (row - y0) * upper, x1 + (row - y1) * lower)
    left, right = np.minimum(one, other) - _RIM, np.maximum(one, other) + _RIM
    span, column = _runs(np.ceil(left).clip(0), np.floor(right).clip(max=width - 1))
    ids[row[span] * width + column] = which[span]
    return ids.reshape(shape)


def _runs(first: Float64Array, last: Float64Array) -> tuple[IntArray, IntArray]:
    """The whole numbers from each `first` to its `last`, one run after the other: of which run, and which."""
    count = (last - first + 1).clip(0).astype(np.intp)
    run = np.repeat(np.arange(len(count)), count)
    return run, np.arange(len(run)) + (first.astype(np.intp) - np.cumsum(count) + count)[run]


def signed_areas(vertices: npt.ArrayLike, triangles: Int32Array) -> npt.NDArray[np.float64]:
    """Twice the signed area of each triangle, (T,), in square units of the vertices (V, 2)."""
    a, b, c = np.moveaxis(np.asarray(vertices, dtype=np.float64)[triangles], 1, 0)
    one, other = b - a, c - a
    return np.asarray(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0])


def linear_fields(vertices: npt.ArrayLike, values: npt.ArrayLike, triangles: Int32Array) -> Float32Array:
    """The linear function of x and y in each triangle that takes `values` (V, C) at its corners.

    Returns:
        float32 (5, C, T): value = f[0] x + f[1] y + f[2], between f[3] and f[4], the least and greatest of
        the corners; constant in degenerate triangles.
    """
    a, b, c = triangles.T
    (x, y), value = (np.asarray(each, dtype=np.float64).T for each in (vertices, values))
    (one_x, one_y), (other_x, other_y) = ((x[k] - x[a], y[k] - y[a]) for k in (b, c))
    corners = np.stack([value[:, k] for k in (a, b, c)])
    one, other = corners[1] - corners[0], corners[2] - corners[0]
    area = one_x * other_y - one_y * other_x
    flat = np.abs(area) <= _LEAST_AREA
    inverse = np.where(flat, 0, 1 / np.where(flat, 1, area))
    along_x = (one * other_y - other * one_y) * inverse
    along_y = (other * one_x - one * other_x) * inverse
    constant = np.where(flat, corners.mean(axis=0), corners[0] - along_x * x[a] - along_y * y[a])
    parts = [along_x, along_y, constant, corners.min(axis=0), corners.max(axis=0)]
    return np.asarray(parts, dtype=np.float32)


def evaluate(
    ids: Int32Array, fields: Float32Array, xs: Float32Array, ys: Float32Array, fill: npt.ArrayLike = 0.0
) -> Float32Array:
    """The fields (5, C, T) at pixels: float32 (C, h, w), `fill` (of all, or of each) where no triangle is.

    The corners' values bound what pixels of a sliver get, whose slopes are steep.

    Args:
        ids: (h, w) from `raster`.
        xs, ys: (w,) and (h,) coordinates of the pixels' centres in the units of the fields' vertices.
    """
    table = np.zeros((*fields.shape[:2], fields.shape[2] + 1), dtype=np.float32)  # where -1 finds the last
    table[:, :, :-1], table[2:, :, -1] = fields, fill
    place = ids.astype(np.intp)  # once, not in each of these
    along_x, along_y, constant, least, most = (part.take(place, axis=1, mode="wrap") for part in table)
    along_x *= xs
    along_y *= ys[:, None]
    along_x += along_y
    along_x += constant
    return f32(np.minimum(np.maximum(along_x, least, out=along_x), most, out=along_x))
