"""Where the edit of an attribute may act: that of a nose on the nose and a little around it, nowhere else.

In faces attributes go together, big noses with beards and full lips with make-up. What an attribute is about
is known from its name, so what its edit would do elsewhere is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array
from aif.runtime.bundle.attributes import Part
from aif.runtime.editing.shape.hidden import smoothstep
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.frame import Frame

# Up to the first distance from a part, in units of the crop's side, an edit acts in full, from the second one
# on not at all.
NEAR, FAR = 0.02, 0.1


@dataclass(frozen=True)
class Regions:
    """Shares of an edit, 0 to 1, for each of A attributes: float32 (A, S, S) of the texture, (A, 221) at the
    landmarks."""

    texture: Float32Array
    at_landmarks: Float32Array

    @classmethod
    def of(cls, parts: Sequence[Sequence[Part]], frame: Frame, size: int) -> Regions:
        """Of attributes that are about these parts of the face each; about none = about all of it."""
        at = [region_share(each, frame) for each in parts]
        return cls(np.array([frame.spread(share, size) for share in at]), np.array(at))

    def shares(self, change: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Texture (S, S) and landmarks (221,) of an edit that changes attribute values by `change` (A,).

        Where several attributes change, the one that changes most counts in full, others by their share of
        its change.
        """
        weights = np.abs(change) / max(float(np.abs(change).max()), 1e-6)
        which = np.flatnonzero(weights)
        if not len(which):
            return np.zeros_like(self.texture[0]), np.zeros_like(self.at_landmarks[0])
        texture = self.texture[which] * weights[which, None, None]
        return texture.max(axis=0), (self.at_landmarks[which] * weights[which, None]).max(axis=0)


def region_share(parts: Sequence[Part], frame: Frame) -> Float32Array:
    """The share at each landmark, float32 (221,), of an edit that is about these parts of the face."""
    if not parts:
        return np.ones(dense.COUNT, dtype=np.float32)
    chosen = np.any([_PARTS[part](frame) for part in parts], axis=0)
    away = np.linalg.norm(frame.mean[:, None] - frame.mean[None, chosen], axis=2).min(axis=1)
    return 1 - smoothstep(away, NEAR, FAR)


def _rings(*rings: slice) -> Callable[[Frame], npt.NDArray[np.bool_]]:
    which = np.zeros(dense.COUNT, dtype=bool)
    for ring in rings:
        which[ring] = True
    return lambda frame: which


def _jaw(frame: Frame) -> npt.NDArray[np.bool_]:
    """What lies below the corners of the mouth."""
    return np.asarray(frame.mean[:, 1] > frame.mean[[dense.LEFT_MOUTH, dense.RIGHT_MOUTH], 1].max())


def _cheeks(frame: Frame) -> npt.NDArray[np.bool_]:
    """Skin below the eyes and above the corners of the mouth."""
    height = frame.mean[:, 1]
    below = max(height[ring].max() for ring in (dense.LEFT_EYE, dense.RIGHT_EYE))
    skin = np.zeros(dense.COUNT, dtype=bool)
    skin[dense.SKIN] = True
    return np.asarray(skin & (height > below) & ~_jaw(frame))


_PARTS: dict[Part, Callable[[Frame], npt.NDArray[np.bool_]]] = {
    "brows": _rings(dense.LEFT_BROW, dense.RIGHT_BROW),
    "eyes": _rings(dense.LEFT_EYE, dense.RIGHT_EYE),
    "nose": _rings(dense.NOSE),
    "cheeks": _cheeks,
    "mouth": _rings(dense.OUTER_LIP, dense.INNER_LIP),
    "jaw": _jaw,
}
