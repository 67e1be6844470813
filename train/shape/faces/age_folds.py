"""Folds of age: where people in whom age is plain to see have deeper folds than young people.

    F = (prod_k max(0, o_k - y_k))^(1/K)       over K groups of people, here women and men

o_k is the mean depth of folds (`aif.runtime.editing.shape.folds.rise_over`) of the tenth of a group's old
faces in whom they are plainest, y_k that of its young ones. A mean over all old faces shows hardly any fold.
What a group alone has, a beard's shade or make-up, is none: the geometric mean leaves it out. What is plain
in some young faces, too, stays: F says where folds are when they are plain to see, not what age does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from aif.runtime.arrays import Float32Array, f32
from aif.runtime.bundle.attributes import AttributeInfo
from aif.runtime.editing.shape.bare_skin import BareSkin
from aif.runtime.editing.shape.detail import detail_mask
from aif.runtime.editing.shape.folds import nose_mask, rise_over
from aif.train.shape.faces.store import mirrored
from aif.train.shape.faces.textures import Textures

PLAINLY = 0.1
"""The share of a group's old faces whose age is plainest."""

# Faces of a group and an age that are measured, at the most, and those that are needed.
MOST, LEAST = 1_500, 100

SEX = "Male"

HIDING = ("Eyeglasses",)
"""Names of what has rims that look like folds."""


def with_age_folds(
    skin: BareSkin | None,
    faces: Textures,
    infos: Sequence[AttributeInfo],
    seed: int,
    log: Callable[[str], None] = print,
) -> BareSkin | None:
    """The skin, with the folds of age of these faces, where an attribute is about age (`unfolds`)."""
    ages = [k for k, info in enumerate(infos) if info.unfolds is not None and info.group != "expression"]
    if skin is None or not ages:
        return skin
    old = faces.labels[:, ages[0]] != infos[ages[0]].unfolds
    rng, found = np.random.default_rng(seed), []
    kinds = [[group & which for which in (old, ~old)] for group in _groups(faces, infos)]
    if (fewest := min(int(kind.sum()) for pair in kinds for kind in pair)) < LEAST:
        log(f"age brings no folds: of old or young women or men there are {fewest}, {LEAST} are needed")
        return skin
    for pair in kinds:
        rows = [np.sort(rng.permutation(np.flatnonzero(kind))[:MOST]).tolist() for kind in pair]
        log(f"folds of {len(rows[0])} old and {len(rows[1])} young faces")
        found.append(_deeper(_rises(skin, faces, rows[0]), _rises(skin, faces, rows[1]), faces))
    return replace(skin, folds=f32(np.prod(found, axis=0) ** (1 / len(found))))


def _groups(faces: Textures, infos: Sequence[AttributeInfo]) -> Iterator[npt.NDArray[np.bool_]]:
    """Women and men without beards, rims or smiles, bool (N,); all such faces where sex is not known."""
    usable, sex = np.ones(len(faces), dtype=bool), None
    for info, label in zip(infos, faces.labels.T, strict=True):
        if info.name == SEX:
            sex = label > 0
        elif info.bearded is not None:
            usable &= label != info.bearded
        elif info.unfolds is not None and info.group == "expression":
            usable &= label == info.unfolds
        elif info.name in HIDING:
            usable &= label == 0
    yield from (usable,) if sex is None else (usable & sex, usable & ~sex)


def _rises(skin: BareSkin, faces: Textures, rows: Sequence[int]) -> Float32Array:
    """How much darker than bare skin faces are, (n, S, S)."""
    textures = (f32(faces.images[row]) / np.float32(255) for row in rows)
    return np.array([rise_over(skin, texture, faces.frame)[0] for texture in textures])


def _deeper(old: Float32Array, young: Float32Array, faces: Textures) -> Float32Array:
    """How much deeper the folds of the plainly old are, (S, S), alike on both sides: at least 0, and 0 where
    no skin is."""
    where = detail_mask(faces.frame, faces.size) * (1 - nose_mask(faces.frame, faces.size))
    usual = young.mean(axis=0)

    def beyond(rises: Float32Array) -> Float32Array:
        more = torch.from_numpy(np.maximum(rises.mean(axis=0) - usual, 0) * where)
        return f32(((more + mirrored(more)) / 2).numpy())

    plain = ((old - usual) * beyond(old)).sum(axis=(1, 2))
    return beyond(old[plain >= np.quantile(plain, 1 - PLAINLY)])
