"""Faces without beards: mean and principal components of their skin, which beards that go uncover."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from aif.runtime.arrays import f32
from aif.runtime.bundle.attributes import AttributeInfo
from aif.runtime.editing.shape.bare_skin import SIDE, BareSkin, low_logs
from aif.runtime.editing.shape.gain import filled
from aif.runtime.geometry import points as dense
from aif.train.shape.faces.textures import Textures

# Faces that are measured, at the most, and those that are needed.
MOST, LEAST = 12_000, 300

COMPONENTS = 60

NOISE = 5.0
"""So many times the variance that the components leave counts as a pixel's noise: errors are alike in pixels
beside each other."""

# The least variance of a pixel that counts.
LEAST_VARIANCE = 1e-4

# The share of a pixel that the face has to cover.
COVERED = 0.6


def fit_bare_skin(
    faces: Textures, infos: Sequence[AttributeInfo], seed: int, log: Callable[[str], None] = print
) -> BareSkin | None:
    """The skin of those without a beard, as `bearded` of the attributes says of their labels: with Male among
    them, that of women; of all, where it says nothing. None where no edit bares skin, or there are too few.
    """
    bare = np.ones(len(faces), dtype=bool)
    for column, info in enumerate(infos):
        if info.bearded is not None:
            bare &= faces.labels[:, column] != info.bearded
    if not any(info.bares for info in infos):
        return None
    if bare.sum() < LEAST:
        log(f"no beard will be shaved, no fold fade: {bare.sum()} faces without a beard, {LEAST} are needed")
        return None
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(bare))[:MOST]
    log(f"skin of {len(rows)} faces")
    outline = filled(faces.frame.mean[dense.FACE_OVAL] * np.float32(faces.size), faces.size)
    where = cv2.resize(outline, (SIDE, SIDE), interpolation=cv2.INTER_AREA) > COVERED
    skins = np.array([low_logs(f32(faces.images[row]) / np.float32(255))[where] for row in np.sort(rows)])
    mean = skins.mean(axis=0)
    flat = (skins - mean).reshape(len(skins), -1).astype(np.float64)
    values, vectors = np.linalg.eigh(flat.T @ flat / len(flat))
    values, vectors = values[::-1], vectors[:, ::-1]
    components = vectors[:, :COMPONENTS] * np.sqrt(np.maximum(values[:COMPONENTS], 0))
    noise = NOISE * max(float(values[COMPONENTS:].mean()), LEAST_VARIANCE)
    return BareSkin(where, f32(mean), f32(components.reshape(*mean.shape, -1)), noise)
