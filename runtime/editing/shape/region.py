"""Where the edit of an attribute may act: that of a nose on the nose and a little around it, nowhere else.

In faces attributes go together, big noses with beards and full lips with make-up. What an attribute is about
is known from its name, so what its edit would do elsewhere is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array
from aif.runtime.bundle.attributes import AttributeInfo, Part
from aif.runtime.editing.shape.hidden import smoothstep
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.frame import Frame

# Up to the first distance from a part, in units of the crop's side, an edit acts in full, from the second one
# on not at all.
NEAR, FAR = 0.02, 0.1


# Where hair grows: what an edit darkens there, it darkens hair by hair; lips stay free.
HAIRY: tuple[Part, ...] = ("brows", "moustache", "beard")


# The share of broad light and shade that stays in an expression: it folds and bulges the skin, and in faces
# goes together with the photo's light, which is not the expression's.
EXPRESSED = 0.2


class Shares(NamedTuple):
    """How much of an edit acts, 0 to 1: float32 (S, S) of the texture, (221,) at the landmarks; how much of
    what it darkens is hair; and how much of its broad light stays (`aif.runtime.editing.shape.gain.dimmed`).
    """

    texture: Float32Array
    at_landmarks: Float32Array
    hairs: float
    light: float


@dataclass(frozen=True)
class Regions:
    """The same for A attributes: float32 (A, S, S), (A, 221), (A,), (A,)."""

    texture: Float32Array
    at_landmarks: Float32Array
    hairs: Float32Array
    light: Float32Array

    @classmethod
    def of(cls, attributes: Sequence[AttributeInfo], frame: Frame, size: int) -> Regions:
        """Of a manifest's attributes, as their `region` and `group` say; the colour of hair acts on no part
        of the face."""
        parts = [None if info.group == "hair" else info.region for info in attributes]
        hairs = np.array([float(any(part in HAIRY for part in each or ())) for each in parts], np.float32)
        expressions = [info.group == "expression" for info in attributes]
        at = np.array([region_share(each, frame) for each in parts])
        texture = np.array([frame.spread(share, size) for share in at])
        lips = frame.mask(size, dense.OUTER_LIP, blur=1.0)
        light = np.where(expressions, np.float32(EXPRESSED), np.float32(1))
        return cls(texture * (1 - hairs[:, None, None] * lips), at, hairs, light)

    def shares(self, change: Float32Array) -> Shares:
        """Of an edit that changes attribute values by `change` (A,).

        Where several attributes change, the one that changes most counts in full, others by their share of
        its change.
        """
        changes = np.abs(change) * self.at_landmarks.any(axis=1)
        weights = changes / max(float(changes.max()), 1e-6)
        which = np.flatnonzero(weights)
        if not len(which):
            return Shares(np.zeros_like(self.texture[0]), np.zeros_like(self.at_landmarks[0]), 0.0, 0.0)
        texture = (self.texture[which] * weights[which, None, None]).max(axis=0)
        at_landmarks = (self.at_landmarks[which] * weights[which, None]).max(axis=0)
        hairs = float((self.hairs * weights * (change > 0)).max())
        return Shares(texture, at_landmarks, hairs, float((self.light * weights).max()))


def region_share(parts: Sequence[Part] | None, frame: Frame) -> Float32Array:
    """The share at each landmark, float32 (221,), of an edit that is about these parts of the face."""
    if not parts:
        return np.full(dense.COUNT, parts is not None, dtype=np.float32)
    chosen = np.any([_PARTS[part](frame) for part in parts], axis=0)
    away = np.linalg.norm(frame.mean[:, None] - frame.mean[None, chosen], axis=2).min(axis=1)
    return 1 - smoothstep(away, NEAR, FAR)


def _rings(*rings: slice) -> Callable[[Frame], npt.NDArray[np.bool_]]:
    which = np.zeros(dense.COUNT, dtype=bool)
    for ring in rings:
        which[ring] = True
    return lambda frame: which


def _moustache(frame: Frame) -> npt.NDArray[np.bool_]:
    """From the base of the nose to the upper lip's edge."""
    which = np.zeros(dense.COUNT, dtype=bool)
    which[dense.LEFT_MOUTH : dense.RIGHT_MOUTH + 1] = True
    which[dense.NOSE] = frame.mean[dense.NOSE, 1] > frame.mean[dense.NOSE_TIP, 1] + FAR / 4
    return which


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
    "moustache": _moustache,
    "beard": lambda frame: _moustache(frame) | _jaw(frame),
}
