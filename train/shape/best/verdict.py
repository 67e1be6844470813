"""The verdict network: attribute probabilities of composed crops, which edits are trained to change.

It is built like the evaluator, but is another, narrower network with another seed and trained on the training
split alone: what edits learn to please must not be what measures them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aif.train.evaluators.evaluator import (
    Evaluator,
    EvaluatorConfig,
    half_precision,
    normalise,
    resize_area,
    train_evaluator,
)

VERDICT = EvaluatorConfig(image_size=64, width=16, faces=120_000, warm_size=48, warm_share=0.5, seed=101)
"""How a verdict network is trained by default."""

BATCH = 128


class CropBatch(NamedTuple):
    """images uint8 (N, 3, S, S) RGB, y uint8 (N, A)."""

    images: Tensor
    y: Tensor


@dataclass
class CropBatches:
    """Batches of labelled crops: shuffled by a seed that changes with every pass, or in order.

    Attributes:
        crops: uint8 (N, S, S, 3) RGB.
        labels: uint8 (N, A).
        size: side in pixels that batches have.
        seed: of the shuffling, which leaves a last, smaller batch out; None = in order.
    """

    crops: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    size: int
    seed: int | None = None
    passes: int = field(default=0, init=False)

    def __iter__(self) -> Iterator[CropBatch]:
        order = np.arange(len(self.labels))
        if self.seed is not None:
            self.passes += 1
            order = np.random.default_rng([self.seed, self.passes]).permutation(order)
            order = order[: len(order) - len(order) % BATCH]
        for part in np.split(order, range(BATCH, len(order), BATCH)):
            rows = np.sort(part)
            images = torch.from_numpy(self.crops[rows]).permute(0, 3, 1, 2)
            if images.shape[-1] != self.size:
                images = resize_area(images.float(), self.size).round().to(torch.uint8)
            yield CropBatch(images, torch.from_numpy(self.labels[rows]))


def train_verdict(
    train: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
    held_out: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
    attributes: tuple[str, ...],
    out: Path,
    config: EvaluatorConfig = VERDICT,
    *,
    device: torch.device | str = "cpu",
    log: Callable[[str], None] = print,
) -> Evaluator:
    """Train a verdict network and store it in `out`, as `train_evaluator` does, which it goes on from.

    Args:
        train: crops uint8 (N, S, S, 3) RGB and labels (N, A) of the training split.
        held_out: the same of other people, for its accuracy.

    Raises:
        DataError, CheckpointError: as `train_evaluator`.
    """
    size = config.image_size * 9 // 8
    batches = CropBatches(*train, size, config.seed)
    return train_evaluator(
        batches, CropBatches(*held_out, size), attributes, out, config, device=device, log=log
    )


def logits_of(evaluator: Evaluator) -> Callable[[Tensor], Tensor]:
    """A frozen verdict network, differentiable: crops (N, 3, S, S) RGB in [0, 1] to logits (N, A)."""
    network, size = evaluator.network.requires_grad_(False), evaluator.image_size

    def logits(crops: Tensor) -> Tensor:
        with half_precision(crops.device):
            found: Tensor = network(normalise(resize_area(crops, size)))
        return found.float()

    return logits
