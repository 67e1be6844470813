"""One face's edit as it is applied to the photo: what moves, what is tinted, and what is drawn.

    landmarks   photo' = warp(photo, p -> p + d_p),        d_p = p(z, y') - p(z, y)
    texture     photo' = photo' * exp(gain),               gain = log t(z, y') - log t(z, y)
    hairs       where a beard or brows darken, strand by strand: `aif.runtime.editing.shape.hairs`
    detail      photo' has its own bands amplified or softened: `aif.runtime.editing.shape.detail`
    pores       where a beard goes, or folds, the finest band is a cheek's: `aif.runtime.editing.shape.pores`
    mouth       where lips shut or part: `aif.runtime.editing.shape.mouth`; teeth stay: `.teeth`

All of it at the photo's own resolution and within the face's bounding box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array, f32
from aif.runtime.editing.shape.detail import DEEPEST, LOGS, SHARE, SOFTEST, Detail, folds
from aif.runtime.editing.shape.gain import EPSILON
from aif.runtime.editing.shape.hairs import hairs_in, strands_at
from aif.runtime.editing.shape.mouth import draw_mouth
from aif.runtime.editing.shape.pores import Pores
from aif.runtime.editing.shape.teeth import keep_teeth
from aif.runtime.editing.shape.warp import FacePlace, Warp, plan_warp
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.blocks import blocks, upsampled
from aif.runtime.geometry.frame import Frame

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
        pores: float32 (S/4, S/4) how much of the finest detail is replaced by a cheek's, 0 to 1.
        hairs: how much of what darkens brows and the skin of a beard is hair that grows, 0 to 1; all over, or
            float32 (S, S) where.
    """

    moves: Float32Array
    gain: Float32Array
    detail: Float32Array
    pores: Float32Array
    hairs: float | Float32Array = 0.0

    def times(self, strength: float) -> ShapeEdit:
        """The edit at a share of its strength, 0 to 1."""
        if strength == 1:
            return self
        s = np.float32(strength)
        pores = self.pores * s
        return replace(self, moves=self.moves * s, gain=self.gain * s, detail=self.detail * s, pores=pores)

    def where(self, share: Float32Array, frame: Frame, moved: Float32Array) -> ShapeEdit:
        """The edit at a share of its strength at each landmark, (221,) in [0, 1]; between them linear; and
        how much of its movements is left, likewise."""
        texture = frame.spread(share, len(self.gain))[:, :, None]
        coarse = cv2.resize(texture, self.detail.shape[1::-1], interpolation=cv2.INTER_AREA)
        moves, detail = self.moves * moved[:, None], self.detail * coarse[:, :, None]
        return replace(self, moves=moves, gain=self.gain * texture, detail=detail, pores=self.pores * coarse)

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
        return bool(max(np.abs(part).max() for part in (self.gain, self.detail, self.pores)) >= NO_GAIN)


def sum_of(parts: Sequence[ShapeEdit]) -> ShapeEdit:
    """Several edits of a face at once: all that they move and tint; hair is what those with hairs darken."""
    if len(parts) == 1:
        return parts[0]
    moves, gain, detail = (sum(getattr(part, name) for part in parts) for name in ("moves", "gain", "detail"))
    detail = np.clip(detail, -SOFTEST, DEEPEST)
    hairs: float | Float32Array = 0.0
    if any(np.max(part.hairs) > 0 for part in parts):
        dark = sum(part.hairs * np.maximum(-part.gain.mean(axis=2), 0) for part in parts)
        hairs = f32(np.clip(dark / np.maximum(-gain.mean(axis=2), NO_GAIN), 0, 1))
    return replace(parts[0], moves=moves, gain=gain, detail=detail, hairs=hairs)


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
    openings = float(dense.mouth_opening(place.points)) / place.scale, warp.opening
    points, moved = (f32(each - (left, top)) for each in (place.points, warp.moved))
    keep_teeth(box, photo_hwc_bgr[top:bottom, left:right], (points, moved), place.scale, openings)
    draw_mouth(box, moved, place.scale, openings)
    photo_hwc_bgr[top:bottom, left:right] = box


def tint(box_bgr: UInt8Array, warp: Warp, edit: ShapeEdit, frame: Frame) -> None:
    """Apply gain, hairs, detail and pores to the box, in place: (x + e) exp(g) - e, with x in [0, 1]."""
    gain = warp.over_box(np.ascontiguousarray(edit.gain[:, :, ::-1]))
    detail = hairs = pores = None
    finer: list[Float32Array] = []
    if np.max(edit.hairs) > 0:
        hairs = strands_at(frame, warp.place.scale)
        share = warp.over_box(edit.hairs)[:, :, None] if isinstance(edit.hairs, np.ndarray) else edit.hairs
        dark = np.float32(share) * np.maximum(-gain.mean(axis=2, keepdims=True), 0)
    if np.abs(edit.detail).max() >= NO_GAIN:
        detail = Detail.of(box_bgr, warp.place.scale, warp.step, warp.over_box(edit.detail, SHARE))
        gain += detail.gain
        finer.append(detail.amount[:, :, :1])
    if edit.pores.max() >= NO_GAIN:
        pores = Pores.of(box_bgr, warp, warp.over_box(edit.pores, SHARE), frame)
        finer.append(pores.amount[:, :, :1])
        if hairs is not None:
            dark = dark * (1 - pores.amount[:, :, :1])
    changes = np.concatenate([gain, np.max(np.abs(finer), axis=0)], axis=2) if finer else gain
    for block in blocks(changes, UNSEEN_GAIN, warp.step, (box_bgr.shape[0], box_bgr.shape[1])):
        logs = f32(cv2.LUT(box_bgr[block], LOGS))
        change = upsampled(gain, warp.step, block)
        if detail is not None:
            finest = folds(logs - upsampled(detail.base, warp.step, block))
            finest *= upsampled(detail.amount, warp.step, block)
            change += finest
        if hairs is not None:
            hair = hairs_in(upsampled(warp.texture_grid, warp.step, block), hairs)
            change += upsampled(dark, warp.step, block) * hair[:, :, None]
        if pores is not None:
            change += pores.change(logs, warp, block)
        change += logs
        box_bgr[block] = cv2.subtract(cv2.exp(change), _OFFSET, dtype=cv2.CV_8U)
