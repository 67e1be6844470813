"""Blend a decoded face crop into its photo, inside the face's bounding box only: models that decode whole
crops.

Both modes come down to two small maps in crop space, a weight W and an addition A, with

    result = (1 - W) x photo + A

so that a face of any size in the photo takes one warp of each. With a mask m (zero at the crop's edge) and
the decodings S = D(z, y_source) and T = D(z, y_target):

    delta     W = 0        A = m (T - S)
    replace   W = m        A = m T

m is lowered where something hides the face: where the photo is like neither decoding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array, f32
from aif.runtime.bundle.manifest import Mode
from aif.runtime.editing.shape.gain import is_grey
from aif.runtime.editing.shape.region import smoothstep

# Taper of the mask at the crop's edges, in pixels of a 128 px crop: sides, top, bottom. The chin lies near
# the bottom.
TAPER = (16.0, 14.0, 9.0)

# Distance of the photo from the nearer of both decodings, over three channels of range 1 and after a blur of
# so many pixels of a 128 px crop: up to the first it is the decoder's error, from the second on something
# hides the face.
HIDDEN, HIDDEN_BLUR = (0.34, 0.48), 4.0

_LUMA = np.array([0.114, 0.587, 0.299], dtype=np.float32)  # blue, green, red


@dataclass(frozen=True)
class FacePatch:
    """One face to blend in; all images are RGB in [0, 1], float32 (3, S, S).

    Attributes:
        matrix: (2, 3), photo pixel coordinates to crop pixel coordinates.
        crop_chw: the photo's own crop.
        source_chw: the decoding with the face's own attribute values.
        target_chw: the decoding with the wanted ones.
        strength: how strongly the edit shows, 0 to 1.
    """

    matrix: Float32Array
    crop_chw: Float32Array
    source_chw: Float32Array
    target_chw: Float32Array
    strength: float = 1.0


def composite(photo_hwc_bgr: UInt8Array, patches: Iterable[FacePatch], mode: Mode) -> UInt8Array:
    """A copy of the photo, uint8 (H, W, 3), with the faces blended in by "delta" or "replace", one after the
    other.

    Pixels outside the faces' bounding boxes are the photo's own, bit for bit; so is the whole result in
    `delta` where both decodings are equal.
    """
    result = photo_hwc_bgr.copy()
    for patch in patches:
        if patch.strength > 0:
            _blend(result, patch.matrix, *_layers(patch, mode))
    return result


def _layers(patch: FacePatch, mode: Mode) -> tuple[Float32Array | None, Float32Array]:
    """The maps W (S, S), None for zero, and A (S, S, 3) BGR in units of 0 to 255, of the module's formula; of
    a grey crop the edit is grey, too."""
    images = (patch.crop_chw, patch.source_chw, patch.target_chw)
    crop, source, target = (np.ascontiguousarray(image[::-1].transpose(1, 2, 0)) for image in images)
    if is_grey(patch.crop_chw):
        source, target = ((image @ _LUMA)[:, :, None].repeat(3, axis=2) for image in (source, target))
    mask = face_mask(len(crop)) * (np.float32(patch.strength) * _visible(crop, source, target))
    if mode == "replace":
        return mask, 255 * mask[:, :, None] * target
    return None, 255 * mask[:, :, None] * (target - source)


@lru_cache(maxsize=8)
def face_mask(size: int) -> Float32Array:
    """Where a decoded crop shows: float32 (size, size) in [0, 1], 0 on the outermost pixels. Read-only."""
    at = np.arange(size, dtype=np.float32)
    unit = 128 / size
    left, right = at * unit, (size - 1 - at) * unit
    across = smoothstep(np.minimum(left, right), 0, TAPER[0])
    down = np.minimum(smoothstep(left, 0, TAPER[1]), smoothstep(right, 0, TAPER[2]))
    mask = np.outer(down, across).astype(np.float32)
    mask.setflags(write=False)
    return mask


def _visible(crop: Float32Array, source: Float32Array, target: Float32Array) -> Float32Array:
    """Where nothing hides the face: (S, S) in [0, 1].

    The nearer of both decodings counts, for where the source's values are misjudged the other one is right.
    """
    sigma = HIDDEN_BLUR * len(crop) / 128

    def distance(decoded: Float32Array) -> Float32Array:
        difference = cv2.GaussianBlur(crop - decoded, (0, 0), sigma)
        return f32(np.sqrt(np.einsum("hwc,hwc->hw", difference, difference)))

    nearest = np.minimum(distance(source), distance(target))
    return 1 - smoothstep(f32(cv2.dilate(nearest, np.ones((3, 3), np.uint8))), *HIDDEN)


def _blend(
    photo: UInt8Array, matrix: Float32Array, weight: Float32Array | None, addition: Float32Array
) -> None:
    """(1 - W) x photo + A, in place, where a map is not zero."""
    size = len(addition)
    inverse = cv2.invertAffineTransform(np.asarray(matrix, dtype=np.float64))
    filled = np.abs(addition).max(axis=2) + (0 if weight is None else weight)
    if not filled.any():
        return
    # Where both maps are zero, nothing changes. The outermost pixels reach half a pixel beyond their centres,
    # the others as far as they are smoothed when sampled.
    reach = 2.5 + 2 * float(np.hypot(matrix[0, 0], matrix[1, 0]))
    low, high = (
        np.array([np.flatnonzero(filled.max(axis=axis))[end] for axis in (0, 1)]) + sign * reach
        for end, sign in ((0, -1), (-1, 1))
    )
    (x0, y0), (x1, y1) = np.maximum(low, -0.5), np.minimum(high, size - 0.5)
    edge = np.array([[x, y] for x in (x0, x1) for y in (y0, y1)])
    corners = edge @ inverse[:, :2].T + inverse[:, 2]
    left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, (photo.shape[1], photo.shape[0]))
    if left >= right or top >= bottom:
        return
    to_crop = np.array(matrix, dtype=np.float32)
    to_crop[:, 2] += to_crop[:, :2] @ (left, top)
    box = photo[top:bottom, left:right]
    added = _sampled(addition, to_crop, box.shape)
    if weight is None or not weight.any():
        box[:] = cv2.add(box, added, dtype=cv2.CV_8U)
        return
    weights = cv2.merge([_sampled(weight, to_crop, box.shape)] * 3)
    kept = cv2.multiply(box, 1 - weights, dtype=cv2.CV_32F)
    box[:] = cv2.add(kept, added, dtype=cv2.CV_8U)


def _sampled(map_: Float32Array, to_crop: Float32Array, shape: tuple[int, ...]) -> Float32Array:
    """A crop-space map (S, S) or (S, S, C) at the pixels of a box of `shape` in the photo, zero beyond the
    crop; `to_crop` leads there from the box.

    Smooth when enlarged (a cubic; for large faces on a finer grid of the crop and linear from there, which
    looks the same and takes a quarter of the time), averaged when made smaller.
    """
    size = len(map_)
    scale = float(np.hypot(to_crop[0, 0], to_crop[1, 0]))
    grid, how, method = size, cv2.INTER_CUBIC, cv2.INTER_CUBIC
    if scale > 1.25:
        grid, method = max(4, round(size / scale)), cv2.INTER_AREA
    elif scale < 0.7:
        grid, how = size * (4 if scale < 0.35 else 2), cv2.INTER_LINEAR
    if grid != size:
        map_ = f32(cv2.resize(map_, (grid, grid), interpolation=method))
        # Pixel centres: x of the crop is (x + 0.5) grid / size - 0.5 on the other grid.
        ratio = grid / size
        to_crop = to_crop * np.float32(ratio)
        to_crop[:, 2] += (ratio - 1) / 2
    return f32(cv2.warpAffine(map_, to_crop, shape[1::-1], flags=how | cv2.WARP_INVERSE_MAP))
