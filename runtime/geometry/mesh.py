"""Triangles over landmarks: which one covers a pixel, and values that are linear within each of them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array

Int32Array = npt.NDArray[np.int32]

# What `cv2.remap` takes in place of a second map where the first holds x and y.
NO_MAP: Float32Array = np.empty((0, 0), dtype=np.float32)

# Vertices are rasterised in 16ths of a pixel.
_SHIFT = 4
# Doubled triangle areas below this, in square pixels, are no triangles.
_LEAST_AREA = 1e-3


def raster(vertices: npt.ArrayLike, triangles: Int32Array, shape: tuple[int, int]) -> Int32Array:
    """The number of the triangle that covers each pixel's centre, -1 outside; later triangles cover earlier
    ones.

    Args:
        vertices: (V, 2) x, y in pixels.
        triangles: (T, 3) vertex numbers.
        shape: height and width in pixels.
    """
    ids = np.full(shape, -1, dtype=np.int32)
    corners = np.round(np.asarray(vertices, dtype=np.float64)[triangles] * (1 << _SHIFT)).astype(np.int32)
    inside = (corners.max(axis=1) >= 0).all(axis=1)
    inside &= (corners.min(axis=1) <= np.array([shape[1], shape[0]]) << _SHIFT).all(axis=1)
    fill = cv2.fillConvexPoly
    for number, triangle in zip(np.flatnonzero(inside).tolist(), corners[inside], strict=True):
        fill(ids, triangle, number, cv2.LINE_8, _SHIFT)  # by name, arguments take as long as the filling
    return ids


def signed_areas(vertices: npt.ArrayLike, triangles: Int32Array) -> npt.NDArray[np.float64]:
    """Twice the signed area of each triangle, (T,), in square units of the vertices (V, 2)."""
    a, b, c = np.moveaxis(np.asarray(vertices, dtype=np.float64)[triangles], 1, 0)
    one, other = b - a, c - a
    return np.asarray(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0])


def linear_fields(vertices: npt.ArrayLike, values: npt.ArrayLike, triangles: Int32Array) -> Float32Array:
    """The linear function of x and y in each triangle that takes `values` (V, C) at its corners.

    Returns:
        float32 (5, T, C): value = f[0] x + f[1] y + f[2], between f[3] and f[4], the least and greatest of
        the corners; constant in degenerate triangles.
    """
    place = np.asarray(vertices, dtype=np.float64)[triangles]
    value = np.asarray(values, dtype=np.float64)[triangles]
    (e, f), (u, v) = (
        ((place[:, k] - place[:, 0]) for k in (1, 2)),
        ((value[:, k] - value[:, 0]) for k in (1, 2)),
    )
    area = e[:, 0] * f[:, 1] - e[:, 1] * f[:, 0]
    inverse = np.where(np.abs(area) > _LEAST_AREA, 1 / np.where(area == 0, 1, area), 0)[:, None]
    along_x = (u * f[:, 1:2] - v * e[:, 1:2]) * inverse
    along_y = (v * e[:, 0:1] - u * f[:, 0:1]) * inverse
    constant = value[:, 0] - along_x * place[:, 0, 0:1] - along_y * place[:, 0, 1:2]
    flat = np.abs(area) <= _LEAST_AREA
    constant[flat] = value[flat].mean(axis=1)
    parts = [along_x, along_y, constant, value.min(axis=1), value.max(axis=1)]
    return np.asarray(parts, dtype=np.float32)


def evaluate(
    ids: Int32Array, fields: Float32Array, xs: Float32Array, ys: Float32Array, fill: float = 0.0
) -> Float32Array:
    """The fields (5, T, C) at pixels: float32 (h, w, C), `fill` where no triangle is.

    A pixel at the rim of a thin triangle may lie outside it by a fraction; the corners' values bound what it
    gets.

    Args:
        ids: (h, w) from `raster`.
        xs, ys: (w,) and (h,) coordinates of the pixels' centres in the units of the fields' vertices.
    """
    nowhere = np.array([[[0]], [[0]], [[fill]], [[fill]], [[fill]]], dtype=np.float32)
    nowhere = np.broadcast_to(nowhere, (5, 1, fields.shape[2]))
    table = np.concatenate([fields, nowhere], axis=1)  # where -1 finds the last
    along_x, along_y, constant, least, most = (part.take(ids, axis=0, mode="wrap") for part in table)
    along_x *= xs[:, None]
    along_y *= ys[:, None, None]
    along_x += along_y
    along_x += constant
    return np.asarray(np.clip(along_x, least, most, out=along_x), dtype=np.float32)


def close_gaps(ids: Int32Array, region: npt.NDArray[np.bool_], rounds: int = 64) -> None:
    """Let triangles grow, up and down by turns, over pixels of `region` that none covers; in place."""
    for number in range(rounds):
        hole = region & (ids < 0)
        if not hole.any():
            return
        neighbour = np.full_like(ids, -1)
        if number % 2:
            neighbour[1:] = ids[:-1]
        else:
            neighbour[:-1] = ids[1:]
        ids[hole] = neighbour[hole]
