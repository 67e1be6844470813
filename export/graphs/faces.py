"""Faces as a model's encoder takes them: aligned crops, or textures with their landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.faces.landmarks import DenseFaces
from aif.runtime.geometry.align import similarity_transform, transform_points
from aif.runtime.geometry.frame import Frame
from aif.runtime.geometry.points import COUNT, five_points


class Finder(Protocol):
    """What finds landmarks in aligned crops; `aif.runtime.faces.landmarks.LandmarkNet` is one."""

    def in_crops(self, crops_nhwc_bgr: UInt8Array) -> DenseFaces:
        """Landmarks of crops uint8 (N, S, S, 3), in pixels of these."""
        ...


@dataclass(frozen=True)
class Faces:
    """N faces.

    Attributes:
        images: float32 (N, 3, S, S) RGB in [0, 1]; textures, for models with shape.
        landmarks: float32 (N, 221, 2) in units of the crop's side, for models with shape; else None.
    """

    images: Float32Array
    landmarks: Float32Array | None = None

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, index: slice) -> Faces:
        """Some of them."""
        return Faces(
            np.ascontiguousarray(self.images[index]),
            None if self.landmarks is None else np.ascontiguousarray(self.landmarks[index]),
        )

    def feeds(self, index: slice = slice(None)) -> dict[str, Float32Array]:
        """The encoder's inputs by name, in the graph's order."""
        some = self.rows(index)
        return (
            {"image": some.images}
            if some.landmarks is None
            else {
                "image": some.images,
                "landmarks": some.landmarks,
            }
        )


def model_faces(
    crops_hwc: Sequence[UInt8Array], size: int, frame: Frame | None, finder: Finder | None
) -> Faces:
    """The faces of aligned crops; with a frame, those in which landmarks make a face.

    Args:
        crops_hwc: uint8 (S', S', 3) RGB each, of any size.
        size: S, side of an image in pixels.
        frame: the texture frame; None for models of the similarity crop, whose crops are of `size` already.
        finder: finds landmarks; needed with a frame.

    Raises:
        ValueError: a frame, but nothing to find landmarks with.
    """
    if frame is None:
        images = np.stack(crops_hwc) if crops_hwc else np.empty((0, size, size, 3), np.uint8)
        return Faces(_nchw(images))
    if finder is None:
        raise ValueError("textures need a landmark network")
    textures, landmarks = [], []
    for crop in crops_hwc:
        points = finder.in_crops(np.ascontiguousarray(crop[None, :, :, ::-1])).points[0]
        try:
            textures.append(frame.normalise(crop, points, size))
        except ValueError:  # no landmarks of a face
            continue
        matrix = similarity_transform(five_points(points), size)
        landmarks.append(transform_points(points, matrix) / np.float32(size))
    if not textures:
        return Faces(np.empty((0, 3, size, size), np.float32), np.empty((0, COUNT, 2), np.float32))
    return Faces(_nchw(np.stack(textures)), np.stack(landmarks))


def _nchw(images_nhwc: UInt8Array) -> Float32Array:
    images = np.ascontiguousarray(images_nhwc.transpose(0, 3, 1, 2)).astype(np.float32)
    return np.asarray(images / np.float32(255), dtype=np.float32)
