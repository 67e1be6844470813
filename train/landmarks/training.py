"""The landmark network: box crop in, 221 points, pose and a face probability out. Its training.

Small enough for a few milliseconds on one core, it turns a rough face box into the dense landmarks that shape
and texture need, and throws out boxes that show no face.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aif.runtime.arrays import UInt8Array
from aif.runtime.geometry import points as part
from aif.runtime.geometry.points import COUNT, LEFT_EYE, RIGHT_EYE
from aif.train.data.base import FaceDataset
from aif.train.data.dense import DenseLandmarks
from aif.train.evaluators.fitting import FitOptions, fit_samples
from aif.train.landmarks.data import LandmarkBatch, LandmarkSamples
from aif.train.landmarks.network import SEEN, LandmarkConfig, LandmarkNet, Outputs, load_landmarks
from aif.train.landmarks.others import others_in_faces
from aif.train.training.checkpoint import list_checkpoints

# Upper and lower lids of both eyes, partners that touch where an eye is shut. Rings begin at a corner.
_LIDS = [(ring.start + k, ring.start + 16 - k) for ring in (LEFT_EYE, RIGHT_EYE) for k in range(1, 8)]
_UPPER = torch.tensor([*part.UPPER_LIP.tolist(), *(upper for upper, _ in _LIDS)])
_LOWER = torch.tensor([*part.LOWER_LIP.tolist(), *(lower for _, lower in _LIDS)])

Loss = Callable[[Outputs, LandmarkBatch], Tensor]


def point_weights() -> Tensor:
    """Weight of each point in the loss: float32 (221,), mean 1. Lips and eyes count most."""
    weights = torch.full((COUNT,), 0.6)
    weights[part.OUTER_LIP] = weights[part.INNER_LIP] = 2.0
    weights[LEFT_EYE] = weights[RIGHT_EYE] = 1.8
    weights[part.LEFT_BROW] = weights[part.RIGHT_BROW] = 1.0
    return weights / weights.mean()


def landmark_loss(outputs: Outputs, batch: LandmarkBatch) -> Tensor:
    """What is minimised: smooth L1 of the points in hundredths of the crop's side, weighted by
    `point_weights`, and of the openings between lips and between lids; of the pose, a thirtieth a degree;
    and half the binary cross-entropy of the face logit, which alone counts where there is no known face.
    """
    points, pose, logit, _ = outputs
    total = 0.5 * F.binary_cross_entropy_with_logits(logit, batch.face)
    known = batch.known
    if not known.any():
        return total
    found, goal = 100 * points[known], 100 * batch.points[known]
    error = F.smooth_l1_loss(found, goal, beta=0.5, reduction="none")
    total = total + (error * point_weights()[:, None]).mean()
    opening, wanted = found[:, _UPPER] - found[:, _LOWER], goal[:, _UPPER] - goal[:, _LOWER]
    total = total + 0.3 * F.smooth_l1_loss(opening, wanted, beta=0.5)
    return total + F.smooth_l1_loss(pose[known], batch.pose[known], beta=2.0) / 30


def seen_loss(outputs: Outputs, batch: LandmarkBatch) -> Tensor:
    """The binary cross-entropy of what hides each point, of faces whose points are known."""
    weights = batch.known[:, None].float().expand_as(batch.seen)
    return F.binary_cross_entropy_with_logits(outputs[3], batch.seen, weights)


def train_landmarks(
    dataset: FaceDataset,
    dense: DenseLandmarks,
    folder: Path,
    config: LandmarkConfig | None = None,
    *,
    others: Sequence[UInt8Array] = (),
    start: Path | None = None,
    workers: int = 0,
    log: Callable[[str], None] = print,
) -> None:
    """Train on aligned faces and their dense landmarks, row by row, into checkpoints in `folder`: first the
    network, then, on its finished features, what tells hidden points.

    Interrupted, the same call goes on from its last checkpoint. `others` are cut-outs without faces;
    `start` holds checkpoints of an earlier, smaller or equal network, whose weights this one begins with.

    Raises what `fit_samples` does, DataError where the dataset is empty, or its landmarks are of another
    length, and ConfigError where the network of `start` does not fit into this one.
    """
    config = config or LandmarkConfig()
    torch.manual_seed(config.seed)
    samples = _samples(dataset, dense, config, others, log)
    network = LandmarkNet(config)
    if start is not None:
        network.take_over(load_landmarks(start)[0])
    elif not list_checkpoints(folder):
        mean, basis = fit_shapes(samples, config.shapes, config.components)
        network.mean.copy_(mean)
        network.basis.copy_(basis)
    network.to(memory_format=torch.channels_last)

    def train(
        name: str, samples: LandmarkSamples, loss: Loss, count: int, rate: float, place: Path
    ) -> nn.Module:
        options = FitOptions(name, count, rate, 0.02, rise=0.03, ema=config.ema, clip=20.0)
        return fit_samples(network, loss, samples, options, config, place, workers, log)

    rate = config.learning_rate
    whole = train(
        "landmarks", samples, landmark_loss, config.samples, rate if start is None else rate / 2, folder
    )
    network.load_state_dict(whole.state_dict())
    network.requires_grad_(False).eval()
    network.seen.requires_grad_(True).train()
    covered = LandmarkSamples(
        dataset, dense, config.input_size, config.batch_size, config.seed + 1,
        negatives=0, occluded=0.6, others=others,
    )  # fmt: skip
    count = max(config.batch_size, round(config.second * config.samples))
    train("what hides faces", covered, seen_loss, count, rate, folder / SEEN)


def _samples(
    dataset: FaceDataset,
    dense: DenseLandmarks,
    config: LandmarkConfig,
    others: Sequence[UInt8Array],
    log: Callable[[str], None],
) -> LandmarkSamples:
    """The samples of `config`, with false alarms among them."""
    searched: list[int] = []
    if config.negatives > 0:
        searched = np.random.default_rng(config.seed).permutation(len(dataset))[: config.harvest].tolist()
    false = others_in_faces(dataset, dense, searched)
    log(f"landmarks: {len(false)} false alarms in {len(searched)} faces, {len(others)} in pictures without")
    return LandmarkSamples(
        dataset, dense, config.input_size, config.batch_size, config.seed,
        negatives=config.negatives, others=[*false, *others],
    )  # fmt: skip


def fit_shapes(samples: LandmarkSamples, count: int, components: int) -> tuple[Tensor, Tensor]:
    """float32 (442,) mean and (components, 442) principal components of the points in `count` samples.

    Each direction is as long as its standard deviation; fewer samples than components leave the last 0.
    """
    chosen = (samples.sample(number) for number in range(10**9, 10**9 + count))
    points = np.stack([s.points.reshape(-1) for s in chosen if s.known] or [np.zeros(2 * COUNT, np.float32)])
    mean = points.mean(axis=0)
    _, lengths, directions = np.linalg.svd((points - mean).astype(np.float64), full_matrices=False)
    basis = np.zeros((components, 2 * COUNT), dtype=np.float32)
    kept = min(components, len(lengths))
    basis[:kept] = directions[:kept] * (lengths[:kept, None] / math.sqrt(len(points)))
    return torch.from_numpy(mean), torch.from_numpy(basis)
