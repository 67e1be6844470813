"""What goes into encoder and decoder, and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array


@dataclass(frozen=True)
class FaceInputs:
    """N faces as an encoder takes them.

    Attributes:
        images: float32 (N, 3, S, S) RGB in [0, 1]; textures, for models with shape.
        landmarks: float32 (N, 221, 2) in units of the crop's side, for models with shape; else None.
    """

    images: Float32Array
    landmarks: Float32Array | None = None

    def __len__(self) -> int:
        return len(self.images)

    @staticmethod
    def joined(parts: Sequence[FaceInputs]) -> FaceInputs:
        """The faces of several, at least one, one after the other."""
        landmarks = [part.landmarks for part in parts if part.landmarks is not None]
        images = np.concatenate([part.images for part in parts])
        return FaceInputs(images, np.concatenate(landmarks) if landmarks else None)

    def rows(self, index: slice) -> FaceInputs:
        """Some of them."""
        return FaceInputs(self.images[index], None if self.landmarks is None else self.landmarks[index])

    def feeds(self) -> dict[str, Float32Array]:
        """The encoder's inputs by name, in the graph's order."""
        return {"image": self.images} | ({} if self.landmarks is None else {"landmarks": self.landmarks})


@dataclass(frozen=True)
class Encoding:
    """What the encoder makes of N faces.

    Attributes:
        z: float32 (N, Z) latent codes, the posterior means.
        y: float32 (N, A) attribute values in [0, 1].
        features: name to float32 (N, ...) of the further tensors that the decoder takes.
    """

    z: Float32Array
    y: Float32Array
    features: dict[str, Float32Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.z)

    def rows(self, index: slice | npt.NDArray[np.intp]) -> Encoding:
        """The chosen faces, in the order of `index` (repeats allowed)."""
        return Encoding(self.z[index], self.y[index], {name: f[index] for name, f in self.features.items()})

    def repeat(self, times: int) -> Encoding:
        """All faces, `times` over: rows 0..N-1, 0..N-1, ..."""
        return self.rows(np.tile(np.arange(len(self)), times))


@dataclass(frozen=True)
class Decoded:
    """What the decoder makes of N codes.

    Attributes:
        image: float32 (N, 3, S, S) RGB in [0, 1]; textures, where the model has a shape frame.
        landmarks: float32 (N, 221, 2) in units of the crop's side; None for models without shape.
        detail: float32 (N, 3, S/4, S/4) log amplitudes of the face's fine bands
            (`aif.runtime.editing.shape.detail`), the finest first; None for models without shape.
    """

    image: Float32Array
    landmarks: Float32Array | None = None
    detail: Float32Array | None = None

    @staticmethod
    def names(shaped: bool) -> tuple[str, ...]:
        """The outputs of a decoder's graph, in order."""
        return ("image", "landmarks", "detail") if shaped else ("image",)

    def __len__(self) -> int:
        return len(self.image)

    def rows(self, index: slice | npt.NDArray[np.intp]) -> Decoded:
        """The chosen faces, in the order of `index`."""
        parts = (self.landmarks, self.detail)
        return Decoded(self.image[index], *(None if part is None else part[index] for part in parts))
