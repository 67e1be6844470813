"""What an edit bares of the skin: by how much a beard goes and folds fade, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aif.runtime.arrays import Float32Array, f32
from aif.runtime.bundle.attributes import AttributeInfo, Part
from aif.runtime.editing.shape.bare_skin import BareSkin
from aif.runtime.editing.shape.folds import unfold
from aif.runtime.editing.shape.region import Regions, Seen, region_share
from aif.runtime.editing.shape.shave import shave
from aif.runtime.geometry.frame import Frame

# Where expressions fold the skin.
FOLDING: tuple[Part, ...] = ("mouth", "jaw", "cheeks")

# Faces whose value is this near to that without a beard, or without folds, have as much of it as they look.
BEARDED, FOLDED = 0.08, 0.3

# A value this near to that with a beard may still be asked to become it.
ASKED = 1e-3

_SIGNS = {0: -1, 1: 1, None: 0}


@dataclass(frozen=True)
class Baring:
    """The bare skin of a bundle, and what its A attributes have to do with it.

    Attributes:
        skin: what skin looks like without a beard; None where the bundle does not tell.
        frame: of the textures.
        bearded: float32 (A,) 1 for beards, -1 for what says that there is none, 0 for others.
        beards: float32 (A, S, S) the shares of their edits.
        unfolds: float32 (A,) 1 for those as which come folds fade, -1 for those as which go, 0 for others.
        folds: float32 (A, S, S) where.
        strengths: float32 (A, 2) what a change of the value is multiplied by, towards 0 and towards 1.
    """

    skin: BareSkin | None
    frame: Frame
    bearded: Float32Array
    beards: Float32Array
    unfolds: Float32Array
    folds: Float32Array
    strengths: Float32Array

    @classmethod
    def of(
        cls, skin: BareSkin | None, attributes: Sequence[AttributeInfo], frame: Frame, size: int
    ) -> Baring:
        """Of a manifest's attributes and textures of `size` px."""
        around = frame.spread(region_share(FOLDING, frame), size)
        everywhere = np.ones_like(around)
        return cls(
            skin,
            frame,
            np.array([_SIGNS[info.bearded] for info in attributes], np.float32),
            Regions.of(attributes, frame, size).texture,
            np.array([_SIGNS[info.unfolds] for info in attributes], np.float32),
            np.array([around if info.group == "expression" else everywhere for info in attributes]),
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
        fades folds; and where the fine detail of these goes, (S, S) in [0, 1]."""
        pores, fading, going = np.zeros_like(seen.texture), self.fades(*values), self.shaves(*values)
        if self.skin is None or (fading is None and going is None):
            return gain_hwc, pores
        shaved = shave(self.skin, texture_chw, self.frame)
        if fading is not None:
            unfolded = unfold(self.skin, texture_chw, self.frame)
            share = fading * seen.texture * (1 - shaved.strands)
            gain_hwc, pores = gain_hwc + share[:, :, None] * unfolded.gain, share * unfolded.lines
        if going is not None:
            share = going * seen.texture
            gain_hwc = gain_hwc + (share * shaved.hair)[:, :, None] * (shaved.gain - gain_hwc)
            pores = np.maximum(pores, share * shaved.strands)
        return f32(gain_hwc), f32(pores)

    def fades(self, source: Float32Array, target: Float32Array) -> Float32Array | None:
        """How far folds fade as attribute values (A,) change, float32 (S, S) in [0, 1]; None for nowhere."""
        folded = np.where(self.unfolds > 0, 1 - source, source)
        share = np.clip(self.unfolds * self._steps(source, target) / np.maximum(folded, FOLDED), 0, 1)
        return f32((self.folds * share[:, None, None]).max(axis=0)) if share.any() else None

    def shaves(self, source: Float32Array, target: Float32Array) -> Float32Array | None:
        """How much of a beard goes as attribute values (A,) change, float32 (S, S) in [0, 1], less where
        another comes or, though it is there, was asked for; None for nothing."""
        steps, had = self._steps(source, target), np.where(self.bearded > 0, source, 1 - source)
        going = np.clip(-self.bearded * steps / np.maximum(had, BEARDED), 0, 1)
        if not going.any():
            return None
        coming = np.clip(self.bearded * steps / np.maximum(1 - had, ASKED), 0, 1)
        goes, comes = ((self.beards * part[:, None, None]).max(axis=0) for part in (going, coming))
        return f32(goes * (1 - comes))

    def _steps(self, source: Float32Array, target: Float32Array) -> Float32Array:
        """How far values (A,) were asked to change, before calibration."""
        change = target - source
        return f32(change / np.where(change > 0, self.strengths[:, 1], self.strengths[:, 0]))
