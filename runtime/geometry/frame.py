"""The texture frame: every face resampled so that its landmarks lie on the mean shape.

A texture is the face crop with the face in it moved onto one fixed shape. An outer ring of anchors stays
where it is in the crop, triangles between ring and landmarks keep hair and background continuous, and beyond
the ring a texture is the crop itself. Training and runtime both use the functions here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, Float64Array, UInt8Array, f32
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.align import similarity_transform, transform_points, warp_crop
from aif.runtime.geometry.mesh import NO_MAP, Int32Array, evaluate, linear_fields, raster, signed_areas

# The ring: the face's outline, so many times as far from its centre.
RING = 1.5

# A face is large where a pixel of its texture is more than 1 / LARGE pixels of the image.
LARGE = 0.75

# Such shares of its usual area has a triangle at the rim of a turned face, and one that faces the camera.
RIM, FACING = 0.1, 0.33


@dataclass(frozen=True, eq=False)
class Frame:
    """Mean shape and triangles. Equal bundles have equal frames; never changed, shared by threads.

    Attributes:
        mean: float32 (221, 2) mean shape in units of the crop's side (pixel / side).
        triangles: int32 (T, 3) numbers of landmarks (0-220) and anchors (221-256).
    """

    mean: Float32Array
    triangles: Int32Array

    def __post_init__(self) -> None:
        count = dense.COUNT + dense.FACE_OVAL.stop
        if self.mean.shape != (dense.COUNT, 2) or not np.isfinite(self.mean).all():
            raise ValueError(f"a mean shape is ({dense.COUNT}, 2) and finite, not {self.mean.shape}")
        if self.triangles.ndim != 2 or self.triangles.shape[1] != 3 or not len(self.triangles):
            raise ValueError(f"triangles are (T, 3), not {self.triangles.shape}")
        if self.triangles.min() < 0 or self.triangles.max() >= count:
            raise ValueError(f"triangles name vertices outside 0 to {count - 1}")

    @cached_property
    def anchors(self) -> Float32Array:
        """float32 (36, 2) in units of the crop's side."""
        outline = self.mean[dense.FACE_OVAL]
        centre = outline.mean(axis=0)
        return f32(centre + (outline - centre) * np.float32(RING))

    @cached_property
    def inner_mouth(self) -> npt.NDArray[np.bool_]:
        """Which triangles lie between the lips: bool (T,)."""
        inside = np.zeros(dense.COUNT + len(self.anchors), dtype=bool)
        inside[dense.INNER_LIP] = True
        return np.asarray(inside[self.triangles].all(axis=1))

    @cached_property
    def around(self) -> Float32Array:
        """Each row times values at landmarks and anchors is their mean over a vertex's neighbours, float32
        (257, 257); lips are no neighbours of each other."""
        count = dense.COUNT + len(self.anchors)
        near = np.zeros((count, count), dtype=np.float32)
        for one in range(3):
            for other in range(3):
                near[self.triangles[~self.inner_mouth, one], self.triangles[~self.inner_mouth, other]] = (
                    one != other
                )
        return f32(near / np.maximum(near.sum(axis=1, keepdims=True), 1))

    @cached_property
    def draw_order(self) -> Int32Array:
        """The triangles, those between the lips first, so that lips cover them: int32 (T, 3)."""
        return np.concatenate([self.triangles[self.inner_mouth], self.triangles[~self.inner_mouth]])

    def vertices(self, points: npt.ArrayLike, size: float) -> Float32Array:
        """Landmarks (221, 2) in crop pixels and the anchors of a crop of `size` px: float32 (257, 2)."""
        return np.concatenate([np.asarray(points, dtype=np.float32), self.anchors * np.float32(size)])

    def normalise(self, image_hwc: UInt8Array, points: npt.ArrayLike, size: int) -> UInt8Array:
        """The texture of one face: uint8 (size, size, C).

        Args:
            image_hwc: uint8 (H, W, C), any channel order.
            points: (221, 2) landmarks in image pixels.
            size: side of the texture in pixels.

        Raises:
            ValueError: the landmarks are not (221, 2) finite points.
        """
        found = np.asarray(points, dtype=np.float32)
        if found.shape != (dense.COUNT, 2) or not np.isfinite(found).all():
            raise ValueError(f"landmarks are ({dense.COUNT}, 2) and finite, not {found.shape}")
        matrix = similarity_transform(dense.five_points(found), size)
        where = _lookup(self, size).maps(self.vertices(transform_points(found, matrix), size))
        if float(np.hypot(matrix[0, 0], matrix[1, 0])) < LARGE:
            # A large face is sampled on a grid twice as fine, from a crop without aliasing, and averaged.
            fine = matrix * np.float32(2)
            fine[:, 2] += 0.5
            source = warp_crop(image_hwc, fine, 2 * size)
            where = f32(cv2.resize(where, (2 * size, 2 * size), interpolation=cv2.INTER_LINEAR))
            where = 2 * where + np.float32(0.5)
        else:
            source = image_hwc
            back = cv2.invertAffineTransform(matrix.astype(np.float64))
            where = transform_points(where.reshape(-1, 2), back).reshape(where.shape)
        texture = cv2.remap(source, where, NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if len(texture) > size:
            texture = cv2.resize(texture, (size, size), interpolation=cv2.INTER_AREA)
        return np.asarray(texture, dtype=np.uint8)

    def facing(self, points: npt.ArrayLike) -> Float32Array:
        """How far each landmark's surroundings face the camera: float32 (221,), 0 at the rim of a turned face
        and beyond it, 1 from a third of their usual size on; landmarks (221, 2) are in units of the crop's
        side."""
        inner, corners, counts = _skin(self)
        shown = np.clip((self._areas(points)[inner] - RIM) / (FACING - RIM), 0, 1)
        sums = np.bincount(corners, shown.repeat(3), minlength=dense.COUNT)
        return np.where(counts > 0, sums / np.maximum(counts, 1), 1).astype(np.float32)

    def smoothed(self, values: Float32Array, times: int) -> Float32Array:
        """Values at the landmarks, (221,), brought nearer to their neighbours' mean so many times."""
        for _ in range(times):
            values = f32((values + self._landmarks_around @ values) / 2)
        return values

    @cached_property
    def _landmarks_around(self) -> Float32Array:
        """`around` of landmarks alone, (221, 221)."""
        near = self.around[: dense.COUNT, : dense.COUNT]
        return f32(near / np.maximum(near.sum(axis=1, keepdims=True), 1e-6))

    def _areas(self, points: npt.ArrayLike) -> Float64Array:
        """Each triangle's area at these landmarks as a share of its usual one; below 0 where it is folded."""
        return signed_areas(self.vertices(points, 1.0), self.triangles) / _usual_areas(self)

    def spread(self, values: Float32Array, size: int) -> Float32Array:
        """Values at the landmarks, (221,), over the texture: linear in each triangle, 1 at the ring and
        beyond: float32 (size, size)."""
        pixels = np.arange(size, dtype=np.float32)
        at = np.concatenate([values, np.ones(len(self.anchors), dtype=np.float32)])[:, None]
        fields = linear_fields(self.vertices(self.mean * np.float32(size), size), at, self.triangles)
        return f32(evaluate(_lookup(self, size).ids, fields, pixels, pixels, fill=1.0)[0])

    def triangle_ids(self, size: int) -> Int32Array:
        """The number of the triangle that covers each texture pixel, -1 beyond the ring: int32 (size,
        size)."""
        return _lookup(self, size).ids

    def mask(self, size: int, outline: slice, blur: float = 0.0, grow: float = 1.0) -> Float32Array:
        """A ring of landmarks on the mean shape, filled: float32 (size, size) in [0, 1].

        Args:
            size: side of the texture in pixels.
            outline: the ring (`INNER_LIP`, `LEFT_EYE`, ...).
            blur: standard deviation of the soft edge in pixels of a 128 px texture.
            grow: the ring is scaled about its centre by this factor.
        """
        ring = self.mean[outline] * size
        centre = ring.mean(axis=0)
        filled = np.zeros((size, size), dtype=np.uint8)
        place = np.round((centre + (ring - centre) * grow) * 16).astype(np.int32)
        cv2.fillPoly(filled, [place], 255, lineType=cv2.LINE_AA, shift=4)
        mask = filled.astype(np.float32) / np.float32(255)
        return f32(cv2.GaussianBlur(mask, (0, 0), blur * size / 128)) if blur else mask


class _Lookup:
    """Which triangle of the mean shape covers each texture pixel, and the weights of its corners."""

    def __init__(self, frame: Frame, size: int) -> None:
        mean = frame.vertices(frame.mean * size, size)
        # On a finer grid, of which every fourth pixel is taken: a triangle's rim is then an eighth of a
        # pixel wide.
        fine = raster(4 * mean + 1.5, frame.triangles, (4 * size, 4 * size))
        self.ids = np.ascontiguousarray(fine[2::4, 2::4])
        ys, xs = np.nonzero(self.ids >= 0)
        corners = frame.triangles[self.ids[ys, xs]]
        a, b, c = (mean[corners[:, k]].astype(np.float64) for k in range(3))
        one, other, here = b - a, c - a, np.stack([xs, ys], axis=1) - a
        area = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
        area = np.where(np.abs(area) < 1e-6, 1e-6, area)
        u = np.clip((here[:, 0] * other[:, 1] - here[:, 1] * other[:, 0]) / area, 0, 1)
        v = np.clip((one[:, 0] * here[:, 1] - one[:, 1] * here[:, 0]) / area, 0, 1 - u)
        weights = np.stack([1 - u - v, u, v]).astype(np.float32)[:, :, None]
        self._corners = list(zip(weights, np.ascontiguousarray(corners.T), strict=True))
        grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1)
        self._grid: Float32Array = grid.astype(np.float32)

    def maps(self, vertices: Float32Array) -> Float32Array:
        """Where each texture pixel comes from when the corners lie at `vertices` (257, 2): float32 (S, S,
        2)."""
        where = self._grid.copy()
        one, two, three = (weight * vertices.take(corner, axis=0) for weight, corner in self._corners)
        where[self.ids >= 0] = one + two + three
        return where


@lru_cache(maxsize=8)
def _lookup(frame: Frame, size: int) -> _Lookup:
    return _Lookup(frame, size)


@lru_cache(maxsize=8)
def _usual_areas(frame: Frame) -> Float64Array:
    """Those of the mean shape's triangles, (T,); 1 in place of 0."""
    usual = signed_areas(frame.vertices(frame.mean, 1.0), frame.triangles)
    return np.where(usual == 0, 1, usual)


@lru_cache(maxsize=8)
def _skin(frame: Frame) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Which triangles are of landmarks alone and not between the lips, (T,); their corners, one after the
    other; and how many of them each landmark belongs to, (221,)."""
    inner = (frame.triangles < dense.COUNT).all(axis=1) & ~frame.inner_mouth
    corners = frame.triangles[inner].ravel().astype(np.intp)
    return inner, corners, np.bincount(corners, minlength=dense.COUNT)
