"""The evaluator: an attribute classifier trained on real images only, the judge of every edit.

It shares nothing with the editing networks: no weights, no loss, no generated image. Its own accuracy on
held-out real faces is stored beside its weights, because it is the ceiling of what it can testify.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from aif.runtime.errors import CheckpointError, ConfigError, DataError
from aif.runtime.files import replacing, write_text
from aif.runtime.networks.cpu import multiplies_bf16

WEIGHTS_FILE, SIDECAR_FILE, RESUME_FILE = "evaluator.safetensors", "evaluator.json", "resume.safetensors"


class LabelledBatch(Protocol):
    """What a loader yields: uint8 images (N, 3, S, S) RGB and labels y (N, A), 0 = absent, 1 = present."""

    @property
    def images(self) -> Tensor: ...
    @property
    def y(self) -> Tensor: ...


@dataclass(frozen=True)
class EvaluatorConfig:
    """How an evaluator is trained."""

    image_size: int = 64
    """Side of the input in pixels; crops of other sizes are resized by area."""
    width: int = 32
    """Channels of the first of four stages; each later one has twice as many."""
    faces: int = 200_000
    """Training length in faces seen."""
    warm_size: int = 40
    """Side in pixels during the first part of training, which costs less and learns the coarse shape."""
    warm_share: float = 0.6
    """Share of the training that works at `warm_size`, 0 for none."""
    learning_rate: float = 2e-3
    """Peak of the one-cycle schedule of AdamW."""
    weight_decay: float = 0.05
    """AdamW's decoupled weight decay."""
    seed: int = 0
    """Seed of weights and augmentation."""

    def __post_init__(self) -> None:
        if self.image_size < 16 or self.warm_size < 16:
            raise ConfigError(
                f"Evaluator sizes must be at least 16 px, got {self.image_size}, {self.warm_size}."
            )
        if self.width < 1:
            raise ConfigError(f"The evaluator's width must be at least 1, got {self.width}.")
        if self.faces < 1:
            raise ConfigError(f"The evaluator must see at least one face, got faces={self.faces}.")
        if not 0 <= self.warm_share <= 1:
            raise ConfigError(f"warm_share must lie in [0, 1], got {self.warm_share}.")


@dataclass(frozen=True)
class AttributeScore:
    """Held-out figures of one attribute: shares in [0, 1], and how many faces they rest on."""

    accuracy: float
    balanced_accuracy: float
    n: int
    positives: int


def evaluator_network(outputs: int, width: int = 32) -> nn.Module:
    """ResNet-18's four stages of two basic blocks after a 3x3 stem, without pooling before the last stage."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    before = width
    for stage in range(4):
        channels, stride = width << stage, 1 if stage == 0 else 2
        shortcut = (
            nn.Sequential(nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
            if stage
            else None
        )
        layers += [BasicBlock(before, channels, stride, shortcut), BasicBlock(channels, channels)]
        before = channels
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, outputs)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


class Evaluator:
    """A trained attribute classifier; see `train_evaluator` and `Evaluator.load`.

    Attributes:
        attributes: names of the columns that `predict` returns.
        accuracy: held-out accuracy on real faces by attribute, in [0, 1].
        scores: the same with balanced accuracy and counts.
        image_size: side of its input in pixels.
        network: normalised images (N, 3, S, S) -> logits (N, A).
    """

    def __init__(
        self,
        network: nn.Module,
        attributes: tuple[str, ...],
        image_size: int,
        scores: dict[str, AttributeScore] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device).eval()
        self.attributes = attributes
        self.image_size = image_size
        self.scores = dict(scores or {})
        self.accuracy = {name: score.accuracy for name, score in self.scores.items()}

    @classmethod
    def load(cls, path: Path, device: torch.device | str = "cpu") -> Evaluator:
        """Open a folder written by `train_evaluator`.

        Raises:
            CheckpointError: a file is missing, damaged or does not fit the others.
        """
        try:
            sidecar = json.loads((path / SIDECAR_FILE).read_text(encoding="utf-8"))
            attributes = tuple(sidecar["attributes"])
            scores = {name: AttributeScore(**score) for name, score in sidecar["scores"].items()}
            image_size = int(sidecar["config"]["image_size"])
            network = evaluator_network(len(attributes), int(sidecar["config"]["width"]))
            network.load_state_dict(load_file(path / WEIGHTS_FILE))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(
                f"{path} holds no readable evaluator ({error}).", "Train one with `aif fit evaluator`."
            ) from error
        return cls(network, attributes, image_size, scores, device)

    @torch.no_grad()
    def predict(self, crops_nchw: Tensor, batch_size: int = 256) -> Tensor:
        """Probability of each attribute: crops float (N, 3, S, S) RGB in [0, 1] -> float32 (N, A) in [0, 1].

        Each face is judged together with its mirror image (mean of the two logits).
        """
        if crops_nchw.ndim != 4 or crops_nchw.shape[1] != 3:
            raise ValueError(f"crops must be (N, 3, S, S), got {tuple(crops_nchw.shape)}")
        parts = [torch.zeros(0, len(self.attributes))]
        for start in range(0, len(crops_nchw), batch_size):
            crops = crops_nchw[start : start + batch_size]
            images = normalise(resize_area(crops.to(self.device).float(), self.image_size))
            with half_precision(self.device):
                logits = self.network(images) + self.network(images.flip(-1))
            parts.append((logits.float() / 2).sigmoid().cpu())
        return torch.cat(parts)


def resize_area(images: Tensor, size: int) -> Tensor:
    """Resize (N, 3, H, W) to a square of `size` px: averaging when shrinking, bilinear when growing."""
    if images.shape[-2:] == (size, size):
        return images
    if images.shape[-1] >= size and images.shape[-2] >= size:
        return F.interpolate(images, size=(size, size), mode="area")
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)


def normalise(images: Tensor) -> Tensor:
    """[0, 1] -> roughly zero mean and unit spread, in the layout that convolutions run fastest in."""
    return ((images - 0.45) / 0.25).contiguous(memory_format=torch.channels_last)


def half_precision(device: torch.device) -> torch.autocast:
    """bfloat16 autocast where the device multiplies it: several times faster, and verdicts need no more."""
    pays = device.type != "cpu" or multiplies_bf16()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=pays)


def jitter(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Mirror, turn (to 6 degrees), scale (to 8%), shift (to 4%), brightness and contrast (to 20%).

    (N, 3, H, W) in [0, 1] -> (N, 3, size, size).
    """
    n = len(images)

    def uniform(spread: float) -> Tensor:
        return (torch.rand(n, generator=generator) * 2 - 1) * spread

    images = resize_area(images, max(size, min(images.shape[-1], size * 9 // 8)))
    angle, scale = uniform(math.radians(6)), 1 + uniform(0.08)
    mirror = (torch.rand(n, generator=generator) < 0.5).float() * 2 - 1
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = [
        torch.stack([cos * mirror, -sin, uniform(0.08)], 1),
        torch.stack([sin * mirror, cos, uniform(0.08)], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [n, 3, size, size], align_corners=False)
    out = F.grid_sample(images, grid.to(images), mode="bilinear", padding_mode="border", align_corners=False)
    contrast = (1 + uniform(0.2))[:, None, None, None].to(images)
    return (out - 0.45) * contrast + 0.45 + uniform(0.1)[:, None, None, None].to(images)


def one_cycle(progress: float) -> float:
    """Factor of the learning rate at `progress` in [0, 1]: a linear rise for 15%, then a cosine to 0."""
    if progress < 0.15:
        return 0.04 + 0.96 * progress / 0.15
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - 0.15) / 0.85)))


def endless(batches: Iterable[LabelledBatch]) -> Iterator[LabelledBatch]:
    """Go through `batches` again and again.

    Raises:
        DataError: a pass gives no batch.
    """
    while True:
        empty = True
        for batch in batches:
            empty = False
            yield batch
        if empty:
            raise DataError("The training data gave no batch.", "Use more faces or a smaller batch size.")


def train_evaluator(
    train: Iterable[LabelledBatch],
    val: Iterable[LabelledBatch],
    attributes: tuple[str, ...],
    out: Path,
    config: EvaluatorConfig | None = None,
    *,
    start: Path | None = None,
    device: torch.device | str = "cpu",
    checkpoint_every: int = 20_000,
    log: Callable[[str], None] = print,
) -> Evaluator:
    """Train an evaluator on real labelled faces; store it and its held-out accuracy in the folder `out`.

    An interrupted training goes on from its last checkpoint when called again with the same configuration
    (weights, optimizer and schedule; the order of the data starts anew).

    Args:
        train: labelled batches, gone through again and again until `config.faces` are seen.
        val: one pass over held-out faces of other people.
        attributes: names of the columns of y.
        out: folder for evaluator.safetensors and evaluator.json.
        start: an earlier evaluator's folder, whose weights to begin with; None for random ones.
        checkpoint_every: faces between two checkpoints.

    Raises:
        DataError: there is no batch, or y has not one column an attribute.
        CheckpointError: `out` holds a checkpoint of another configuration, or `start` no evaluator of these
            attributes.
    """
    config = config or EvaluatorConfig()
    out.mkdir(parents=True, exist_ok=True)
    device = torch.device(device)
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    network = evaluator_network(len(attributes), config.width).to(device)
    if start is not None:
        earlier = Evaluator.load(start)
        if earlier.attributes != attributes:
            raise CheckpointError(f"{start} judges other attributes: {', '.join(earlier.attributes)}.")
        network.load_state_dict(earlier.network.state_dict())
    optimizer = torch.optim.AdamW(
        network.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )
    identity = json.dumps([asdict(config), attributes])
    seen = _resume(out / RESUME_FILE, network, optimizer, identity)
    next_checkpoint = seen + checkpoint_every
    stream = endless(train)
    while seen < config.faces:
        batch = next(stream)
        if batch.y.shape[1] != len(attributes):
            raise DataError(f"y has {batch.y.shape[1]} columns, but {len(attributes)} attributes are named.")
        progress = seen / config.faces
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * one_cycle(progress)
        size = config.warm_size if progress < config.warm_share else config.image_size
        images = normalise(jitter(batch.images.to(device).float() / 255, size, generator))
        with half_precision(device):
            logits = network(images)
        loss = F.binary_cross_entropy_with_logits(logits.float(), batch.y.to(device).float())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        seen += len(images)
        if seen >= next_checkpoint:
            next_checkpoint += checkpoint_every
            _save(out / RESUME_FILE, network, optimizer, seen, identity)
            log(f"evaluator: {seen} of {config.faces} faces, loss {loss.item():.4f}, size {size}")
    trained = Evaluator(network, attributes, config.image_size, device=device)
    scores = score_evaluator(trained, val)
    sidecar = {
        "attributes": list(attributes),
        "config": asdict(config),
        "scores": {name: asdict(score) for name, score in scores.items()},
    }
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with replacing(out / WEIGHTS_FILE) as part:
        save_file(weights, part)
    write_text(out / SIDECAR_FILE, json.dumps(sidecar, indent=1))
    (out / RESUME_FILE).unlink(missing_ok=True)
    return Evaluator(network, attributes, config.image_size, scores, device)


def score_evaluator(evaluator: Evaluator, batches: Iterable[LabelledBatch]) -> dict[str, AttributeScore]:
    """Accuracy, balanced accuracy and counts on one pass over labelled real faces.

    Raises:
        DataError: there is no face.
    """
    verdicts: list[Tensor] = []
    labels: list[Tensor] = []
    for batch in batches:
        verdicts.append(evaluator.predict(batch.images.float() / 255) > 0.5)
        labels.append(batch.y.cpu() > 0.5)
    if not labels:
        raise DataError("There is no held-out face to judge the evaluator on.")
    verdict, label = torch.cat(verdicts), torch.cat(labels)
    right = (verdict == label).double()
    scores = {}
    for column, name in enumerate(evaluator.attributes):
        present = label[:, column]
        sides = [right[mask, column].mean().item() for mask in (present, ~present) if mask.any()]
        scores[name] = AttributeScore(
            right[:, column].mean().item(), sum(sides) / len(sides), len(label), int(present.sum())
        )
    return scores


def _save(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, seen: int, identity: str) -> None:
    tensors = {
        f"network.{name}": tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
    }
    for index, state in optimizer.state_dict()["state"].items():
        for name, tensor in state.items():
            tensors[f"optimizer.{index}.{name}"] = tensor.detach().cpu().contiguous()
    with replacing(path) as part:
        save_file(tensors, part, {"seen": str(seen), "identity": identity})


def _resume(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, identity: str) -> int:
    """Load a checkpoint where there is one; the number of faces seen so far."""
    if not path.exists():
        return 0
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged ({error}).", "Delete it to start anew.") from error
    if metadata.get("identity") != identity:
        raise CheckpointError(f"{path} is of another configuration.", "Delete it, or choose another folder.")
    prefix = "network."
    network.load_state_dict(
        {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}
    )
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(metadata["seen"])
