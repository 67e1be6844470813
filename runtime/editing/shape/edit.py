"""One face's edit as it is applied to the photo: what moves, what is tinted, and what the photo never showed.

    landmarks   photo' = warp(photo, p -> p + d_p),        d_p = p(z, y') - p(z, y)
    texture     photo' = photo' * exp(gain),               gain = log t(z, y') - log t(z, y)
    hairs       where a beard or brows darken, strand by strand: `aif.runtime.editing.shape.hairs`
    detail      photo' has its own bands amplified or softened: `aif.runtime.editing.shape.detail`
    mouth       where lips part that were shut: the decoded texture t(z, y')

All of it at the photo's own resolution and within the face's bounding box.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import cv2
import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.editing.shape.blocks import blocks, upsampled
from aif.runtime.editing.shape.detail import LOGS, SHARE, Detail, folds
from aif.runtime.editing.shape.gain import EPSILON
from aif.runtime.editing.shape.hairs import hairs_in, strands_at
from aif.runtime.editing.shape.warp import FacePlace, Warp, plan_warp
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.frame import Frame
from aif.runtime.geometry.mesh import NO_MAP

# Openings of the mouth in pixels of a 128 px crop. Where an edit opens it, the decoded inside shows from the
# first on, in full one pixel further; and less from the second on, not at all from the third, where the photo
# shows its own.
PARTED, OWN, OWN_FULLY = 1.0, 1.5, 3.5

# The decoded inside shows at this share of its brightness: lips that only just part leave it in shadow.
SHADE = 0.7

# Movements smaller than this, in units of the crop's side, and gains smaller than this, in log units, are
# none.
NO_MOVE, NO_GAIN = 1e-5, 1e-4

# A gain of this size changes 8 bits nowhere.
UNSEEN_GAIN = 1e-3

_OFFSET = np.array([255 * EPSILON] * 3 + [0])  # as OpenCV's scalars are, of four


@dataclass(frozen=True)
class ShapeEdit:
    """What changes in one face.

    Attributes:
        moves: float32 (221, 2) in units of the crop's side.
        gain: float32 (S, S, 3) RGB in log units, in the texture frame.
        detail: float32 (S/4, S/4, 3) what is added of each band of the photo's own detail, -0.75 to 0.15.
        texture: float32 (S, S, 3) RGB in [0, 1], the decoded texture of the edited face.
        hairs: how much of what darkens brows and the skin of a beard is hair that grows, 0 to 1.
    """

    moves: Float32Array
    gain: Float32Array
    detail: Float32Array
    texture: Float32Array
    hairs: float = 0.0

    def times(self, strength: float) -> ShapeEdit:
        """The edit at a share of its strength, 0 to 1."""
        if strength == 1:
            return self
        s = np.float32(strength)
        return replace(self, moves=self.moves * s, gain=self.gain * s, detail=self.detail * s)

    def where(self, share: Float32Array, frame: Frame) -> ShapeEdit:
        """The edit at a share of its strength at each landmark, (221,) in [0, 1]; between them linear."""
        texture = frame.spread(share, len(self.gain))[:, :, None]
        detail = cv2.resize(texture, self.detail.shape[1::-1], interpolation=cv2.INTER_AREA)[:, :, None]
        moves = self.moves * share[:, None]
        return replace(self, moves=moves, gain=self.gain * texture, detail=self.detail * detail)

    def towards(self, other: ShapeEdit, share: float) -> ShapeEdit:
        """The edit between this one (share 0) and another of the same face (share 1)."""
        s = np.float32(share)
        pairs = [(getattr(self, field.name), getattr(other, field.name)) for field in fields(self)]
        return ShapeEdit(*(one + s * (two - one) for one, two in pairs))

    @property
    def empty(self) -> bool:
        """Whether nothing would change."""
        return bool(np.abs(self.moves).max() < NO_MOVE and not self.tints)

    @property
    def tints(self) -> bool:
        """Whether colours or detail would change."""
        return bool(max(np.abs(self.gain).max(), np.abs(self.detail).max()) >= NO_GAIN)


def apply_edit(photo_hwc_bgr: UInt8Array, frame: Frame, place: FacePlace, edit: ShapeEdit) -> None:
    """Edit one face of a photo uint8 (H, W, 3), in place."""
    left, top, right, bottom = place.box
    if edit.empty or left >= right or top >= bottom:
        return
    if np.abs(edit.moves).max() < NO_MOVE:
        warp = plan_warp(frame, place, np.zeros_like(edit.moves))
        box = photo_hwc_bgr[top:bottom, left:right]
    else:
        warp = plan_warp(frame, place, edit.moves)
        box = warp.apply(photo_hwc_bgr)
    if edit.tints:
        tint(box, warp, edit, frame)
    alpha = mouth_alpha(place, warp)
    if alpha > 0:
        _show_mouth(box, warp, edit.texture, alpha)
    photo_hwc_bgr[top:bottom, left:right] = box


def tint(box_bgr: UInt8Array, warp: Warp, edit: ShapeEdit, frame: Frame) -> None:
    """Apply gain, hairs and detail to the box, in place: (x + e) exp(g) - e, with x in [0, 1]."""
    changes = gain = _over_box(np.ascontiguousarray(edit.gain[:, :, ::-1]), warp, 1)
    detail = hairs = None
    if edit.hairs > 0:
        hairs = strands_at(frame, warp.place.scale)
        dark = np.float32(edit.hairs) * np.maximum(-gain.mean(axis=2, keepdims=True), 0)
    if np.abs(edit.detail).max() >= NO_GAIN:
        detail = Detail.of(box_bgr, warp.place.scale, warp.step, _over_box(edit.detail, warp, SHARE))
        gain += detail.gain
        changes = np.concatenate([gain, detail.amount[:, :, :1]], axis=2)
    for block in blocks(changes, UNSEEN_GAIN, warp.step, (box_bgr.shape[0], box_bgr.shape[1])):
        logs = np.asarray(cv2.LUT(box_bgr[block], LOGS), dtype=np.float32)
        change = upsampled(gain, warp.step, block)
        if detail is not None:
            finest = folds(logs - upsampled(detail.base, warp.step, block))
            finest *= upsampled(detail.amount, warp.step, block)
            change += finest
        if hairs is not None:
            hair = hairs_in(upsampled(warp.texture_grid, warp.step, block), hairs)
            change += upsampled(dark, warp.step, block) * hair[:, :, None]
        change += logs
        box_bgr[block] = cv2.subtract(cv2.exp(change), _OFFSET, dtype=cv2.CV_8U)


def _over_box(map_hwc: Float32Array, warp: Warp, share: int) -> Float32Array:
    """A map over the texture, of a `share`th of its pixels a side, on the coarse grid over the box."""
    centre = np.float32((1 / share - 1) / 2)
    where = np.asarray(warp.texture_grid * np.float32(len(map_hwc)) + centre, dtype=np.float32)
    return np.asarray(cv2.remap(map_hwc, where, NO_MAP, cv2.INTER_LINEAR, borderValue=(0, 0, 0)), np.float32)


def mouth_alpha(place: FacePlace, warp: Warp) -> float:
    """How much of the decoded inside of the mouth shows, 0 to 1: smooth in both openings."""
    before, after = (
        float(dense.mouth_opening(points)) / place.scale for points in (place.points, warp.moved)
    )
    opens = min(max(after - before, 0.0), 1.0)
    parted = min(max(after - PARTED, 0.0), 1.0)
    own = min(max((before - OWN) / (OWN_FULLY - OWN), 0.0), 1.0)
    return opens * parted * (1 - own)


def _show_mouth(box_bgr: UInt8Array, warp: Warp, texture: Float32Array, alpha: float) -> None:
    """Blend the decoded texture in between the lips, in place."""
    left, top, *_ = warp.place.box
    lips = warp.moved[dense.INNER_LIP] - (left, top)
    sigma = 0.5 * warp.place.scale
    low = np.maximum(np.floor(lips.min(axis=0) - 3 * sigma).astype(int), 0)
    high = np.minimum(
        np.ceil(lips.max(axis=0) + 3 * sigma).astype(int) + 1, (box_bgr.shape[1], box_bgr.shape[0])
    )
    if (low >= high).any():
        return
    (x0, y0), (x1, y1) = low.tolist(), high.tolist()
    filled = np.zeros((y1 - y0, x1 - x0), dtype=np.uint8)
    cv2.fillPoly(filled, [np.round((lips - low) * 16).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4)
    cover = cv2.GaussianBlur(filled.astype(np.float32) * np.float32(alpha / 255), (0, 0), max(sigma, 0.3))
    bgr = np.ascontiguousarray(texture[:, :, ::-1])
    where = upsampled(warp.texture_grid, warp.step, (slice(y0, y1), slice(x0, x1)))
    where *= np.float32(len(texture))
    shown = cv2.remap(bgr, where, NO_MAP, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    part = box_bgr[y0:y1, x0:x1]
    mixed = part + cover[:, :, None] * (255 * SHADE * shown - part)
    part[:] = mixed.round().clip(0, 255)
