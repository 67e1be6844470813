"""What an edit bares of the skin: by how much a beard goes and folds fade, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, f32
from aif.runtime.bundle.attributes import AttributeInfo, Part
from aif.runtime.editing.shape.bare_skin import BareSkin
from aif.runtime.editing.shape.folds import unfold
from aif.runtime.editing.shape.hairs import beard_area
from aif.runtime.editing.shape.region import Regions, Seen, region_share
from aif.runtime.editing.shape.shave import shave
from aif.runtime.geometry.frame import Frame

BoolArray = npt.NDArray[np.bool_]

# Where expressions fold the skin.
FOLDING: tuple[Part, ...] = ("mouth", "jaw", "cheeks")

# Values that are nearer than this to that without a beard, or without folds, lose a share, not all: hardly
# anybody has exactly none.
BEARDED, FOLDED = 0.08, 0.3

# A value this near to that with a beard may still be asked to become it.
ASKED = 1e-3

# From this value on a face surely has a beard.
SURE = 0.3

_SIGNS = {0: -1, 1: 1, None: 0}


@dataclass(frozen=True)
class Baring:
    """The bare skin of a bundle, and what its A attributes have to do with it.

    Attributes:
        skin: what skin looks like without a beard; None where the bundle does not tell.
        aged: float32 (S, S) folds of people in whom age is plain to see; 0 where the bundle does not tell.
        frame: of the textures.
        bearded: float32 (A,) 1 for beards, -1 for what says that there is none, 0 for others.
        beards: float32 (A, S, S) the shares of their edits.
        places: bool (A,) which of them are about a part of the face: of others, as sex, no beard comes.
        unfolds: float32 (A,) 1 for those as which come folds fade, -1 for those as which go, 0 for others.
        expressions: bool (A,) which of these fold the skin around the mouth alone, (S, S).
        strengths: float32 (A, 2) what a change of the value is multiplied by, towards 0 and towards 1.
    """

    skin: BareSkin | None
    aged: Float32Array
    frame: Frame
    bearded: Float32Array
    beards: Float32Array
    places: BoolArray
    unfolds: Float32Array
    expressions: BoolArray
    around: Float32Array
    strengths: Float32Array

    @classmethod
    def of(
        cls, skin: BareSkin | None, attributes: Sequence[AttributeInfo], regions: Regions, frame: Frame
    ) -> Baring:
        """Of a manifest's attributes and their regions."""
        size = regions.texture.shape[-1]
        known = None if skin is None else skin.folds
        aged = np.zeros((size, size), np.float32) if known is None else f32(cv2.resize(known, (size, size)))
        return cls(
            skin,
            aged,
            frame,
            np.array([_SIGNS[info.bearded] for info in attributes], np.float32),
            regions.texture,
            np.array([bool(info.region) for info in attributes]),
            np.array([_SIGNS[info.unfolds] for info in attributes], np.float32),
            np.array([info.group == "expression" for info in attributes]),
            frame.spread(region_share(FOLDING, frame), size),
            np.array([(1 - info.off, info.on) for info in attributes], np.float32),
        )

    def apply(
        self,
        gain_hwc: Float32Array,
        texture_chw: Float32Array,
        values: tuple[Float32Array, Float32Array],
        seen: Seen,
    ) -> tuple[Float32Array, Float32Array]:
        """A gain (S, S, 3) that also takes off the beard that goes between attribute values (A,), twice, and
        fades folds, or with age deepens them; and where fine detail goes, (S, S) in [0, 1]."""
        pores, fading = np.zeros_like(seen.texture), self.fading(*values)
        older = self.older(*values, FOLDED)
        going, coming = self.going_and_coming(*values)
        if self.skin is None or not (fading.any() or older > 0 or going.any()):
            return gain_hwc, pores
        if fading.any() or older > 0:  # not where a beard is or comes, which is darker than bare skin, too
            unfolded = unfold(self.skin, texture_chw, self.frame)
            share = seen.texture * (1 - self._beard(values[0])) * (1 - coming)
            gain_hwc = unfolded.apply(gain_hwc, fading * share)
            gain_hwc = unfolded.deepen(gain_hwc, np.float32(older) * share, self.aged)
            pores = fading * share * unfolded.lines
        if going.any():
            shaved = shave(self.skin, texture_chw, self.frame)
            share = going * (1 - coming) * seen.texture
            gain_hwc = gain_hwc + (share * shaved.hair)[:, :, None] * (shaved.gain - gain_hwc)
            pores = np.maximum(pores, share * shaved.strands)
        return f32(gain_hwc), f32(pores)

    def fading(self, source: Float32Array, target: Float32Array) -> Float32Array:
        """How far folds fade as attribute values (A,) change, float32 (S, S) in [0, 1]; not at all where age
        is asked for."""
        steps = self.unfolds * self._steps(source, target)
        folded = np.where(self.unfolds > 0, 1 - source, source)
        share = np.clip(np.minimum(steps, folded) / np.maximum(folded, FOLDED), 0, 1)
        mouth, all_over = (share[which].max(initial=0) for which in (self.expressions, ~self.expressions))
        return f32((1 - self.older(source, target, ASKED)) * np.maximum(mouth * self.around, all_over))

    def older(self, source: Float32Array, target: Float32Array, least: float) -> float:
        """How much of all age comes as attribute values (A,) change, 0 to 1: of what was left of youth, and
        of `least` where that was less."""
        steps = self.unfolds * self._steps(source, target)
        folded = np.where(self.unfolds > 0, 1 - source, source)
        come = np.clip(-steps / np.maximum(1 - folded, least), 0, 1)
        return float(come[~self.expressions].max(initial=0))

    def going_and_coming(
        self, source: Float32Array, target: Float32Array
    ) -> tuple[Float32Array, Float32Array]:
        """How much of a beard goes, and how much comes or, though it is there, was asked for, as attribute
        values (A,) change: float32 (S, S) in [0, 1]."""
        steps, had = (
            self.bearded * self._steps(source, target),
            np.where(self.bearded > 0, source, 1 - source),
        )
        goes = np.clip(np.minimum(-steps, had) / np.maximum(had, BEARDED), 0, 1)
        comes = self.places * np.clip(steps / np.maximum(1 - had, ASKED), 0, 1)
        return self._where(goes), self._where(comes)

    def _beard(self, source: Float32Array) -> Float32Array:
        """Where the values (A,) tell of a beard, and how surely: float32 (S, S) in [0, 1]."""
        had = np.where(self.bearded > 0, source, 1 - source) * (self.bearded != 0) * self.places
        share = np.clip(had / SURE, 0, 1)
        return self._where(share) * beard_area(self.frame, len(self.around))

    def _where(self, shares: Float32Array) -> Float32Array:
        """Where edits of attributes act at these shares (A,): float32 (S, S), the largest of them."""
        which = np.flatnonzero(shares)
        if not len(which):
            return np.zeros_like(self.around)
        return f32((self.beards[which] * shares[which, None, None]).max(axis=0))

    def _steps(self, source: Float32Array, target: Float32Array) -> Float32Array:
        """How far values (A,) were asked to change, before calibration."""
        change = target - source
        return f32(change / np.where(change > 0, self.strengths[:, 1], self.strengths[:, 0]))
