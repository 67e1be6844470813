"""The landmark network: box crop in, 221 points, pose and a face probability out. Training and export.

Small enough for a few milliseconds on one core, it turns a rough face box into the dense landmarks that shape
and texture need, and throws out boxes that show no face.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from aif.runtime.errors import CheckpointError
from aif.runtime.geometry.points import (
    COUNT,
    INNER_LIP,
    LEFT_BROW,
    LEFT_EYE,
    LOWER_LIP,
    OUTER_LIP,
    RIGHT_BROW,
    RIGHT_EYE,
    UPPER_LIP,
)
from aif.train.data.base import FaceDataset
from aif.train.data.dense import DenseLandmarks
from aif.train.landmarks.data import LandmarkBatch, LandmarkSamples, harvest_false_boxes
from aif.train.landmarks.files import load_landmarks, read_resume, resume_file, save_landmarks, write_resume
from aif.train.landmarks.network import LandmarkConfig, LandmarkNet
from aif.train.training.ema import Ema

CHECKPOINT_SECONDS = 120.0

# Upper and lower lids of both eyes, partners that touch where an eye is shut. Rings begin at a corner.
_LIDS = [(ring.start + k, ring.start + 16 - k) for ring in (LEFT_EYE, RIGHT_EYE) for k in range(1, 8)]
_UPPER = torch.tensor([*UPPER_LIP.tolist(), *(pair[0] for pair in _LIDS)])
_LOWER = torch.tensor([*LOWER_LIP.tolist(), *(pair[1] for pair in _LIDS)])


def point_weights() -> Tensor:
    """Weight of each point in the loss: float32 (221,), mean 1. Lips and eyes count most."""
    weights = torch.full((COUNT,), 0.6)
    weights[OUTER_LIP] = weights[INNER_LIP] = 2.0
    weights[LEFT_EYE] = weights[RIGHT_EYE] = 1.8
    weights[LEFT_BROW] = weights[RIGHT_BROW] = 1.0
    return weights / weights.mean()


def landmark_loss(points: Tensor, pose: Tensor, logit: Tensor, batch: LandmarkBatch) -> Tensor:
    """What is minimised: a sum of four terms.

    Smooth L1 of the points in hundredths of the crop's side, weighted by `point_weights`, quadratic below
    half a hundredth; the same of the openings between lips and between lids; smooth L1 of the pose, a
    thirtieth a degree; and half the binary cross-entropy of the face logit. The first three count known faces
    only.
    """
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


def rate_factor(step: int, steps: int) -> float:
    """Factor of the learning rate at `step` of `steps`: a linear rise over 3%, along a cosine to 0."""
    rise = max(1.0, 0.03 * steps)
    return min((step + 1) / rise, 0.5 * (1 + math.cos(math.pi * step / steps)))


def train_landmarks(
    dataset: FaceDataset,
    dense: DenseLandmarks,
    out: Path,
    config: LandmarkConfig | None = None,
    *,
    start: Path | None = None,
    workers: int = 0,
    log_every: int = 100,
    log: Callable[[str], None] = print,
) -> Path:
    """Train on aligned faces with dense landmarks; returns the checkpoint `out` (safetensors).

    Every two minutes, at the end and when interrupted, the averaged weights go to `out`, and all that is
    needed to go on beside it (`.resume`). The same call goes on from there; a longer or shorter `samples`
    bends the rate's schedule.

    Args:
        dataset: aligned faces, best with decoded images kept (`aif.train.data.cache.cached`).
        dense: their dense landmarks, row by row.
        out: file to write.
        config: None for the defaults.
        start: an earlier checkpoint of the same shape to begin with; None for random weights.
        workers: processes that make samples; 0 = this one.
        log_every: steps between two log lines.
        log: takes the lines.

    Raises:
        DataError: the dataset is empty, or its landmarks are of another length.
        CheckpointError: `start`, or what is needed to go on, cannot be read or is of another shape.
    """
    config = config or LandmarkConfig()
    torch.manual_seed(config.seed)
    samples = _samples(dataset, dense, config, log)
    network = LandmarkNet(config)
    if start is not None:
        earlier, was = load_landmarks(start)
        if was.shape != config.shape:
            raise CheckpointError(
                f"{start} is of another shape: {was.shape}, where {config.shape} is needed."
            )
        network.load_state_dict(earlier.state_dict())
    elif not resume_file(out).is_file():
        network.set_shapes(*fit_shapes(samples, config.shapes, config.components))
    network.to(memory_format=torch.channels_last)
    average = Ema(network, config.ema)
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=0.02)
    steps = config.samples // config.batch_size
    done = read_resume(out, config, network, average.module, optimizer)
    if done:
        log(f"landmarks: going on from step {done}")
    loader = DataLoader(samples, batch_size=None, sampler=range(done, steps), num_workers=workers)
    began = saved = time.monotonic()
    step, recent = done, 0.0
    try:
        for step, batch in enumerate(loader, done + 1):
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * rate_factor(step - 1, steps)
            images = (batch.images.float() / 255).contiguous(memory_format=torch.channels_last)
            points, pose, logit = network(images)
            loss = landmark_loss(points, pose, logit, batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 20.0)
            optimizer.step()
            average.update(network, step)
            recent += (loss.item() - recent) / min(step - done, 50)
            now = time.monotonic()
            if step % log_every == 0:
                pace = (step - done) * config.batch_size / (now - began)
                log(f"landmarks: step {step} of {steps}, loss {recent:.4f}, {pace:.0f} samples/s")
            if now - saved > CHECKPOINT_SECONDS:
                _save(out, config, step, network, average, optimizer)
                saved = now
    except KeyboardInterrupt:
        log(f"landmarks: interrupted at step {step}; the same command goes on from there")
        raise
    finally:
        if step:
            _save(out, config, step, network, average, optimizer)
    return out


def _samples(
    dataset: FaceDataset, dense: DenseLandmarks, config: LandmarkConfig, log: Callable[[str], None]
) -> LandmarkSamples:
    """The samples of `config`, with false boxes among them."""
    searched: list[int] = []
    if config.negatives > 0:
        searched = np.random.default_rng(config.seed).permutation(len(dataset))[: config.harvest].tolist()
    false_boxes = harvest_false_boxes(dataset, dense, searched)
    log(f"landmarks: {len(false_boxes)} false boxes found in {len(searched)} faces")
    return LandmarkSamples(
        dataset,
        dense,
        config.input_size,
        config.batch_size,
        config.seed,
        negatives=config.negatives,
        false_boxes=false_boxes,
    )


def _save(
    out: Path,
    config: LandmarkConfig,
    step: int,
    network: LandmarkNet,
    average: Ema,
    optimizer: torch.optim.Optimizer,
) -> None:
    save_landmarks(out, average.module, config)
    write_resume(out, config, step, network, average.module, optimizer)


def fit_shapes(samples: LandmarkSamples, count: int, components: int) -> tuple[Tensor, Tensor]:
    """Mean and principal components of the points in `count` samples, as the network's last layer has them.

    Returns:
        float32 (442,) mean, and (components, 442) directions, each as long as its standard deviation; fewer
        samples than components leave the last directions 0.
    """
    drawn = (samples.sample(number) for number in range(10**9, 10**9 + count))
    points = np.stack([s.points.reshape(-1) for s in drawn if s.known] or [np.zeros(2 * COUNT, np.float32)])
    mean = points.mean(axis=0)
    _, lengths, directions = np.linalg.svd((points - mean).astype(np.float64), full_matrices=False)
    basis = np.zeros((components, 2 * COUNT), dtype=np.float32)
    kept = min(components, len(lengths))
    basis[:kept] = directions[:kept] * (lengths[:kept, None] / math.sqrt(len(points)))
    return torch.from_numpy(mean), torch.from_numpy(basis)
