"""The hair's matte: how much of each pixel is hair, from a small network, then along the photo's own edges.

The network sees the aligned crop and knows where hair is to about a pixel of it. A photo has several pixels
to one of the crop's, and strands finer than that: `refine_matte` takes them from the photo. Hair also goes on
beyond the crop: there wider views of the same network say where.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, UInt8Array, f32
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import BundleError
from aif.runtime.faces.long_hair import followed, goes_on
from aif.runtime.faces.refine import REACH, refine_matte
from aif.runtime.geometry.align import face_crops
from aif.runtime.networks.sessions import Session

View = tuple[float, float]
"""Scale of a view relative to the crop's, and how far below the crop's middle it looks (in sides)."""

WIDER: View = (0.8, -0.05)
"""What is around the crop: the wider a view, the less the network makes of tops and sides of heads."""

WIDEST: View = (0.62, 0.1)
"""What is around that."""

SEAM = 0.12
"""Share of a view's side over which its matte ends at the edge: in the next wider view, or in nothing."""

HANGS = 0.85, 0.95
"""From the first height in the crop on, in sides, hair that is followed counts more than `WIDER`, from the
second on alone."""


class MatteNet:
    """The matte network of a bundle. Calls may come from several threads at once.

    Attributes:
        input_size: side of its crop in pixels.
    """

    def __init__(self, source: Bundle | bytes, threads: int | None = None) -> None:
        """Load the network on the CPU, where one face takes it a few milliseconds.

        Args:
            source: a bundle that brings the network, or the ONNX bytes of one.
            threads: threads of one call; None = one a core.

        Raises:
            BundleError: the bundle brings none, or the graph is not one.
        """
        graph = source if isinstance(source, bytes) else source.matte_bytes()
        self._session = Session(graph, "cpu", threads, "matte network")
        inputs, found = self._session.inputs, self._session.outputs
        size = inputs.get("image", (None,))[-1]
        fits = inputs == {"image": (None, 3, size, size)} and found == {"matte": (None, 1, size, size)}
        if size is None or not fits:
            raise BundleError(
                f"The matte network takes {inputs} and gives {found}, "
                "where image Nx3xSxS and matte Nx1xSxS are needed.",
                "Export the bundle again with aif-export.",
            )
        self.input_size = size

    def matte(self, crops_nchw: Float32Array) -> Float32Array:
        """How much of each pixel is hair: float32 (N, S, S) in [0, 1], S = `input_size`, of aligned crops
        (N, 3, S, S) RGB in [0, 1]."""
        (matte,) = self._session.run(["matte"], {"image": np.ascontiguousarray(crops_nchw, dtype=np.float32)})
        return matte[:, 0]


Box = tuple[int, int, int, int]
"""A part of a photo: left, top, width and height in pixels."""


def photo_matte(
    net: MatteNet, photo_hwc_bgr: UInt8Array, matrix: npt.ArrayLike, known: Float32Array
) -> tuple[Float32Array, Box]:
    """The matte of one face's hair in the photo (H, W, 3), refined: float32 (h, w) in [0, 1], and its place.

    `matrix` (2, 3) leads from photo to crop pixels, and `known` (S, S) is the crop's own matte. Two wider
    views are looked at, and hair that goes on beside or below them is followed. At the edge of all this, the
    matte falls to 0 softly.
    """
    near, size = np.asarray(matrix, dtype=np.float64), net.input_size
    x, y, width, height = box = view_box(near, size, photo_hwc_bgr.shape)
    nothing = np.zeros((0, 0), dtype=np.float32), (x, y, 0, 0)
    if not width:
        return nothing
    view, closer = (_view_of(near, size, each).astype(np.float32) for each in (WIDEST, WIDER))
    wide, middle = net.matte(face_crops(photo_hwc_bgr, [view, closer], size))
    longer = view_box(near, size, photo_hwc_bgr.shape, far=True)
    if longer != box and goes_on(wide):
        found, share = followed(face_crops(photo_hwc_bgr, [_far(view, size)], size)[0], wide)
        x, y, width, height = box = longer
        ended = np.pad(wide * _window(size), ((0, size), (size // 2, size // 2)))
        wide = share * found + (1 - share) * ended
    canvas, corner = _joined(known, middle, wide)
    seen = near.copy()
    seen[:, 2] += near[:, :2] @ (x, y) + corner
    # Twice the size first: a coarse matte that is enlarged linearly has a border of small facets.
    double = cv2.resize(canvas, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    seen = 2 * seen + np.array([[0, 0, 0.5], [0, 0, 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    placed = f32(cv2.warpAffine(double, seen, (width, height), flags=flags, borderMode=cv2.BORDER_CONSTANT))
    reach = REACH * size / float(np.hypot(near[0, 0], near[1, 0]))
    rows, columns = _around(placed, math.ceil(reach) + 1)
    if rows.start == rows.stop:
        return nothing
    box = (x + columns.start, y + rows.start, columns.stop - columns.start, rows.stop - rows.start)
    part = photo_hwc_bgr[y : y + height, x : x + width][rows, columns]
    matte = f32(np.clip(placed[rows, columns], 0, 1))
    return refine_matte(np.ascontiguousarray(part), matte, reach), box


def _around(matte: Float32Array, margin: int) -> tuple[slice, slice]:
    """Rows and columns of what is hair in a matte (h, w), and of so many pixels around it."""
    x, y, width, height = cv2.boundingRect((matte > 1 / 255).astype(np.uint8))
    margin = margin if width else 0
    return (
        slice(max(y - margin, 0), min(y + height + margin, matte.shape[0])),
        slice(max(x - margin, 0), min(x + width + margin, matte.shape[1])),
    )


def view_box(matrix: npt.ArrayLike, size: int, photo_shape: tuple[int, ...], far: bool = False) -> Box:
    """What the widest view shows of a photo, or that of twice its side; four zeros where that is nothing."""
    view = _view_of(np.asarray(matrix, dtype=np.float64), size, WIDEST)
    back = cv2.invertAffineTransform(_far(view, size) if far else view)
    edge = size - 0.5
    corners = np.array([[-0.5, -0.5], [edge, -0.5], [edge, edge], [-0.5, edge]]) @ back[:, :2].T + back[:, 2]
    limit = (photo_shape[1], photo_shape[0])
    left, top = (int(v) for v in np.clip(np.floor(corners.min(axis=0)), 0, limit))
    right, bottom = (int(v) for v in np.clip(np.ceil(corners.max(axis=0)) + 1, 0, limit))
    return (left, top, right - left, bottom - top) if right > left and bottom > top else (0, 0, 0, 0)


def _far(view: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """A view (photo to its pixels) at half the scale, with the view in the middle of its upper half."""
    far = view / 2
    far[:, 2] += np.array([size / 4 - 0.25, -0.25])
    return far


def _view_of(matrix: npt.NDArray[np.float64], size: int, view: View) -> npt.NDArray[np.float64]:
    """`matrix` (photo to crop) for a wider view."""
    scale, down = view
    wider, middle = scale * matrix, (size - 1) / 2
    wider[:, 2] += middle - scale * (middle + np.array([0, down * size]))
    return wider


def _joined(
    near: Float32Array, middle: Float32Array, wide: Float32Array
) -> tuple[Float32Array, npt.NDArray[np.intp]]:
    """The crop's matte (S, S) inside that of `WIDER`, (S, S), inside that of `WIDEST`, (S, S) or with what is
    around it (2 S, 2 S): in crop pixels, and the crop's place."""
    size, views = len(near), len(wide) // len(near)
    window, side = _window(size), round(size / WIDEST[0])
    margin = (side - size) // 2
    corner = np.array([margin + (views - 1) * side // 2, margin - round(WIDEST[1] * size)])
    shape = (views * side, views * side)

    def placed(matte: Float32Array, view: View, before: int = 0) -> Float32Array:
        """A view's matte, which begins so many of its pixels before the view, on the canvas."""
        back = cv2.invertAffineTransform(_view_of(np.eye(2, 3), size, view)).astype(np.float64)
        back[:, 2] += corner - back[:, 0] * before
        return f32(cv2.warpAffine(matte, back, shape, flags=cv2.INTER_LINEAR))

    canvas = placed(wide * _window(len(wide), size), WIDEST, (views - 1) * size // 2)
    share = placed(window, WIDER)
    if views > 1:
        height = (np.arange(len(share), dtype=np.float32) - corner[1]) / size
        share *= np.clip((HANGS[1] - height) / (HANGS[1] - HANGS[0]), 0, 1)[:, None]
    canvas += share * (placed(middle, WIDER) - canvas)
    inside = canvas[corner[1] : corner[1] + size, corner[0] : corner[0] + size]
    inside += window * (near - inside)
    return canvas, corner


@cache
def _window(size: int, view: int | None = None) -> Float32Array:
    """(size, size), 1 inside, softly 0 at the edge, over `SEAM` of a view's side (None: size)."""
    places = np.arange(size, dtype=np.float32) + 0.5
    ramp = np.clip(np.minimum(places, size - places) / (SEAM * (view or size)), 0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    window = np.outer(ramp, ramp).astype(np.float32)
    window.setflags(write=False)
    return window
