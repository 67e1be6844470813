"""What attributes do to the fine bands of a face: a regression of their log energy on y.

Labels are noisy and folds run elsewhere in everybody, so that means shrink; what is decoded is a multiple of
what was measured.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import torch
from torch import nn

from aif.runtime.editing.shape.detail import SHARE, SIGMAS
from aif.runtime.editing.shape.gain import EPSILON, LUMA
from aif.train.shape.faces.textures import Textures
from aif.train.shape.linear.effects import regress
from aif.train.shape.linear.networks import LinearDecoder

FACES = 12_000
"""Faces that are used, at the most."""

AROUND = 3.0
"""Energy is averaged over so many pixels of a 128 px texture."""

LEAST = 1e-5
"""Energies, squared log units, below this are noise."""


def fit_detail(
    decoder: LinearDecoder,
    faces: Textures,
    some: np.ndarray[tuple[int], np.dtype[np.int64]],
    times: float,
    ridge: float,
) -> None:
    """Set `decoder.detail`.

    Args:
        some: rows of the faces to use.
        times: what the measured change of amplitude is multiplied with.
        ridge: penalty, as in `LinearConfig`.
    """
    rows = some[:: max(1, len(some) // FACES)]
    brightness = np.empty((len(rows), 1), dtype=np.float32)
    energy = np.empty((len(rows), decoder.detail.out_features), dtype=np.float32)
    for part in np.array_split(np.arange(len(rows)), max(1, len(rows) // 500)):
        logs = np.log(faces.images[rows[part]].astype(np.float32) / 255 @ LUMA + np.float32(EPSILON))
        brightness[part, 0] = logs.mean(axis=(1, 2))
        energy[part] = [log_energies(luma).ravel() for luma in logs]
    known = torch.from_numpy(np.concatenate([faces.labels[rows], brightness], axis=1, dtype=np.float32))
    effect = nn.Linear(known.shape[1], energy.shape[1])
    with torch.no_grad():
        regress(effect, known, torch.from_numpy(energy), ridge, faces.people_of(rows))
        decoder.detail.weight.copy_(times / 2 * effect.weight[:, :-1])


def log_energies(log_luma: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> np.ndarray:
    """Log energy of a texture's bands, (3, S/4, S/4), of its log luminance (S, S)."""
    scale = len(log_luma) / 128
    side = len(log_luma) // SHARE
    blurred = [log_luma, *(cv2.GaussianBlur(log_luma, (0, 0), sigma * scale) for sigma in SIGMAS)]
    found = []
    for fine, coarse in pairwise(blurred):
        energy = cv2.GaussianBlur((fine - coarse) ** 2, (0, 0), AROUND * scale)
        found.append(cv2.resize(np.log(energy + LEAST), (side, side), interpolation=cv2.INTER_AREA))
    return np.stack(found)
