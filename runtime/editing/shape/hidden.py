"""Where something hides the face: a hand, a microphone, hair over the brow. There an edit does not show.

The landmark network says which landmarks something hides, and what lies beyond the photo's edge is hidden,
too. Beside that the decoder knows faces, so what it cannot reconstruct is something else. It costs the edit
where it belongs, too: of a face that the decoder reconstructs badly, in odd light for instance, a part counts
as hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from aif.runtime.arrays import Float32Array
from aif.runtime.editing.shape.gain import EPSILON
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.frame import Frame
from aif.runtime.geometry.mesh import NO_MAP

_RINGS = {"mouth": dense.OUTER_LIP, "left eye": dense.LEFT_EYE, "right eye": dense.RIGHT_EYE}

# Mean absolute difference of texture and reconstruction in log units, after a blur of so many pixels of a
# 128 px texture: up to the first it is the decoder's error, from the second on something hides the face.
HIDDEN, BLUR = (0.42, 0.7), 4.0

# A landmark with less than the first probability of being seen is hidden, with the second one it is in sight.
POINT_SEEN = (0.25, 0.75)

# A mouth or an eye of which less than the first share is seen is not edited at all, nor what lies around it;
# from the second on it is edited where it is seen.
PART_SEEN = (0.6, 0.8)


@dataclass(frozen=True)
class Seen:
    """How much of a face is there to be edited, 0 to 1: float32 (S, S) of the texture, (221,) at the
    landmarks."""

    texture: Float32Array
    at_landmarks: Float32Array

    @classmethod
    def of(cls, texture_chw: Float32Array, reconstruction_chw: Float32Array, frame: Frame) -> Seen:
        """Compare a texture (3, S, S) in [0, 1] with its reconstruction."""
        size = texture_chw.shape[-1]
        share = 1 - smoothstep(disagreement(texture_chw, reconstruction_chw), *HIDDEN)
        place = np.asarray(frame.mean[None] * size, dtype=np.float32)
        at = cv2.remap(share, place, NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return cls(share, np.asarray(at, dtype=np.float32).reshape(dense.COUNT))


def disagreement(texture_chw: Float32Array, reconstruction_chw: Float32Array) -> Float32Array:
    """How far a texture is from its reconstruction, float32 (S, S) in log units; one light on all of it is
    no matter."""
    size = texture_chw.shape[-1]
    offset = np.float32(EPSILON)
    difference = np.log((texture_chw + offset) / (reconstruction_chw + offset))
    middle = difference[:, size * 3 // 10 : size * 9 // 10, size // 4 : size * 3 // 4]
    difference = difference - np.median(middle, axis=(1, 2), keepdims=True)
    blurred = cv2.GaussianBlur(difference.transpose(1, 2, 0), (0, 0), BLUR * size / 128)
    return np.asarray(np.abs(blurred).mean(axis=2), dtype=np.float32)


def visible(
    frame: Frame, points: Float32Array, seen: Float32Array | None, shape: tuple[int, ...]
) -> dict[str, Float32Array]:
    """How much of each part of a face is there to be edited: its landmarks' share of an edit, float32 (221,),
    1 beyond the part.

    Args:
        frame: knows the mean shape.
        points: (221, 2) landmarks in photo pixels.
        seen: (221,) the landmark network's probabilities; None where it does not tell.
        shape: the photo's (height, width, ...).
    """
    inside = ((points >= 0) & (points <= (shape[1] - 1, shape[0] - 1))).all(axis=1)
    there = np.asarray(inside, dtype=np.float32)
    if seen is not None:
        there *= smoothstep(seen, *POINT_SEEN)
    x, y = (frame.mean - frame.mean[dense.NOSE_TIP]).T
    around = {"mouth": y > 0, "left eye": (y <= 0) & (x <= 0), "right eye": (y <= 0) & (x > 0)}
    shares = {}
    for name, part in around.items():
        whole = smoothstep(there[_RINGS[name]].mean(keepdims=True), *PART_SEEN)
        shares[name] = np.where(part, np.minimum(there, whole), 1).astype(np.float32)
    return shares


def hidden_parts(shares: Mapping[str, Float32Array]) -> tuple[str, ...]:
    """Which of `visible`'s parts are not edited for the most part."""
    return tuple(name for name, share in shares.items() if np.mean(share[_RINGS[name]]) < 0.5)


def smoothstep(value: Float32Array, low: float, high: float) -> Float32Array:
    """0 up to `low`, 1 from `high` on, a cubic with level ends between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)
