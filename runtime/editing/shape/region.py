"""Where the edit of an attribute may act: that of a nose on the nose and a little around it, nowhere else;
and not where something hides the face: a hand, a microphone, hair over the brow.

In faces attributes go together, big noses with beards and full lips with make-up. What an attribute is about
is known from its name, so what its edit would do elsewhere is left out.

The landmark network says which landmarks something hides, and what lies beyond the photo's edge is hidden,
too. Beside that the decoder knows faces, so what it cannot reconstruct is something else. It costs the edit
where it belongs, too: of a face that the decoder reconstructs badly, in odd light for instance, a part counts
as hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, f32
from aif.runtime.bundle.attributes import AttributeInfo, Part
from aif.runtime.editing.shape.gain import EPSILON
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.frame import Frame
from aif.runtime.geometry.mesh import NO_MAP

# Up to the first distance from a part, in units of the crop's side, an edit acts in full, from the second one
# on not at all.
NEAR, FAR = 0.02, 0.1

# Where hair grows: what an edit darkens there, it darkens hair by hair; lips stay free.
HAIRY: tuple[Part, ...] = ("brows", "moustache", "beard")

# The share of broad light and shade that stays in an expression: it folds and bulges the skin, and in faces
# goes together with the photo's light, which is not the expression's.
EXPRESSED = 0.2

_HIDEABLE = {"mouth": dense.OUTER_LIP, "left eye": dense.LEFT_EYE, "right eye": dense.RIGHT_EYE}

# Mean absolute difference of texture and reconstruction in log units, after a blur of so many pixels of a
# 128 px texture: up to the first it is the decoder's error, from the second on something hides the face.
HIDDEN, BLUR = (0.42, 0.7), 4.0

# A landmark with less than the first probability of being seen is hidden, with the second one it is in sight.
POINT_SEEN = (0.25, 0.75)

# A mouth or an eye of which less than the first share is seen is not edited at all, nor what lies around it;
# from the second on it is edited where it is seen.
PART_SEEN = (0.6, 0.8)


class Shares(NamedTuple):
    """How much of an edit acts, 0 to 1: float32 (S, S) of the texture, (221,) at the landmarks; how much of
    what it darkens is hair; how much of its broad light stays (`aif.runtime.editing.shape.gain.dimmed`),
    (S, S); how much of what it darkens where beards grow may be stubble, and how much is left out, (S, S),
    None for nothing; how much of it is make-up, below 0 where that goes, None where none changes; and how
    much of it is age that comes, (S, S), None for none.
    """

    texture: Float32Array
    at_landmarks: Float32Array
    hairs: float
    light: Float32Array
    stubble: float
    shaven: Float32Array | None
    makeup: float | None
    ages: Float32Array | None


@dataclass(frozen=True)
class Regions:
    """The same for A attributes: float32 (A, S, S), (A, 221), and (A,) each of the others; `ages` is 1 for
    those as which come age comes, -1 for those as which go, and `moving` 0 for those that move nothing."""

    texture: Float32Array
    at_landmarks: Float32Array
    hairs: Float32Array
    light: Float32Array
    stubble: Float32Array
    shaven: Float32Array
    makeup: Float32Array
    ages: Float32Array
    moving: Float32Array

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
        shaven = np.array([info.shaven for info in attributes], np.float32)
        stubble = (1 - shaven) * ~np.array(expressions)
        makeup = np.array([info.makeup is not None for info in attributes], np.float32)
        ages = np.array([{0: 1, 1: -1, None: 0}[info.unfolds] for info in attributes], np.float32)
        ages *= ~np.array(expressions)
        texture *= 1 - hairs[:, None, None] * lips
        moving = np.array([not info.still for info in attributes], np.float32)
        return cls(texture, at, hairs, light, f32(stubble), shaven, makeup, ages, moving)

    def steps(self, source: Float32Array, target: Float32Array) -> list[tuple[Float32Array, Float32Array]]:
        """The way between attribute values (N, A) in steps that act on different parts: first those that are
        about all of the face, or expressions, then other skin, then hair, last what moves nothing, each from
        the values before to those after. Decoded at once, brows that come would bring a beard wherever a
        smile or age acts, and lipstick a smile. The colour of hair is no part of it."""
        acts = self.at_landmarks.any(axis=1)
        moves = acts & (self.moving > 0)
        wide = moves & ((self.at_landmarks.min(axis=1) == 1) | (self.light < 1))
        skin = wide | moves & (self.hairs == 0)
        places = [source, *(f32(np.where(which, target, source)) for which in (wide, skin, moves, acts))]
        ways = [way for way in pairwise(places) if not np.array_equal(*way)]
        return ways or [(source, places[-1])]

    def shares(self, change: Float32Array) -> Shares:
        """Of an edit that changes attribute values by `change` (A,).

        Where several attributes change, the one that changes most counts in full, others by their share of
        its change.
        """
        changes = np.abs(change) * self.at_landmarks.any(axis=1)
        weights = f32(changes / max(float(changes.max()), 1e-6))
        which = np.flatnonzero(weights)
        if not len(which):
            nowhere = np.zeros_like(self.texture[0]), np.zeros_like(self.at_landmarks[0])
            return Shares(*nowhere, hairs=0, light=nowhere[0], stubble=0, shaven=None, makeup=None, ages=None)
        texture = (self.texture[which] * weights[which, None, None]).max(axis=0)
        at_landmarks = (self.at_landmarks[which] * (weights * self.moving)[which, None]).max(axis=0)
        hairs = float((self.hairs * weights * (change > 0)).max())
        put = self.makeup * weights
        makeup = float((put * np.sign(change)).sum() / weights.sum()) if put.any() else None
        stubble = float((self.stubble * weights).max())
        bare = self._alone(weights, self.shaven * (change > 0), 1 - self.shaven, change > 0)
        ages = self._alone(weights, f32(self.ages * change > 0), 1 - np.abs(self.ages), change > 0)
        return Shares(texture, at_landmarks, hairs, self._light(weights, which), stubble, bare, makeup, ages)

    def _light(self, weights: Float32Array, which: npt.NDArray[np.intp]) -> Float32Array:
        """How much of the broad light stays at each place, (S, S): what the edits that act there need.
        Make-up is painted, so that it needs none beside others."""
        parts = self.texture[which] * weights[which, None, None]
        parts = parts / np.maximum(parts.max(axis=0), np.float32(1e-6))
        parts = parts * (self.makeup[which, None, None] == 0)
        kept = (parts * self.light[which, None, None]).max(axis=0)
        return f32(kept + (1 - parts.max(axis=0)) * (1 - kept))

    def _alone(
        self, weights: Float32Array, which: Float32Array, others: Float32Array, rising: npt.NDArray[np.bool_]
    ) -> Float32Array | None:
        """The share of some attributes (A,) in what happens at each place, (S, S): less where others act, 0
        where one grows hair; None where none of them changes."""
        if not (weights * which).any():
            return None

        def most(these: Float32Array) -> Float32Array:
            rows = np.flatnonzero(weights * these)
            shares = self.texture[rows] * (weights * these)[rows, None, None]
            return f32(shares.max(axis=0, initial=0))

        own, other = most(which), most(others * (self.makeup == 0))
        return f32(own * (1 - most(self.hairs * rising)) / np.maximum(own + other, 1e-6))


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
        share = 1 - smoothstep(_disagreement(texture_chw, reconstruction_chw), *HIDDEN)
        place = f32(frame.mean[None] * size)
        at = cv2.remap(share, place, NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return cls(share, f32(at).reshape(dense.COUNT))


def _disagreement(texture_chw: Float32Array, reconstruction_chw: Float32Array) -> Float32Array:
    """How far a texture is from its reconstruction, (S, S) in log units; one light on all is no matter."""
    size, offset = texture_chw.shape[-1], np.float32(EPSILON)
    difference = np.log((texture_chw + offset) / (reconstruction_chw + offset))
    middle = difference[:, size * 3 // 10 : size * 9 // 10, size // 4 : size * 3 // 4]
    difference = difference - np.median(middle, axis=(1, 2), keepdims=True)
    blurred = cv2.GaussianBlur(difference.transpose(1, 2, 0), (0, 0), BLUR * size / 128)
    return f32(np.abs(blurred).mean(axis=2))


def visible(
    frame: Frame, points: Float32Array, seen: Float32Array | None, shape: tuple[int, ...]
) -> dict[str, Float32Array]:
    """How much of each part of a face is there to be edited: its landmarks' share of an edit, float32 (221,),
    1 beyond the part.

    Landmarks (221, 2) are in pixels of a photo of `shape`; `seen` (221,) are the landmark network's
    probabilities, None where it does not tell.
    """
    inside = ((points >= 0) & (points <= (shape[1] - 1, shape[0] - 1))).all(axis=1)
    there = np.asarray(inside, dtype=np.float32)
    if seen is not None:
        there *= smoothstep(seen, *POINT_SEEN)
    x, y = (frame.mean - frame.mean[dense.NOSE_TIP]).T
    around = {"mouth": y > 0, "left eye": (y <= 0) & (x <= 0), "right eye": (y <= 0) & (x > 0)}
    shares = {}
    for name, part in around.items():
        whole = smoothstep(there[_HIDEABLE[name]].mean(keepdims=True), *PART_SEEN)
        shares[name] = np.where(part, np.minimum(there, whole), 1).astype(np.float32)
    return shares


def hidden_parts(shares: Mapping[str, Float32Array]) -> tuple[str, ...]:
    """Which of `visible`'s parts are not edited for the most part."""
    return tuple(name for name, share in shares.items() if np.mean(share[_HIDEABLE[name]]) < 0.5)


def smoothstep(value: Float32Array, low: float, high: float) -> Float32Array:
    """0 up to `low`, 1 from `high` on, a cubic with level ends between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return f32(t * t * (3 - 2 * t))
