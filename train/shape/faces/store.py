"""Faces for training, where the device can reach them: batches with everything a step needs.

On a CUDA device all of it is resident as uint8; on the CPU it stays in its (memory-mapped) arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aif.runtime.arrays import Float32Array
from aif.runtime.bundle.attributes import AttributeInfo
from aif.runtime.geometry import points as dense
from aif.train.shape.faces.known import attribute_infos
from aif.train.shape.faces.textures import Textures

# Area of a triangle over its area on the mean shape: up to the first it counts as folded away, from the
# second on as seen in full.
FOLDED, SEEN = 0.06, 0.3


@dataclass(frozen=True)
class Faces:
    """A batch on the device.

    Attributes:
        texture: (N, 3, S, S) RGB in [0, 1].
        crop: (N, 3, S, S) RGB in [0, 1].
        points: (N, 221, 2) in units of the side.
        y: (N, A), 0 or 1.
        weight: (N, 1, S, S) how much each texture pixel counts in losses.
    """

    texture: Tensor
    crop: Tensor
    points: Tensor
    y: Tensor
    weight: Tensor


class FaceStore:
    """Textures and crops of faces, ready for batches.

    Args:
        faces: textures, landmarks, labels.
        crops: uint8 (N, S, S, 3) RGB crops of the same faces.
        device: where batches go.
        infos: what the attributes are about; None = what is known by their names.
        folds: those of age (`BareSkin.folds`), if they are known.
    """

    def __init__(
        self,
        faces: Textures,
        crops: npt.NDArray[np.uint8],
        device: torch.device,
        infos: tuple[AttributeInfo, ...] | None = None,
        folds: Float32Array | None = None,
    ) -> None:
        self.attributes, self.frame, self.size = faces.attributes, faces.frame, faces.size
        self.people, self.infos = faces.people, infos or attribute_infos(faces.attributes)
        self.device, self.folds = device, folds
        self._images, self._crops, self.points, self.y = (
            torch.from_numpy(each).to(device) for each in (faces.images, crops, faces.points, faces.labels)
        )
        ids, count = faces.frame.triangle_ids(faces.size), len(faces.frame.triangles)
        self._ids = torch.from_numpy(np.where(ids < 0, count, ids)).long().to(device)
        self._triangles = torch.tensor(faces.frame.triangles, dtype=torch.int64, device=device)
        self._anchors = torch.tensor(faces.frame.anchors, device=device)
        self._usual = self._areas(torch.tensor(faces.frame.mean, device=device)[None])

    def __len__(self) -> int:
        return len(self.points)

    def batch(self, rows: Tensor, mirror: Tensor | None = None, bright: Tensor | None = None) -> Faces:
        """The faces of some rows.

        Args:
            rows: int64 (N,) on the CPU.
            mirror: bool (N,) which of them are mirrored; None = none.
            bright: (N, 1, 1, 1) factors of brightness; None = as they are.
        """
        here = rows.to(self.device)
        texture, crop = (
            images[here].permute(0, 3, 1, 2).float() / 255 for images in (self._images, self._crops)
        )
        points, y = self.points[here], self.y[here].float()
        if mirror is not None:
            chosen = mirror.to(self.device)
            pictures = chosen[:, None, None, None]
            texture = torch.where(pictures, mirrored(texture), texture)
            crop = torch.where(pictures, mirrored(crop), crop)
            points = torch.where(chosen[:, None, None], mirrored_points(points), points)
        if bright is not None:
            factor = bright.to(self.device)
            texture, crop = (texture * factor).clamp(max=1), (crop * factor).clamp(max=1)
        return Faces(texture, crop, points, y, self._visibility(points)[:, None])

    def _visibility(self, points: Tensor) -> Tensor:
        """How much of each texture pixel the photo shows, 0 where the face is folded away: (N, S, S) in
        [0, 1]; landmarks (N, 221, 2) are in units of the crop's side."""
        ratio = self._areas(points) / torch.where(self._usual == 0, 1.0, self._usual)
        seen = ((ratio - FOLDED) / (SEEN - FOLDED)).clamp(0, 1)
        padded = torch.cat([seen, torch.ones_like(seen[:, :1])], dim=1)
        return padded[:, self._ids]

    def _areas(self, points: Tensor) -> Tensor:
        vertices = torch.cat([points, self._anchors.expand(len(points), -1, -1)], dim=1)
        return signed_areas(vertices, self._triangles)


def signed_areas(vertices: Tensor, triangles: Tensor) -> Tensor:
    """Twice the signed area of each triangle: (N, T) of vertices (N, V, 2)."""
    a, b, c = vertices[:, triangles].unbind(dim=2)
    one, other = b - a, c - a
    return one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]


def mirrored(images: Tensor) -> Tensor:
    """Images (..., S, S) mirrored about the template's axis, x = S / 2 in pixels.

    The axis lies half a pixel right of the image's middle: the first column becomes a copy of the second.
    """
    turned = images.flip(-1).roll(1, -1)
    turned[..., 0] = turned[..., 1]
    return turned


def mirrored_points(points: Tensor) -> Tensor:
    """Landmarks (N, 221, 2) in units of the side, mirrored likewise."""
    order = torch.from_numpy(dense.MIRROR.copy()).to(points.device)
    turned = points[:, order]
    return torch.stack([1 - turned[..., 0], turned[..., 1]], dim=-1)
