"""Synthetic faces: drawn pictures with independent attributes, where every edit has a known right answer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from aif.runtime.errors import DataError, UnknownAttributeError
from aif.train.data.base import FaceDataset, select_columns
from aif.train.data.synthetic_draw import ATTRIBUTES, DRAWING_VERSION, TRAITS, draw_face

VALIDATION_START = 1 << 40
"""Number of the first validation face; training faces are numbered from 0, so the two never meet."""


class SyntheticFaces(FaceDataset):
    """Faces drawn on demand, aligned to the template of `aif.runtime.geometry.align`.

    Each attribute is present in half of the faces, independently of the others and of everything else:
    background, pose, skin, lighting, eye colour, face shape, clothes. Face number i is a pure function of
    (seed, i, its attributes). Attributes that are left out of y still vary from face to face.

    Args:
        count: number of faces.
        image_size: side in pixels, at least 16.
        seed: >= 0; another seed, other faces.
        attributes: which columns y has, in this order; None for all of `ATTRIBUTES`.
        first: number of the first face; data sets with disjoint number ranges share no face.

    Raises:
        DataError: count, image_size, seed or first is out of range, or the attributes are none or repeated.
        UnknownAttributeError: an attribute cannot be drawn.
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
        given = {"count": (count, 1), "image_size": (image_size, 16), "seed": (seed, 0), "first": (first, 0)}
        for name, (value, least) in given.items():
            if value < least:
                raise DataError(f"Synthetic faces: {name} = {value} must be at least {least}.")
        columns = select_columns(attributes, ATTRIBUTES, "the synthetic faces")
        self.name = "synthetic"
        self.attributes = tuple(ATTRIBUTES[c] for c in columns)
        self._size, self._seed, self._first = image_size, seed, first
        numbers = np.arange(first, first + count, dtype=np.uint64)
        self._drawn = (uniforms(seed, numbers, len(ATTRIBUTES), stream=1) < 0.5).astype(np.uint8)
        self.labels = np.ascontiguousarray(self._drawn[:, columns])
        identity = repr((DRAWING_VERSION, count, image_size, seed, first, self.attributes))
        self.fingerprint = hashlib.sha256(identity.encode()).hexdigest()
        self._landmarks: npt.NDArray[np.float32] | None = None

    @property
    def landmarks(self) -> npt.NDArray[np.float32]:  # type: ignore[override]
        """float32 (len, 5, 2): where the parts were drawn; computed when first asked for."""
        if self._landmarks is None:
            points = [self._draw(i, self._drawn[i], paint=False)[1] for i in range(len(self))]
            self._landmarks = np.stack(points)
        return self._landmarks

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        return self._draw(index, self._drawn[index])[0]

    def file_name(self, index: int) -> str:
        return f"synthetic-{self._seed}-{self._first + index}"

    def counterfactual(self, index: int, changes: Mapping[str, int]) -> npt.NDArray[np.uint8]:
        """The same face with some attributes set to 0 or 1 and everything else as it is: uint8 (S, S, 3) RGB.

        Any of `ATTRIBUTES` may be changed, also those that are not in y.

        Raises:
            UnknownAttributeError: an attribute cannot be drawn.
            DataError: a value is neither 0 nor 1.
        """
        values = self._drawn[index].copy()
        for name, value in changes.items():
            if name not in ATTRIBUTES:
                raise UnknownAttributeError(name, ATTRIBUTES, "the synthetic faces")
            if value not in (0, 1):
                raise DataError(f"Synthetic faces are drawn with {name} = 0 or 1, not {value}.")
            values[ATTRIBUTES.index(name)] = value
        return self._draw(index, values)[0]

    def changed_region(self, index: int, name: str) -> npt.NDArray[np.bool_]:
        """Where flipping attribute `name` changes pixels of face `index`: bool (S, S)."""
        off, on = (self.counterfactual(index, {name: value}) for value in (0, 1))
        return np.asarray((off != on).any(axis=2))

    def _draw(
        self, index: int, values: npt.NDArray[np.uint8], paint: bool = True
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        if not 0 <= index < len(self):
            raise IndexError(f"face {index} of {len(self)}")
        number = np.array([self._first + index], dtype=np.uint64)
        traits = uniforms(self._seed, number, TRAITS, stream=2)[0]
        present = {name: bool(value) for name, value in zip(ATTRIBUTES, values, strict=True)}
        return draw_face(traits, present, self._size, paint=paint)


def uniforms(seed: int, numbers: npt.NDArray[np.uint64], count: int, stream: int) -> npt.NDArray[np.float64]:
    """`count` uniform numbers in [0, 1) for each of `numbers`: float64 (N, count).

    A hash of (seed, stream, number, position), the finaliser of SplitMix64 applied three times, so that any
    face can be had without drawing those before it.
    """
    key = np.frombuffer(hashlib.sha256(f"{seed}/{stream}".encode()).digest()[:8], dtype=np.uint64)
    rows = _mix(_mix(numbers ^ key)[:, None] + np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN)
    return (rows >> np.uint64(11)).astype(np.float64) * 2.0**-53


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
