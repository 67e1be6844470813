"""The evaluator: an attribute classifier trained on real images only, which measures every edit.

It shares nothing with the editing networks: no weights, no loss, no generated image. Its own accuracy on
held-out real faces is stored beside its weights, because no figure that it gives can be better founded.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from aif.runtime.errors import CheckpointError, ConfigError, DataError
from aif.runtime.files import replacing, write_text
from aif.train.evaluators.fitting import FitOptions, endless, fit
from aif.train.networks.blocks import bf16_pays
from aif.train.statistics import balanced_accuracy

RESUME_FOLDER = "resume"


class LabelledBatch(Protocol):
    """uint8 images (N, 3, S, S) RGB and labels y (N, A), 0 = absent, 1 = present."""

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
        if self.faces < 1:
            raise ConfigError(f"A training sees at least 1 face, not {self.faces}.")

    def training_images(self, images: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        """Jittered and normalised, at the size that `progress` in [0, 1] calls for: uint8 (N, 3, H, W) in."""
        size = self.warm_size if progress < self.warm_share else self.image_size
        return normalise(jitter(images.float() / 255, size, generator))


@dataclass(frozen=True)
class AttributeScore:
    """Held-out figures of one attribute: shares in [0, 1], and how many faces they rest on."""

    accuracy: float
    balanced_accuracy: float
    n: int
    positives: int

    @property
    def right(self) -> tuple[float, float]:
        """Shares of the faces without the attribute, and of those with it, on which it is right.

        Twice the balanced accuracy is their sum, the accuracy their mean over the faces; where both are as
        many, they are not told apart.
        """
        share, both = self.positives / self.n, 2 * self.balanced_accuracy
        if 2 * self.positives == self.n:
            return self.accuracy, self.accuracy
        recall = min(max((self.accuracy - (1 - share) * both) / (2 * share - 1), 0.0), 1.0)
        return min(max(both - recall, 0.0), 1.0), recall


def evaluator_network(outputs: int, width: int = 32) -> nn.Module:
    """ResNet-18's four stages of two basic blocks after a 3x3 stem, without pooling before the last stage."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    before = width
    for stage in range(4):
        channels, stride = width << stage, 1 if stage == 0 else 2
        shortcut = nn.Sequential(nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
        layers += [
            BasicBlock(before, channels, stride, shortcut if stage else None),
            BasicBlock(channels, channels),
        ]
        before = channels
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, outputs)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


class CropNetwork:
    """A trained network of square face crops: normalised images (N, 3, S, S) -> (N, outputs), S =
    `image_size`.
    """

    def __init__(self, network: nn.Module, image_size: int, device: torch.device | str = "cpu") -> None:
        self.device, self.image_size = torch.device(device), image_size
        self.network = network.to(self.device).eval()

    @torch.no_grad()
    def both_ways(self, crops_nchw: Tensor, batch_size: int) -> list[tuple[Tensor, Tensor]]:
        """What the network gives for crops (float, in [0, 1]) and for their mirror images, by batches."""
        found = []
        for crops in torch.split(crops_nchw, batch_size) if len(crops_nchw) else ():
            images = normalise(resize_area(crops.to(self.device).float(), self.image_size))
            with half_precision(self.device):
                plain, mirrored = self.network(images), self.network(images.flip(-1))
            found.append((plain.float(), mirrored.float()))
        return found


def read_network(
    folder: Path, name: str, build: Callable[[dict[str, Any]], nn.Module]
) -> tuple[nn.Module, dict[str, Any]]:
    """A network that `write_network` stored as NAME, and what is said of it; `build` makes it of that.

    Raises CheckpointError where a file is missing, damaged or does not fit the others.
    """
    try:
        about: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        network = build(about)
        network.load_state_dict(load_file(folder / f"{name}.safetensors"))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder} holds no readable {name} network ({error}).", f"Train one with `aif fit {name}`."
        ) from error
    return network, about


class Evaluator(CropNetwork):
    """A trained attribute classifier of the columns `attributes`.

    `scores` are its held-out figures on real faces by attribute, `accuracy` and `right` those of that name.
    """

    def __init__(
        self,
        network: nn.Module,
        attributes: tuple[str, ...],
        image_size: int,
        scores: dict[str, AttributeScore] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(network, image_size, device)
        self.attributes, self.scores = attributes, dict(scores or {})
        self.accuracy = {name: score.accuracy for name, score in self.scores.items()}
        self.right = {name: score.right for name, score in self.scores.items()}

    @classmethod
    def load(cls, path: Path, device: torch.device | str = "cpu") -> Evaluator:
        """Open a folder written by `train_evaluator`; errors as `read_network`."""
        network, about = read_network(
            path,
            "evaluator",
            lambda about: evaluator_network(len(about["attributes"]), about["config"]["width"]),
        )
        scores = {name: AttributeScore(**score) for name, score in about["scores"].items()}
        return cls(network, tuple(about["attributes"]), about["config"]["image_size"], scores, device)

    def predict(self, crops_nchw: Tensor, batch_size: int = 256) -> Tensor:
        """Probability of each attribute: crops float (N, 3, S, S) RGB in [0, 1] -> float32 (N, A) in [0, 1].

        From the mean of the logits of a face and its mirror image.
        """
        parts = [((a + b) / 2).sigmoid().cpu() for a, b in self.both_ways(crops_nchw, batch_size)]
        return torch.cat([torch.zeros(0, len(self.attributes)), *parts])


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
    """bfloat16 autocast where the device multiplies it: several times faster, and precise enough."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16_pays(device.type))


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


def write_network(
    folder: Path, name: str, network: nn.Module, about: Mapping[str, Any], new: bool = False
) -> None:
    """Store weights (NAME.safetensors) and what they are (NAME.json); checkpoints of the training go.

    Raises TakenError where they are to be `new` and are there.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with replacing(folder / f"{name}.safetensors", new) as part:
        save_file(state, part)
    write_text(folder / f"{name}.json", json.dumps(about, indent=1), new)
    shutil.rmtree(folder / RESUME_FOLDER, ignore_errors=True)


def train_evaluator(
    train: Iterable[LabelledBatch],
    val: Iterable[LabelledBatch],
    attributes: tuple[str, ...],
    out: Path,
    config: EvaluatorConfig | None = None,
    *,
    device: torch.device | str = "cpu",
    log: Callable[[str], None] = print,
    new: bool = False,
) -> Evaluator:
    """Train an evaluator on real labelled faces; store it and its held-out accuracy in the folder `out`.

    An interrupted training goes on from its last checkpoint when called again with the same configuration
    (weights, optimizer and schedule; the order of the data starts anew).

    Args:
        train: labelled batches, gone through again and again until `config.faces` are seen.
        val: one pass over held-out faces of other people.
        attributes: names of the columns of y.
        new: an evaluator that is in `out` by then stays.

    Raises TakenError where one stays, DataError where there is no batch, or y has not one column an
    attribute, CheckpointError where `out` holds a checkpoint of another configuration.
    """
    config, device = config or EvaluatorConfig(), torch.device(device)
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    network = evaluator_network(len(attributes), config.width).to(device)

    def loss(batch: LabelledBatch, progress: float) -> tuple[Tensor, int]:
        if batch.y.shape[1] != len(attributes):
            raise DataError(f"y has {batch.y.shape[1]} columns, but {len(attributes)} attributes are named.")
        images = config.training_images(batch.images.to(device), progress, generator)
        with half_precision(device):
            logits = network(images)
        truth = batch.y.to(device).float()
        return F.binary_cross_entropy_with_logits(logits.float(), truth), len(images)

    options = FitOptions("evaluator", config.faces, config.learning_rate, config.weight_decay)
    about = {"config": asdict(config), "attributes": list(attributes)}
    fit(network, loss, lambda _: endless(train), options, out / RESUME_FOLDER, about, log=log)
    scores = score_evaluator(Evaluator(network, attributes, config.image_size, device=device), val)
    about["scores"] = {name: asdict(score) for name, score in scores.items()}
    write_network(out, "evaluator", network, about, new)
    return Evaluator(network, attributes, config.image_size, scores, device)


def score_evaluator(evaluator: Evaluator, batches: Iterable[LabelledBatch]) -> dict[str, AttributeScore]:
    """Figures on one pass over labelled real faces. Raises DataError where there is no face."""
    pairs = [(evaluator.predict(b.images.float() / 255) > 0.5, b.y.cpu() > 0.5) for b in batches]
    if not pairs:
        raise DataError("There is no held-out face to measure the evaluator on.")
    predicted, labels = (torch.cat(parts).numpy() for parts in zip(*pairs, strict=True))
    return {
        name: AttributeScore(
            float((found == label).mean()), balanced_accuracy(found, label), len(label), int(label.sum())
        )
        for name, found, label in zip(evaluator.attributes, predicted.T, labels.T, strict=True)
    }
