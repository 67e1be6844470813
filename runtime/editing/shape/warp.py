"""Move the landmarks of a photo: in the face's bounding box only, at the photo's own resolution.

The way from the moved face back to the photo is linear in each triangle. It is computed on a coarse grid and
interpolated, but for a mouth that is shut, where it has to be exact: between lips that meet it jumps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, UInt8Array, f32
from aif.runtime.editing.shape.mouth import CLOSING, SHUT
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.align import similarity_transform, transform_points
from aif.runtime.geometry.blocks import Block, blocks, upsampled
from aif.runtime.geometry.frame import Frame
from aif.runtime.geometry.mesh import NO_MAP, evaluate, linear_fields, raster, signed_areas

# The coarse grid has about so many points along the longer side of the box.
GRID = 150

# The lips of a mouth that is shut part in full from the first distance on, in pixels of a 128 px crop, and
# lips that close are let be from the second on, or from the third, a share of what they were apart: between,
# a slit would be left, with teeth or dark.
PARTED, SLIT, HALF_OPEN = 4.5, 2.8, 0.45

# The inner edges of lips that close are taken from the first share of the lips' thickness inside them, at the
# corners, which are dark, from the second; in full where the mouth closes by `CLOSING`.
INSET, INSET_CORNER = 0.3, 0.9

# A mouth opens where it opens by so many pixels or more.
OPENING = 0.3

# Where neighbouring pixels come from further apart than this, in pixels, lips meet; there they are blurred by
# so many (standard deviation).
SEAM, SEAM_BLUR = 1.5, 0.8

# A face of fewer photo pixels to a pixel of a 128 px crop has no detail to lose: it is resampled by Lanczos.
# Of 22 faces with 10 to 30 pixels between the eyes that begin to smile 0.91 to 0.96 of the Laplacian's energy
# is kept, with a cubic 0.82 to 0.90.
SMALL = 1.0

# Offsets below this, in pixels, are none: what `cv2.remap` takes for none, too.
NO_OFFSET = 1 / 64

# What an edit leaves of a triangle's area: below the second share the movement of its corners is brought
# nearer to their neighbours', below the first by half; so many times. What folds even so is damped likewise.
UNFOLDING = [(0.15, 0.45, False)] * 16 + [(0.0, 0.1, True)] * 12

# Both areas count with this share of the mean one added: thin triangles, as at the corners of lips, may fold,
# which hardly shows; else their corners would jump.
SLACK = 0.12

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class FacePlace:
    """Where a face is in a photo.

    Attributes:
        points: float32 (221, 2) landmarks in photo pixels.
        matrix: float32 (2, 3) photo pixels to pixels of a 128 px crop.
        anchors: float32 (36, 2) the frame's ring in photo pixels.
        box: left, top, right, bottom in photo pixels, within the photo; empty where the face lies beyond it.
    """

    points: Float32Array
    matrix: Float32Array
    anchors: Float32Array
    box: Box

    @classmethod
    def of(cls, frame: Frame, points: Float32Array, shape: tuple[int, ...]) -> FacePlace:
        """The place of landmarks (221, 2) in a photo of `shape` (height, width, ...)."""
        matrix = similarity_transform(dense.five_points(points), 128)
        back = cv2.invertAffineTransform(matrix.astype(np.float64))
        anchors = transform_points(frame.anchors * 128, back)
        low = np.maximum(np.floor(anchors.min(axis=0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(anchors.max(axis=0)).astype(int) + 2, (shape[1], shape[0]))
        (left, top), (right, bottom) = low.tolist(), np.maximum(low, high).tolist()
        return cls(f32(points), matrix, anchors, (left, top, right, bottom))

    def in_photo(self, moves: Float32Array) -> Float32Array:
        """Movements (221, 2) in units of the crop's side, in photo pixels."""
        linear = np.linalg.inv(self.matrix[:, :2].astype(np.float64))
        return f32(128 * moves.astype(np.float64) @ linear.T)

    @property
    def scale(self) -> float:
        """Photo pixels to a pixel of a 128 px crop."""
        return 1 / float(np.hypot(self.matrix[0, 0], self.matrix[1, 0]))


@dataclass(frozen=True)
class Warp:
    """How a face moves, ready to be applied to its box.

    Attributes:
        place: where the face is.
        moved: float32 (221, 2) landmarks in photo pixels, after the movement.
        step: pixels of the box from point to point of a coarse grid over it.
        offsets: float32 (gh, gw, 2) how far from each of these points the photo's pixel is that comes there.
        texture_grid: float32 (gh, gw, 2) the points' places in a texture, in units of the side; -1 outside
            the face.
        lips: where these are exact: a block of the box, and its own offsets, (h, w, 2), NaN where the grid's
            hold; None where the mouth is open.
        opening: how far the mouth is open then, in pixels of a 128 px crop, before lips that near each other
            are joined.
    """

    place: FacePlace
    moved: Float32Array
    step: int
    offsets: Float32Array
    texture_grid: Float32Array
    lips: tuple[Block, Float32Array] | None = None
    opening: float = 0.0

    def apply(self, photo_hwc: UInt8Array) -> UInt8Array:
        """The photo's box with the face moved: uint8 (h, w, C), a copy."""
        left, top, right, bottom = self.place.box
        box = photo_hwc[top:bottom, left:right].copy()
        resampling = cv2.INTER_LANCZOS4 if self.place.scale < SMALL else cv2.INTER_CUBIC
        far = blocks(self.offsets, NO_OFFSET, self.step, box.shape[:2])
        parts = [(block, None) for block in far]
        for (rows, columns), exact in [*parts, *([] if self.lips is None else [self.lips])]:
            maps = upsampled(self.offsets, self.step, (rows, columns))
            if exact is not None:
                np.copyto(maps, exact, where=~np.isnan(exact))
            maps[:, :, 0] += np.arange(left + columns.start, left + columns.stop, dtype=np.float32)
            maps[:, :, 1] += np.arange(top + rows.start, top + rows.stop, dtype=np.float32)[:, None]
            box[rows, columns] = cv2.remap(
                photo_hwc, maps, NO_MAP, resampling, borderMode=cv2.BORDER_REPLICATE
            )
            if exact is not None:
                _smooth_seam(box[rows, columns], maps)
        return box

    def over_box(self, map_hwc: Float32Array, share: int = 1) -> Float32Array:
        """A map over the texture, of a `share`th of its pixels a side, on the coarse grid over the box."""
        centre = np.float32((1 / share - 1) / 2)
        where = f32(self.texture_grid * np.float32(len(map_hwc)) + centre)
        return f32(cv2.remap(map_hwc, where, NO_MAP, cv2.INTER_LINEAR, borderValue=(0, 0, 0)))


def plan_warp(frame: Frame, place: FacePlace, moves: Float32Array) -> Warp:
    """How a face moves when its landmarks move by `moves`, float32 (221, 2) in units of the crop's side.

    Lips that meet or cross are joined, and so are those that would only just part; a movement that would fold
    triangles is smoothed there.
    """
    wanted = place.points + place.in_photo(moves)
    kept = kept_shut(*(float(dense.mouth_opening(p)) / place.scale for p in (place.points, wanted)))
    wanted = joined_lips(uncrossed_lips(wanted), kept, whole=True)
    moved = place.points + _unfolded(frame, place, wanted - place.points)
    before, after = (float(dense.mouth_opening(points)) / place.scale for points in (place.points, moved))
    shut = after < SHUT
    if shut:
        moved = joined_lips(moved, 1.0)
    left, top, right, bottom = place.box
    origin = lips_inset(place.points, before, after)
    source = np.concatenate([origin, place.anchors]).astype(np.float64) - (left, top)
    target = np.concatenate([moved, place.anchors]).astype(np.float64) - (left, top)
    texture = frame.vertices(frame.mean, 1.0)
    order = frame.draw_order[int(frame.inner_mouth.sum()) :] if shut else frame.draw_order
    width, height = right - left, bottom - top
    step = max(1, round(max(width, height) / GRID))
    shape = (-(-height // step), -(-width // step))
    # Pixel centres: x of the box is step * (x + 1/2) - 1/2 on the grid.
    ids = raster((target + 0.5) / step - 0.5, order, shape)
    xs, ys = (np.arange(n, dtype=np.float32) * step + np.float32((step - 1) / 2) for n in shape[::-1])
    fields = linear_fields(target, np.concatenate([source - target, texture], axis=1), order)
    grids = [*evaluate(ids, fields, xs, ys, fill=[0, 0, -1, -1])]
    lips = None
    mouth = target[dense.OUTER_LIP]
    x0, y0 = np.maximum(np.floor(mouth.min(axis=0)).astype(int) - step, 0).tolist()
    x1, y1 = np.minimum(np.ceil(mouth.max(axis=0)).astype(int) + step + 1, (width, height)).tolist()
    if shut and x1 > x0 and y1 > y0:
        exact = raster(target - (x0, y0), order, (y1 - y0, x1 - x0))
        columns, rows = np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32)
        there = f32(cv2.merge([*evaluate(exact, fields[:, :2], columns, rows, fill=np.nan)]))
        lips = (slice(y0, y1), slice(x0, x1)), there
    return Warp(place, moved, step, f32(cv2.merge(grids[:2])), f32(cv2.merge(grids[2:])), lips, after)


def _smooth_seam(block_hwc: UInt8Array, maps: Float32Array) -> None:
    """Average neighbours where lips meet, in place: a jump between two pixels would show as stairs."""
    jumps = np.zeros(block_hwc.shape[:2], dtype=np.uint8)
    jumps[1:] = np.abs(np.diff(maps[:, :, 1], axis=0) - 1) > SEAM
    if jumps.any():
        near = cv2.dilate(jumps, np.ones((3, 3), np.uint8), anchor=(1, 1)) > 0
        block_hwc[near] = cv2.GaussianBlur(block_hwc, (0, 0), SEAM_BLUR)[near]


def lips_inset(points: Float32Array, before: float, after: float) -> Float32Array:
    """Where in the photo the inner edges of lips that close are taken from: a little into the lips.

    At the very edge there is a rim of teeth, which would be left as a bright line. Smooth in both openings,
    which are in pixels of a 128 px crop.
    """
    closing = min(max((before - after) / CLOSING, 0.0), 1.0)
    near = 1 - min(max((after - SHUT) / CLOSING, 0.0), 1.0)
    if closing * near == 0:
        return points
    inset = points.copy()
    share = np.float32(closing * near) * _INSETS[:, None]
    inset[dense.INNER_LIP] += share * (points[dense.OUTER_LIP] - points[dense.INNER_LIP])
    return inset


# From each corner of the inner lip to the third point beside it.
_INSETS = np.interp(np.arange(20), (0, 3, 7, 10, 13, 17, 20), (1, 0, 0, 1, 0, 0, 1)).astype(np.float32)
_INSETS = INSET + (INSET_CORNER - INSET) * _INSETS


def kept_shut(before: float, after: float) -> float:
    """How far lips are kept together, 0 to 1, if a mouth's opening goes from `before` to `after`, in pixels
    of a 128 px crop: those of a shut one until they part plainly, those of one that closes once it has for
    the most part."""
    was_shut = 1 - min(max(before / SHUT - 1, 0.0), 1.0)
    opens = min(max((after - before) / OPENING, 0.0), 1.0)
    closes = min(max((before - after) / CLOSING, 0.0), 1.0)
    return max(
        opens * was_shut * (1 - _ramp(after, PARTED)),
        closes * (1 - _ramp(after, max(SLIT, HALF_OPEN * before))),
    )


def _ramp(opening: float, whole: float) -> float:
    """0 for a shut mouth to 1 for an opening of `whole`, smoothly."""
    part = min(max((opening - SHUT) / (whole - SHUT), 0.0), 1.0)
    return part * part * (3 - 2 * part)


def joined_lips(points: Float32Array, share: float, whole: bool = False) -> Float32Array:
    """The landmarks with the pairs of inner lips brought together by a share of their distance each: float32
    (221, 2); or the `whole` lips, as thick as they were."""
    upper, lower = (points[lip] for lip in (dense.UPPER_LIP, dense.LOWER_LIP))
    return _nearer(points, share * (lower - upper), whole)


def uncrossed_lips(points: Float32Array) -> Float32Array:
    """The landmarks with lips that cross no longer crossing, as thick as they were: float32 (221, 2)."""
    across = points[dense.RIGHT_MOUTH] - points[dense.LEFT_MOUTH]
    down = np.array([-across[1], across[0]]) / max(float(np.linalg.norm(across)), 1e-6)
    return _nearer(points, np.minimum(dense.lip_gaps(points), 0)[:, None] * down, whole=True)


def _nearer(points: Float32Array, ways: npt.NDArray[Any], whole: bool) -> Float32Array:
    """The upper lip moved by half of `ways` (9, 2), the lower one back by the other half."""
    moved = points.copy()
    for lip, way in ((dense.UPPER_LIP, ways / 2), (dense.LOWER_LIP, -ways / 2)):
        moved[lip] += way
        if whole:
            moved[lip - dense.INNER_TO_OUTER] += way
    return moved


def _unfolded(frame: Frame, place: FacePlace, moves: Float32Array) -> Float32Array:
    """The movements (221, 2) in photo pixels, smoothed where triangles would fold, and damped where that is
    not enough; continuous in the movements."""
    triangles = frame.triangles[~frame.inner_mouth]
    before = np.concatenate([place.points, place.anchors]).astype(np.float64)
    area = signed_areas(before, triangles)
    sign, slack = np.sign(np.median(area)), SLACK * np.abs(area).mean()
    usable = area * sign > 1e-3 * np.abs(area).mean()
    smooth = np.zeros_like(before)
    smooth[: dense.COUNT] = moves
    for low, high, dampen in UNFOLDING:
        share = (sign * signed_areas(before + smooth, triangles) + slack) / (sign * area + slack)
        folds = usable * np.clip((high - share) / (high - low), 0, 1)
        if not folds.any():
            break
        weight = np.zeros(len(before))
        np.maximum.at(weight, triangles, folds[:, None])
        weight[dense.COUNT :] = 0
        smooth += weight[:, None] / 2 * ((0 if dampen else frame.around @ smooth) - smooth)
    return smooth[: dense.COUNT].astype(np.float32)
