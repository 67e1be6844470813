"""The end of the second stage: the directions of y are fitted anew, to the clean z.

While z still told the attributes, the decoder could read them there, and its own directions of y shrank. With
the clean z they are once more ridge regressions, as in the baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from aif.runtime.editing.shape.gain import EPSILON
from aif.train.progress import counted
from aif.train.shape.best.networks import ShapeDecoder, ShapeEncoder
from aif.train.shape.faces.mean_shape import open_mouths
from aif.train.shape.faces.store import FaceStore
from aif.train.shape.linear.effects import fit_maps, regress_landmarks


@torch.no_grad()
def refit(
    networks: tuple[ShapeEncoder, ShapeDecoder],
    store: FaceStore,
    rows: Tensor,
    z: Tensor,
    ridge: float,
    log: Callable[[str], None] = print,
) -> None:
    """Fit what y does to landmarks and texture in the decoder, leaving all that z does to the texture.

    Args:
        networks: encoder and decoder.
        rows: int64 (N,) faces of the store, on the CPU.
        z: (N, Z) their clean codes.
        ridge: penalty, as in `LinearConfig`.
    """
    encoder, decoder = networks
    here = rows.to(store.device)
    people = None if store.people is None else store.people[rows.numpy()]
    y, points = store.y[here].float(), store.points[here]
    moved = points.flatten(1) - decoder.movement(z)
    regress_landmarks(decoder.linear.points, (z, y), moved, ridge, people)
    opened = torch.from_numpy(open_mouths(points.cpu().numpy())).to(store.device)

    def textures() -> Iterator[tuple[Tensor, Tensor]]:
        parts = torch.split(torch.arange(len(rows)), 100)
        for part in counted(parts, "texture of y, in hundreds of faces", len(parts), log):
            texture = store.batch(rows[part]).texture
            _, tone = encoder.linear.split(texture)
            yield (texture + EPSILON).log() - tone[:, :, None, None], decoder.person(z[part])

    fit_maps(decoder.linear, y, opened, textures(), ridge, people)
