"""The landmark network: box crop in, five points and a face probability out. Training and export.

Small enough to run in about a millisecond on one core, it turns a rough face box (OpenCV's Haar cascades
give no more) into the five points that alignment needs, and throws out boxes that show no face.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from aif.runtime.errors import CheckpointError, ConfigError, DataError, ExportError
from aif.train.data.base import FaceDataset
from aif.train.ema import Ema
from aif.train.landmark_data import LandmarkBatch, LandmarkSamples, harvest_false_boxes

PARITY_LIMIT = 1e-4


@dataclass(frozen=True)
class LandmarkConfig:
    """How a landmark network is built and trained."""

    input_size: int = 64
    """Side of its input in pixels, a multiple of 16."""
    widths: tuple[int, ...] = (16, 32, 64, 72)
    """Channels after each halving."""
    samples: int = 1_000_000
    """Training length in samples, with and without a face."""
    batch_size: int = 256
    """Samples a step."""
    learning_rate: float = 5e-3
    """Peak of the schedule of AdamW: a short linear rise, then a cosine to 0."""
    negatives: float = 0.3
    """Share of samples without a face."""
    harvest: int = 4000
    """Training faces searched for boxes that Haar cascades wrongly take for faces."""
    confidence_weight: float = 0.05
    """Weight of the face/no-face loss beside the loss of the points (in units of the crop's side)."""
    ema: float = 0.998
    """Decay of the running average of the weights, which is what is kept."""
    seed: int = 0
    """Seed of weights and samples."""

    def __post_init__(self) -> None:
        if self.input_size < 32 or self.input_size % 16:
            raise ConfigError(
                f"The landmark input must be a multiple of 16 from 32 px, got {self.input_size}."
            )
        if len(self.widths) != 4 or min(self.widths) < 1:
            raise ConfigError(f"The landmark network has four widths above 0, got {self.widths}.")
        if self.samples < self.batch_size or self.batch_size < 2:
            raise ConfigError("Train the landmark network on at least one batch of two samples.")
        if not 0 <= self.negatives < 1:
            raise ConfigError(f"The share of negatives must lie in [0, 1), got {self.negatives}.")


class _Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


class LandmarkNet(nn.Module):
    """Four halvings of a square crop, then back up to a quarter of its side, where each point has a heat map.

    A point is the mean place under the softmax of its map (integral regression; Sun et al., 2018), which
    follows the face wherever it moves in the crop. The face logit comes from the coarsest maps.
    """

    def __init__(self, input_size: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        before = 3
        for width in widths:
            down = [nn.Conv2d(before, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            stages.append(nn.Sequential(*down, _Residual(width)))
            before = width
        self.stages = nn.ModuleList(stages)
        self.up = nn.ModuleList(nn.Conv2d(high, low, 1) for low, high in pairwise(widths[1:]))
        self.merge = nn.ModuleList(_Residual(width) for width in widths[1:3])
        self.heat = nn.Conv2d(widths[1], 5, 1)
        self.face = nn.Linear(widths[3] * (input_size // 16) ** 2, 1)
        cells = input_size // 4
        centres = (torch.arange(cells) + 0.5) / cells
        self.register_buffer(
            "places", torch.stack(torch.meshgrid(centres, centres, indexing="xy"), -1).reshape(-1, 2)
        )
        self.places: Tensor

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """RGB (N, 3, S, S) in [0, 1] -> points (N, 5, 2) as fractions of the side, face logit (N,)."""
        maps = []
        x = (image - 0.45) / 0.25
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        face = self.face(x.flatten(1)).squeeze(1)
        for level in (1, 0):
            x = F.interpolate(self.up[level](x), scale_factor=2.0, mode="nearest")
            x = self.merge[level](x + maps[level + 1])
        weights = self.heat(x).flatten(2).float().softmax(dim=2)
        # a sum of products, not a matrix product: autocast would round that to half precision
        return (weights.unsqueeze(-1) * self.places).sum(dim=2), face


class _Exported(nn.Module):
    """The network as the bundle carries it: a probability in place of the logit."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        landmarks, logit = self.network(image)
        return landmarks, logit.sigmoid()


def landmark_loss(points: Tensor, logit: Tensor, batch: LandmarkBatch, confidence_weight: float) -> Tensor:
    """Smooth L1 of the points, over faces only, plus the weighted binary cross-entropy of the face logit.

    The points' loss is quadratic below a hundredth of the crop's side (a twenty-fifth of the eye distance).
    """
    face = batch.face > 0.5
    confidence = F.binary_cross_entropy_with_logits(logit, batch.face)
    if not face.any():
        return confidence_weight * confidence
    return F.smooth_l1_loss(points[face], batch.points[face], beta=0.01) + confidence_weight * confidence


def rate_factor(step: int, steps: int) -> float:
    """Factor of the learning rate at `step` of `steps`: a linear rise over 5%, along a cosine to 0."""
    rise = max(1.0, 0.05 * steps)
    return min((step + 1) / rise, 0.5 * (1 + math.cos(math.pi * step / steps)))


def train_landmarks(
    dataset: FaceDataset,
    out: Path,
    config: LandmarkConfig | None = None,
    *,
    start: Path | None = None,
    workers: int = 1,
    log_every: int = 200,
    log: Callable[[str], None] = print,
) -> Path:
    """Train on faces with landmarks; returns the checkpoint `out` (safetensors, configuration inside).

    Args:
        dataset: aligned faces with landmarks (packed faces have them).
        out: file to write.
        start: an earlier checkpoint of the same shape to go on from; None for random weights.
        workers: processes that make samples; 0 = this one.
        log_every: steps between two log lines and checkpoints (a usable network at any time).

    Raises:
        DataError: the dataset has no landmarks.
        CheckpointError: `start` cannot be read or is of another shape.
    """
    config = config or LandmarkConfig()
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    searched = rng.permutation(len(dataset))[: config.harvest if config.negatives > 0 else 0].tolist()
    false_boxes = harvest_false_boxes(dataset, searched)
    log(f"landmarks: {len(false_boxes)} false boxes found in {len(searched)} faces")
    samples = LandmarkSamples(
        dataset,
        config.input_size,
        config.batch_size,
        config.seed,
        negatives=config.negatives,
        false_boxes=false_boxes,
    )
    network = LandmarkNet(config.input_size, config.widths)
    if start is not None:
        earlier, was = load_landmarks(start)
        if (was.input_size, was.widths) != (config.input_size, config.widths):
            raise CheckpointError(f"{start} is of another shape: {was.input_size} px, widths {was.widths}.")
        network.load_state_dict(earlier.state_dict())
    network.to(memory_format=torch.channels_last)
    average = Ema(network, config.ema)
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=0.02)
    steps = config.samples // config.batch_size
    loader = DataLoader(samples, batch_size=None, sampler=range(steps), num_workers=workers)
    for step, batch in enumerate(loader, 1):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * rate_factor(step - 1, steps)
        images = (batch.images.float() / 255).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            points, logit = network(images)
        loss = landmark_loss(points.float(), logit.float(), batch, config.confidence_weight)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        average.update(network, step)
        if step % log_every == 0 or step == steps:
            _save(out, average.module, config)
            log(f"landmarks: step {step} of {steps}, loss {loss.item():.5f}")
    return out


def load_landmarks(checkpoint: Path) -> tuple[LandmarkNet, LandmarkConfig]:
    """The network in evaluation mode, and its configuration.

    Raises:
        CheckpointError: the file is missing, damaged or no landmark checkpoint.
    """
    try:
        with safe_open(checkpoint, framework="pt") as file:
            values = json.loads((file.metadata() or {})["config"])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
        config = LandmarkConfig(**{**values, "widths": tuple(values["widths"])})
        network = LandmarkNet(config.input_size, config.widths)
        network.load_state_dict(weights)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{checkpoint} is no readable landmark checkpoint ({error}).") from error
    return network.eval(), config


def export_landmarks(checkpoint: Path, path: Path) -> float:
    """Write the graph `image (N, 3, S, S) -> landmarks (N, 5, 2), confidence (N,)`; returns its parity error.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        ExportError: ONNX Runtime and PyTorch differ by more than 1e-4; nothing is written then.
    """
    network, config = load_landmarks(checkpoint)
    module = _Exported(network).eval()
    size = config.input_size
    program = torch.onnx.export(
        module,
        (torch.rand(2, 3, size, size),),
        dynamo=True,
        opset_version=20,
        input_names=["image"],
        output_names=["landmarks", "confidence"],
        dynamic_shapes={"image": {0: torch.export.Dim("N", min=1)}},
        verbose=False,
    )
    if program is None:
        raise ExportError("torch.onnx.export gave no program.")
    model = program.model_proto
    forget_origin(model.graph)
    onnx.checker.check_model(model, full_check=True)
    graph = model.SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    error = 0.0
    for count in (1, 3, 16):
        image = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(count))
        with torch.no_grad():
            expected = module(image)
        given = session.run(["landmarks", "confidence"], {"image": image.numpy()})
        error = max(
            [error, *(float(np.abs(g - e.numpy()).max()) for g, e in zip(given, expected, strict=True))]
        )
    if not error <= PARITY_LIMIT:
        raise ExportError(f"The exported landmark network differs from PyTorch by {error:.2g}.")
    beside = path.with_name(path.name + ".partial")
    beside.write_bytes(graph)
    beside.replace(path)
    return error


def forget_origin(graph: onnx.GraphProto) -> None:
    """Drop the exporter's notes, which name source files of the machine that exported."""
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""


@dataclass(frozen=True)
class LandmarkScore:
    """Held-out figures of a landmark network.

    Attributes:
        nme: mean distance of the points from the labels, in units of the distance between the eyes.
        nme_95: the 95th percentile over faces of a face's mean distance, in the same units.
        within_10: share of faces whose mean distance is below a tenth of the eye distance.
        recall: share of faces with a confidence above one half.
        rejection: share of crops without a face with a confidence of at most one half.
        faces, others: how many crops with and without a face.
    """

    nme: float
    nme_95: float
    within_10: float
    recall: float
    rejection: float
    faces: int
    others: int


@torch.no_grad()
def score_landmarks(network: nn.Module, batches: Iterable[LandmarkBatch]) -> LandmarkScore:
    """Measure a network (points as fractions, face logit) on labelled crops.

    Raises:
        DataError: there is no crop with a face, or none without.
    """
    errors: list[Tensor] = []
    faces: list[Tensor] = []
    others: list[Tensor] = []
    for batch in batches:
        points, logit = network(batch.images.float() / 255)
        face = batch.face > 0.5
        goal = batch.points[face]
        eyes = (goal[:, 1] - goal[:, 0]).norm(dim=1)
        errors.append((points[face] - goal).norm(dim=2).mean(1) / eyes)
        faces.append(logit[face] > 0)
        others.append(logit[~face] <= 0)
    error = torch.cat(errors) if errors else torch.zeros(0)
    seen, rejected = torch.cat(faces or [error]), torch.cat(others or [error])
    if not len(seen) or not len(rejected):
        raise DataError("Landmarks are measured on crops with and without a face; one kind is missing.")
    return LandmarkScore(
        nme=error.mean().item(),
        nme_95=error.quantile(0.95).item(),
        within_10=(error < 0.1).float().mean().item(),
        recall=seen.float().mean().item(),
        rejection=rejected.float().mean().item(),
        faces=len(seen),
        others=len(rejected),
    )


def _save(path: Path, network: nn.Module, config: LandmarkConfig) -> None:
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".partial")
    save_file(weights, beside, {"config": json.dumps(asdict(config))})
    beside.replace(path)
