"""Textures and landmarks: edits that move and tint the photo's own pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array, f32
from aif.runtime.bundle.manifest import Mode
from aif.runtime.editing.edit_path import EditPath, Encoded, FaceView
from aif.runtime.editing.shape.bare_skin import BareSkin
from aif.runtime.editing.shape.baring import Baring
from aif.runtime.editing.shape.detail import amplified, detail_mask
from aif.runtime.editing.shape.edit import ShapeEdit, apply_edit, sum_of
from aif.runtime.editing.shape.expressions import CHANGED, natural
from aif.runtime.editing.shape.gain import dimmed, greyed, is_grey, log_gain, shallow
from aif.runtime.editing.shape.hair import HairChange, apply_hair, hair_change, own_hair
from aif.runtime.editing.shape.hairs import OwnHair, beard_area, shaven
from aif.runtime.editing.shape.makeup import makeup_gain, taken_off
from aif.runtime.editing.shape.region import EXPRESSED, Regions, Seen, Shares, hidden_parts, visible
from aif.runtime.editing.shape.skin import OwnSkin
from aif.runtime.editing.shape.warp import FacePlace
from aif.runtime.faces.detect import Detection
from aif.runtime.faces.landmarks import DenseFaces, LandmarkNet, box_from_landmarks
from aif.runtime.faces.matte import MatteNet
from aif.runtime.geometry.align import (
    alignment_residual,
    hair_fade,
    similarity_transform,
    transform_points,
    yaw_fade,
)
from aif.runtime.geometry.frame import Frame
from aif.runtime.geometry.points import COUNT, five_points, head_still
from aif.runtime.model.codes import FaceInputs
from aif.runtime.model.model import FaceModel

# At the rim of a turned face movements fade over so many landmarks, or its outline would be jagged.
SMOOTH = 3

# The landmark network's probability of a face below which there is none.
LEAST_CONFIDENCE = 0.5


@dataclass(frozen=True)
class FaceChange:
    """What changes in one face: movement and tint, and its hair's colour (None = as it is)."""

    edit: ShapeEdit
    hair: HairChange | None


class ShapePath(EditPath[FaceChange]):
    """Moves the photo's landmarks, multiplies its colours, and draws what it never showed."""

    modes = ("warp",)
    lasting = True
    net: LandmarkNet

    def __init__(self, model: FaceModel, threads: int | None = None) -> None:
        """Load the bundle's landmark network, and its matte network, if it has one."""
        super().__init__(model, threads)
        frame = model.manifest.face_frame
        assert frame is not None  # the manifest of a model with shape has one
        self.frame: Frame = frame
        self.net = LandmarkNet(model.bundle, threads)
        self.regions = Regions.of(model.manifest.attributes, frame, model.image_size)
        self.beard = beard_area(frame, model.image_size)
        skin = None if model.manifest.skin is None else BareSkin.read(model.bundle.skin_bytes())
        self.baring = Baring.of(skin, model.manifest.attributes, self.regions, frame)
        self.matte = None if model.manifest.matte is None else MatteNet(model.bundle, threads)

    def look(self, frame_hwc_bgr: UInt8Array, detections: Sequence[Detection]) -> list[FaceView]:
        # Not the box: the landmarks say how far a face is turned, too.
        found = self.net.follow(frame_hwc_bgr, [face.landmarks for face in detections])
        sure = np.flatnonzero(found.confidence >= LEAST_CONFIDENCE)
        return self._views(found, [face.score for face in detections], sure)

    def look_at_crops(self, crops_nhwc_bgr: UInt8Array) -> list[FaceView]:
        found = self.net.in_crops(crops_nhwc_bgr)
        return self._views(found, found.confidence.tolist(), range(len(found)))

    def _views(self, found: DenseFaces, scores: Sequence[float], which: Iterable[int]) -> list[FaceView]:
        return [self.view(found.points[k], scores[k], float(found.pose[k, 0]), found.seen[k]) for k in which]

    def view(
        self, points: Float32Array, score: float, yaw: float = 0.0, seen: Float32Array | None = None
    ) -> FaceView:
        five = five_points(points)
        matrix = similarity_transform(five, self.model.image_size)
        residual = alignment_residual(five, matrix, self.model.image_size)
        detection = Detection(box_from_landmarks(five), five, score)
        dense = np.asarray(points, np.float32)
        fades = yaw_fade(yaw), hair_fade(yaw)
        return FaceView(
            detection, matrix, self.model.image_size, fades[0], dense, residual, seen, yaw, fades[1]
        )

    def hidden(
        self, frame_hwc_bgr: UInt8Array, view: FaceView, change: FaceChange, of_face: bool
    ) -> tuple[str, ...]:
        assert view.points is not None  # all views of this path have them
        shares = visible(self.frame, view.points, view.seen, frame_hwc_bgr.shape) if of_face else {}
        parts, net = hidden_parts(shares), self.matte
        if net is None or change.hair is None or view.hair_fade <= 0:
            return parts
        return parts if own_hair(frame_hwc_bgr, net, view)[2] else (*parts, "hair")

    def cut(self, frame_hwc_bgr: UInt8Array, views: Sequence[FaceView]) -> FaceInputs:
        size = self.model.image_size
        textures = np.empty((len(views), 3, size, size), dtype=np.float32)
        landmarks = np.empty((len(views), COUNT, 2), dtype=np.float32)
        for texture, points, view in zip(textures, landmarks, views, strict=True):
            assert view.points is not None  # all views of this path have them
            image = self.frame.normalise(frame_hwc_bgr, view.points, size)
            texture[:] = image[:, :, ::-1].transpose(2, 0, 1)
            points[:] = transform_points(view.points, view.matrix) / np.float32(size)
        return FaceInputs(textures / np.float32(255), landmarks)

    def change(self, encoded: Encoded, source: Float32Array, target: Float32Array) -> list[FaceChange]:
        points = encoded.inputs.landmarks
        assert points is not None  # as `cut` gave them
        grey = np.array([is_grey(texture) for texture in encoded.inputs.images], dtype=bool)
        seen: list[Seen] = []
        parts: list[list[ShapeEdit]] = [[] for _ in source]
        for old, new in self.regions.steps(source, target):
            before, after = self.model.decode_both(encoded.encoding, old, new)
            # Models with shape give these.
            assert before.landmarks is not None and after.landmarks is not None
            assert before.detail is not None and after.detail is not None
            images = [greyed(image, grey) for image in (before.image, after.image)]
            seen = seen or [
                Seen.of(*each, self.frame) for each in zip(encoded.inputs.images, images[0], strict=True)
            ]
            gain = log_gain(images[0], images[1], encoded.inputs.images, self.frame).transpose(0, 2, 3, 1)
            moves = head_still(after.landmarks - before.landmarks)
            detail = amplified(after.detail - before.detail).transpose(0, 2, 3, 1)
            for k, texture in enumerate(encoded.inputs.images):
                none = np.zeros(detail.shape[1:3], dtype=np.float32)
                given = ShapeEdit(moves[k], np.ascontiguousarray(gain[k]), detail[k], pores=none)
                part = self._part(given, texture, (old[k], new[k]), seen[k])
                changed = np.abs(new[k] - old[k])[self.baring.expressions].max(initial=0)
                if changed > 0:  # little of what other edits do to the mouth, where it changes little
                    given_back = natural(points[k], part.moves) - part.moves
                    share = seen[k].at_landmarks[:, None] * np.float32(min(changed / CHANGED, 1))
                    part = replace(part, moves=part.moves + given_back * share)
                parts[k].append(part)
        found = []
        for k, texture in enumerate(encoded.inputs.images):
            values, whole = (source[k], target[k]), sum_of(parts[k])
            tint, bared = self.baring.apply(whole.gain, texture, values, seen[k])
            pores = cv2.resize(bared, whole.detail.shape[1::-1], interpolation=cv2.INTER_AREA)
            detail_left = f32(whole.detail * (1 - pores)[:, :, None])
            edit = replace(whole, gain=tint, detail=detail_left, pores=f32(pores))
            found.append(FaceChange(edit, hair_change(self.model.manifest, *values)))
        return found

    def _part(
        self,
        given: ShapeEdit,
        texture_chw: Float32Array,
        values: tuple[Float32Array, Float32Array],
        seen: Seen,
    ) -> ShapeEdit:
        """What the decoder gave between attribute values (A,), twice, where it belongs and is seen."""
        shares = self.regions.shares(values[1] - values[0])
        where, tint, hairs = shares.texture * seen.texture, given.gain, 0.0
        if where.any():  # else nothing of the face changes
            tint, hairs = self._tint(tint, texture_chw, shares, values)
        folds = detail_mask(self.frame, len(tint)) * where
        shown = cv2.resize(folds, given.detail.shape[1::-1], interpolation=cv2.INTER_AREA)
        return ShapeEdit(
            given.moves * (shares.at_landmarks * seen.at_landmarks)[:, None],
            f32(tint * where[:, :, None]),
            f32(given.detail * shown[:, :, None]),
            given.pores,
            hairs,
        )

    def _tint(
        self,
        gain_hwc: Float32Array,
        texture_chw: Float32Array,
        shares: Shares,
        values: tuple[Float32Array, Float32Array],
    ) -> tuple[Float32Array, float]:
        """A decoder's gain (S, S, 3) as it looks natural on this face's texture, with the make-up that comes
        or goes between attribute values (A,), twice; and how much of what it darkens is hair."""
        tint = dimmed(gain_hwc, shares.light, self.frame)
        if shares.shaven is not None:
            tint = shaven(tint, shares.shaven, self.frame)
        if shares.ages is not None:
            tint = shallow(tint, shares.ages)
        skin, tone = OwnSkin.of(texture_chw, self.frame), (shares.light - EXPRESSED) / (1 - EXPRESSED)
        mended = np.maximum(1 - tone, self.beard)[:, :, None]
        tint = tint + mended * (skin.keeps_colours(tint, tone) - tint)
        hairs, stubble = shares.hairs, shares.stubble
        if max(hairs, stubble) > 0:
            own = OwnHair.of(texture_chw, self.frame)
            beard = self.beard * np.float32(hairs)
            tint = own.tint(tint, np.maximum(hairs, self.beard * np.float32(stubble)), beard)
            hairs *= own.share
        tint = skin.under_highlights(tint)
        if shares.makeup is not None:
            if shares.makeup < 0:
                tint = taken_off(tint, -shares.makeup, self.beard, self.frame)
            tint = tint + makeup_gain(self.model.manifest.attributes, *values, texture_chw, self.frame)
        return tint, hairs

    def apply(
        self,
        frame_hwc_bgr: UInt8Array,
        views: Sequence[FaceView],
        changes: Sequence[FaceChange],
        mode: Mode,
    ) -> UInt8Array:
        image = frame_hwc_bgr.copy()
        for view, change in zip(views, changes, strict=True):
            assert view.points is not None  # all views of this path have them
            if change.hair is not None and self.matte is not None and view.hair_fade > 0:
                apply_hair(image, self.matte, view, change.hair.times(view.hair_fade))
            if view.fade <= 0:
                continue
            place = FacePlace.of(self.frame, view.points, image.shape)
            edit = change.edit.times(view.fade)
            parts = visible(self.frame, view.points, view.seen, image.shape)
            crop = transform_points(view.points, view.matrix) / np.float32(view.size)
            shown, facing = np.prod([*parts.values()], axis=0), self.frame.facing(crop)
            if min(shown.min(), facing.min()) < 1:
                moved = np.minimum(facing, self.frame.smoothed(facing, SMOOTH))
                edit = edit.where(shown * facing, self.frame, shown * moved)
            apply_edit(image, self.frame, place, edit)
        return image

    def between(self, old: FaceChange, new: FaceChange, share: float) -> FaceChange:
        return FaceChange(old.edit.towards(new.edit, share), new.hair)
