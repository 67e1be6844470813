"""The pictures that a training of edits shows of itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from aif.train.shape.best.compose import Composer, Where
from aif.train.shape.best.networks import ShapeDecoder, ShapeEncoder
from aif.train.shape.faces.store import FaceStore

SAMPLES = 6
"""Faces that a training shows."""


@torch.no_grad()
def sample_grid(encoder: ShapeEncoder, decoder: ShapeDecoder, store: FaceStore) -> npt.NDArray[np.uint8]:
    """One row a face: the crop, the decoded texture, then each attribute set to its other value.

    uint8 (H, W, 3) RGB. The networks are used as they are (pass them in eval mode).
    """
    rows = torch.arange(min(SAMPLES, len(store)))
    faces = store.batch(rows)
    composer = Composer(store.frame, store.size, device=store.device, folds=store.folds)
    where = Where.of(store.infos, store.frame, store.size, store.device)
    code = encoder(faces.texture, faces.points)
    before = decoder.decode(code.mean, code.y)
    columns = [faces.crop, before.texture]
    for number in range(len(store.attributes)):
        y = code.y.clone()
        y[:, number] = 1 - y[:, number].round().clamp(0, 1)
        here = where.rows(torch.full((len(rows),), number), y[:, number])
        edit = composer.edit(before, decoder.decode(code.mean, y), faces.texture, here)
        columns.append(composer(faces.crop, faces.points, edit))
    picture = torch.cat(columns, dim=3).permute(0, 2, 3, 1).reshape(-1, store.size * len(columns), 3)
    return np.asarray((picture.cpu() * 255).round().clamp(0, 255).to(torch.uint8).numpy())
