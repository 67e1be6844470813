"""Whole crops: models of the paper's own kind, which decode a face crop and know no landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.bundle.manifest import Mode
from aif.runtime.editing.edit_path import EditPath, Encoded, FaceView
from aif.runtime.editing.similarity.composite import FacePatch, composite
from aif.runtime.editing.similarity.exposure import Exposure, decode_both
from aif.runtime.faces.detect import Detection
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.runtime.geometry.align import (
    alignment_residual,
    face_crops,
    frontality,
    similarity_transform,
    template,
)
from aif.runtime.model.codes import FaceInputs


@dataclass(frozen=True)
class CropChange:
    """One face's crop, and its two decodings: float32 (3, S, S) RGB in [0, 1] each."""

    crop: Float32Array
    source: Float32Array
    target: Float32Array


class SimilarityPath(EditPath[CropChange]):
    """The photo's crop, plus the difference of two decodings, or the second of them in its place."""

    modes = ("delta", "replace")

    def look(self, frame_hwc_bgr: UInt8Array, detections: Sequence[Detection]) -> list[FaceView]:
        return [self._view(face) for face in detections]

    def view(
        self, points: Float32Array, score: float, yaw: float = 0.0, seen: Float32Array | None = None
    ) -> FaceView:
        return self._view(Detection(box_from_landmarks(points), points, score))

    def _view(self, face: Detection) -> FaceView:
        size = self.model.image_size
        matrix = similarity_transform(face.landmarks, size)
        residual = alignment_residual(face.landmarks, matrix, size)
        return FaceView(face, matrix, size, frontality(residual), None, residual)

    def look_at_crops(self, crops_nhwc_bgr: UInt8Array) -> list[FaceView]:
        # The template scales linearly with the crop's side.
        size, side = self.model.image_size, crops_nhwc_bgr.shape[1]
        matrix = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32) * np.float32(size / side)
        points = template(side)
        face = Detection(box_from_landmarks(points), points, 1.0)
        return [FaceView(face, matrix, size, 1.0, None, 0.0)] * len(crops_nhwc_bgr)

    def cut(self, frame_hwc_bgr: UInt8Array, views: Sequence[FaceView]) -> FaceInputs:
        return FaceInputs(face_crops(frame_hwc_bgr, [view.matrix for view in views], self.model.image_size))

    def encode(self, inputs: FaceInputs) -> Encoded:
        return Encoded(inputs, self.model.encode(Exposure.of(inputs.images).level(inputs.images)))

    def change(self, encoded: Encoded, source: Float32Array, target: Float32Array) -> list[CropChange]:
        crops = encoded.inputs.images
        before, after = decode_both(self.model, encoded.encoding, Exposure.of(crops), source, target)
        return [CropChange(*each) for each in zip(crops, before, after, strict=True)]

    def apply(
        self,
        frame_hwc_bgr: UInt8Array,
        views: Sequence[FaceView],
        changes: Sequence[CropChange],
        strengths: Sequence[float],
        mode: Mode,
    ) -> UInt8Array:
        patches = [
            FacePatch(view.matrix, change.crop, change.source, change.target, strength=strength)
            for view, change, strength in zip(views, changes, strengths, strict=True)
        ]
        return composite(frame_hwc_bgr, patches, mode)

    def between(self, old: CropChange, new: CropChange, share: float) -> CropChange:
        # The decodings belong to their own crop, so the newest ones count alone; z and y are averaged
        # instead.
        return new
