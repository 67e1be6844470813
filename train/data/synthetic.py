"""Synthetic faces: drawn pictures with independent attributes, where every edit has a known right answer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from aif.runtime.errors import DataError, UnknownAttributeError
from aif.train.data.base import FaceDataset, select_columns
from aif.train.data.drawing import ATTRIBUTES, DRAWING_VERSION, draw_face

VALIDATION_START = 1 << 40
"""Number of the first validation face; training faces are numbered from 0, so the two never meet."""


class SyntheticFaces(FaceDataset):
    """Faces drawn on demand, aligned to the template of `aif.runtime.geometry.align`.

    Each attribute is present in half of the faces, independently of the others and of everything else. Face
    number i is a pure function of (seed, i, its attributes). Attributes that are left out of y still vary
    from face to face.

    Args:
        count: number of faces, at least 1.
        image_size: side in pixels, at least 16.
        attributes: which columns y has, in this order; None for all of `ATTRIBUTES`.
        first: number of the first face; data sets with disjoint number ranges share no face.

    Raises UnknownAttributeError where one cannot be drawn, DataError where there is none or one twice.
    """

    def __init__(
        self,
        count: int,
        image_size: int = 64,
        seed: int = 0,
        attributes: Sequence[str] | None = None,
        *,
        first: int = 0,
    ) -> None:
        columns = select_columns(attributes, ATTRIBUTES, "the synthetic faces")
        self.name = "synthetic"
        self.attributes = tuple(ATTRIBUTES[c] for c in columns)
        self._size, self._seed, self._first = image_size, seed, first
        # A generator that can start anywhere: any face can be had without those before it.
        bits = np.random.Philox(key=seed, counter=2 * first).random_raw(8 * count).reshape(count, 8)
        self._drawn = (bits[:, : len(ATTRIBUTES)] >> np.uint64(63)).astype(np.uint8)
        self.labels = np.ascontiguousarray(self._drawn[:, columns])
        identity = repr((DRAWING_VERSION, count, image_size, seed, first, self.attributes))
        self.fingerprint = hashlib.sha256(identity.encode()).hexdigest()

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        return self._draw(index, self._drawn[index])[0]

    def landmarks(self, index: int) -> npt.NDArray[np.float32]:
        """Where eyes, nose and corners of the mouth were drawn: (5, 2) in pixels."""
        return self._draw(index, self._drawn[index])[1]

    def file_name(self, index: int) -> str:
        return f"synthetic-{self._seed}-{self._first + index}"

    def counterfactual(self, index: int, changes: Mapping[str, int]) -> npt.NDArray[np.uint8]:
        """The same face with some attributes set to 0 or 1 and everything else as it is: uint8 (S, S, 3) RGB.

        Any of `ATTRIBUTES` may be changed, also those that are not in y. Raises UnknownAttributeError where
        one cannot be drawn, DataError where a value is neither 0 nor 1.
        """
        values = self._drawn[index].copy()
        for name, value in changes.items():
            if name not in ATTRIBUTES:
                raise UnknownAttributeError(name, ATTRIBUTES, "the synthetic faces")
            if value not in (0, 1):
                raise DataError(f"Synthetic faces are drawn with {name} = 0 or 1, not {value}.")
            values[ATTRIBUTES.index(name)] = value
        return self._draw(index, values)[0]

    def _draw(
        self, index: int, values: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        rng = np.random.default_rng([self._seed, 2, self._first + index])
        present = {name: bool(value) for name, value in zip(ATTRIBUTES, values, strict=True)}
        return draw_face(rng, present, self._size)
