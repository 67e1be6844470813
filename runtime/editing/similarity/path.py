"""Whole crops: models of the paper's own kind, which decode a face crop and know no landmarks.

A network that saw well exposed faces misreads an underexposed or tinted one, and decodes its edit too bright
or in the wrong colours. Each channel's mean and contrast are therefore moved to the nearest end of the range
in which 94 of 100 training faces lie, and the decodings are moved back. Crops within it stay as they are, bit
for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.bundle.manifest import Mode
from aif.runtime.editing.edit_path import EditPath, Encoded, FaceView
from aif.runtime.editing.similarity.composite import FacePatch, composite, face_mask
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

# Percentiles 3 and 97 of 3,000 training faces (red, green, blue; 0 to 1), weighted with the crop's mask.
MEAN_RANGE = ((0.346, 0.243, 0.184), (0.775, 0.638, 0.577))
CONTRAST_RANGE = ((0.143, 0.128, 0.116), (0.357, 0.307, 0.307))

# Contrast is changed by no more than these factors: beyond, it is mostly noise.
LEAST_GAIN, MOST_GAIN = 0.5, 4.0


@dataclass(frozen=True)
class Exposure:
    """How N crops are levelled: gain x crop + offset, each float32 (N, 3, 1, 1)."""

    gain: Float32Array
    offset: Float32Array

    @classmethod
    def of(cls, crops_nchw: Float32Array) -> Exposure:
        """What the crops need, float32 (N, 3, S, S) RGB in [0, 1]; gain 1 and offset 0 for usual ones."""
        weight = face_mask(crops_nchw.shape[-1])
        weight = weight / weight.sum()
        mean = np.einsum("nchw,hw->nc", crops_nchw, weight)
        centred = crops_nchw - mean[:, :, None, None]
        contrast = np.sqrt(np.einsum("nchw,hw->nc", centred * centred, weight))
        wanted = np.clip(contrast, *np.array(CONTRAST_RANGE))
        usual = wanted == contrast
        gain = np.where(usual, 1, np.clip(wanted / np.maximum(contrast, 1e-6), LEAST_GAIN, MOST_GAIN))
        wanted_mean = np.clip(mean, *np.array(MEAN_RANGE))
        offset = np.where(usual & (wanted_mean == mean), 0, wanted_mean - gain * mean)
        return cls(*(np.asarray(each[:, :, None, None], dtype=np.float32) for each in (gain, offset)))

    def level(self, crops_nchw: Float32Array) -> Float32Array:
        """The crops as the networks should see them."""
        return np.asarray((crops_nchw * self.gain + self.offset).clip(0, 1), dtype=np.float32)

    def undo(self, images_nchw: Float32Array) -> Float32Array:
        """Pictures of levelled faces (N, 3, S, S) in the colours and exposure of their photo."""
        return np.asarray(((images_nchw - self.offset) / self.gain).clip(0, 1), dtype=np.float32)


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
        exposure = Exposure.of(crops)
        both = self.model.decode_both(encoded.encoding, source, target)
        before, after = (exposure.undo(decoded.image) for decoded in both)
        return [CropChange(*each) for each in zip(crops, before, after, strict=True)]

    def apply(
        self,
        frame_hwc_bgr: UInt8Array,
        views: Sequence[FaceView],
        changes: Sequence[CropChange],
        mode: Mode,
    ) -> UInt8Array:
        patches = [
            FacePatch(view.matrix, change.crop, change.source, change.target, strength=view.fade)
            for view, change in zip(views, changes, strict=True)
        ]
        return composite(frame_hwc_bgr, patches, mode)

    def between(self, old: CropChange, new: CropChange, share: float) -> CropChange:
        # The decodings belong to their own crop, so the newest ones count alone; z and y are averaged
        # instead.
        return new
