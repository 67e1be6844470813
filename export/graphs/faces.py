"""Faces as a model's encoder takes them, from aligned crops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.bundle.manifest import Manifest
from aif.runtime.faces.landmarks import LandmarkNet
from aif.runtime.geometry.align import similarity_transform, transform_points
from aif.runtime.geometry.frame import Frame
from aif.runtime.geometry.points import COUNT, five_points
from aif.runtime.model.codes import FaceInputs
from aif.train.data.base import FaceDataset
from aif.train.data.readable import readable_crops


@dataclass(frozen=True)
class FaceReader:
    """Makes the faces of one model.

    Attributes:
        size: S, side of an image in pixels.
        frame: the texture frame; None for models of the similarity crop.
        finder: finds landmarks; needed with a frame.
    """

    size: int
    frame: Frame | None = None
    finder: LandmarkNet | None = None

    def read(self, dataset: FaceDataset, indices: Iterable[int]) -> FaceInputs:
        """Faces of a dataset; damaged images are left out.

        Raises:
            DataError: too many images cannot be read.
        """
        crops = readable_crops(dataset, self.size, [int(index) for index in indices])
        return self.from_crops([crop for _, crop in crops])

    def from_crops(self, crops_hwc: list[UInt8Array]) -> FaceInputs:
        """The faces of crops; with a frame, those in which landmarks make a face.

        Args:
            crops_hwc: uint8 (S', S', 3) RGB each; of any size with a frame, else of `size`.
        """
        if self.frame is None:
            return FaceInputs(_nchw(crops_hwc, self.size))
        assert self.finder is not None
        textures: list[UInt8Array] = []
        landmarks = [np.empty((0, COUNT, 2), np.float32)]
        for crop in crops_hwc:
            points = self.finder.in_crops(np.ascontiguousarray(crop[None, :, :, ::-1])).points[0]
            try:
                textures.append(self.frame.normalise(crop, points, self.size))
            except ValueError:  # no landmarks of a face
                continue
            matrix = similarity_transform(five_points(points), self.size)
            landmarks.append(transform_points(points, matrix)[None] / np.float32(self.size))
        return FaceInputs(_nchw(textures, self.size), np.concatenate(landmarks))


def reader_of(manifest: Manifest, files: Mapping[str, bytes]) -> FaceReader:
    """The reader of a bundle's model; `files` hold its landmark network, where it has one."""
    frame, landmarks = manifest.face_frame, manifest.landmarks
    finder = None if frame is None or landmarks is None else LandmarkNet(files[landmarks.file])
    return FaceReader(manifest.image_size, frame, finder)


def _nchw(images_hwc: list[UInt8Array], size: int) -> Float32Array:
    images = np.stack(images_hwc) if images_hwc else np.empty((0, size, size, 3), np.uint8)
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32)
    return np.asarray(planes / np.float32(255), dtype=np.float32)
