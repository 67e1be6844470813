"""The matte network: an aligned face crop in, the hair's matte out. Training, scoring and export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import CheckpointError, ConfigError, DataError
from aif.train.evaluators.evaluator import half_precision, one_cycle
from aif.train.matte.data import MatteBatch, MatteSamples
from aif.train.small_graphs import export_small
from aif.train.training.checkpoint import (
    list_checkpoints,
    load_checkpoint,
    optimiser_tensors,
    restore_optimiser,
    save_checkpoint,
)
from aif.train.training.ema import Ema


@dataclass(frozen=True)
class MatteConfig:
    """How a matte network is built and trained."""

    image_size: int = 128
    """Side of input and matte in pixels, a multiple of 2 to the power of the number of widths."""
    widths: tuple[int, ...] = (16, 24, 40, 56, 56)
    """Channels after each halving; the first is a half of the input's side."""
    samples: int = 200_000
    """Training length in images."""
    batch_size: int = 32
    """Images a step."""
    learning_rate: float = 4e-3
    """Peak of the schedule of AdamW: a linear rise over 15% of the steps, then a cosine to 0."""
    weight_decay: float = 0.02
    """AdamW's."""
    dice_weight: float = 1.0
    """Weight of the soft Dice loss beside the binary cross-entropy."""
    ema: float = 0.998
    """Decay of the running average of the weights, which is what is kept."""
    seed: int = 0
    """Seed of weights and samples."""

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise ConfigError(f"The matte network has two widths or more, all above 0, got {self.widths}.")
        unit = 2 ** len(self.widths)
        if self.image_size < unit or self.image_size % unit:
            raise ConfigError(f"The matte's side must be a multiple of {unit} px, got {self.image_size}.")
        if self.batch_size < 2 or self.samples < self.batch_size:
            raise ConfigError("Train the matte network on at least one batch of two images.")
        if not self.learning_rate > 0 or self.dice_weight < 0 or not 0 <= self.ema < 1:
            raise ConfigError(
                "A learning rate above 0, a Dice weight from 0 and an EMA in [0, 1) are needed."
            )


def _block(before: int, after: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True))


class MatteNet(nn.Module):
    """A small U-Net (Ronneberger et al., 2015): skips are added, the finest maps have half the input's side.

    From there each place gives the four pixels that it covers (sub-pixel convolution; Shi et al., 2016).
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = _block(3, widths[0], 2)
        self.down = nn.ModuleList(
            nn.Sequential(_block(high, low, 2), _block(low, low)) for high, low in pairwise(widths)
        )
        self.up = nn.ModuleList(nn.Conv2d(low, high, 1) for high, low in pairwise(widths))
        self.mix = nn.ModuleList(_block(high, high) for high in widths[:-1])
        self.head = nn.Conv2d(widths[0], 4, 3, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        """RGB (N, 3, S, S) in [0, 1] -> logits of hair (N, 1, S, S)."""
        maps = [self.stem((image - 0.45) / 0.25)]
        for stage in self.down:
            maps.append(stage(maps[-1]))
        x = maps.pop()
        for up, mix in zip(reversed(self.up), reversed(self.mix), strict=True):
            x = mix(F.interpolate(up(x), scale_factor=2.0, mode="nearest") + maps.pop())
        return F.pixel_shuffle(self.head(x), 2)


class _Exported(nn.Module):
    """The network as the bundle carries it: a matte in place of logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        matte: Tensor = self.network(image).sigmoid()
        return matte


def matte_loss(logits: Tensor, batch: MatteBatch, dice_weight: float) -> Tensor:
    """Binary cross-entropy plus `dice_weight` times the batch's soft Dice loss, 1 - 2 |p m| / (|p| + |m|).

    Both over what is known. Milletari et al., 2016. Dice over the batch and not an image at a time: an image
    without hair has none.
    """
    matte, known = batch.matte, batch.known
    p = logits.sigmoid() * known
    dice = 1 - (2 * (p * matte).sum() + 1) / (p.sum() + (matte * known).sum() + 1)
    entropy = F.binary_cross_entropy_with_logits(logits, matte, known, reduction="sum")
    return entropy / known.sum().clamp(min=1) + dice_weight * dice


def train_matte(
    images: UInt8Array,
    masks: UInt8Array,
    folder: Path,
    config: MatteConfig | None = None,
    *,
    workers: int = 0,
    checkpoint_every: int = 100,
    log: Callable[[str], None] = print,
) -> Path:
    """Train on faces with hair masks; returns the folder of the last checkpoint.

    Interrupted, the same call goes on from its last checkpoint, exactly as if it had not been interrupted.

    Args:
        images: uint8 (N, S, S, 3) RGB of `config.image_size`.
        masks: uint8 (N, S, S), 255 = hair.
        folder: where the checkpoints go.
        workers: processes that make samples; 0 = this one.
        checkpoint_every: steps between two checkpoints and log lines.

    Raises:
        DataError: there is no image.
        CheckpointError: `folder` holds a training of another configuration, or a damaged checkpoint.
    """
    config = config or MatteConfig()
    torch.manual_seed(config.seed)
    samples = MatteSamples(images, masks, config.batch_size, config.seed)
    network = MatteNet(config.widths).to(memory_format=torch.channels_last)
    average = Ema(network, config.ema)
    optimizer = torch.optim.AdamW(
        network.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )
    steps = config.samples // config.batch_size
    start = _resume(folder, config, network, average, optimizer)
    if start:
        log(f"matte: goes on from step {start} of {steps}")
    loader = DataLoader(samples, batch_size=None, sampler=range(start, steps), num_workers=workers)
    total, count = 0.0, 0
    for step, batch in enumerate(loader, start + 1):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * one_cycle((step - 1) / steps)
        pixels = (batch.images.float() / 255).contiguous(memory_format=torch.channels_last)
        with half_precision(torch.device("cpu")):
            logits = network(pixels)
        loss = matte_loss(logits.float(), batch, config.dice_weight)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        average.update(network, step)
        total, count = total + loss.item(), count + 1
        if step % checkpoint_every == 0 or step == steps:
            groups = {
                "network": network.state_dict(),
                "ema": average.module.state_dict(),
                "optimizer": optimiser_tensors(optimizer),
            }
            save_checkpoint(folder, step, groups, {"config": asdict(config)})
            log(f"matte: step {step} of {steps}, loss {total / count:.4f}")
            total, count = 0.0, 0
    return list_checkpoints(folder)[-1]


def _resume(
    folder: Path, config: MatteConfig, network: nn.Module, average: Ema, optimizer: torch.optim.Optimizer
) -> int:
    """The step of the newest checkpoint, put back into all three; 0 without one."""
    found = list_checkpoints(folder)
    if not found:
        return 0
    groups, info = load_checkpoint(found[-1])
    if _config(found[-1], info) != config:
        raise CheckpointError(
            f"{folder} holds a training with other settings.", "Choose another --out, or remove that folder."
        )
    try:
        network.load_state_dict(groups["network"])
        average.module.load_state_dict(groups["ema"])
        restore_optimiser(optimizer, groups["optimizer"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{found[-1]} is damaged ({error}).", "Remove that folder.") from error
    return int(info["step"])


def load_matte(folder: Path) -> tuple[MatteNet, MatteConfig]:
    """The averaged network of the newest checkpoint in `folder`, in evaluation mode, and its configuration.

    Raises:
        CheckpointError: there is none, or it is damaged or of no matte network.
    """
    found = list_checkpoints(folder)
    if not found:
        raise CheckpointError(f"{folder} has no checkpoint of a matte network.", "Train one: aif fit matte")
    groups, info = load_checkpoint(found[-1])
    config = _config(found[-1], info)
    network = MatteNet(config.widths)
    try:
        network.load_state_dict(groups["ema"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{found[-1]} is no readable matte checkpoint ({error}).") from error
    return network.eval(), config


def _config(checkpoint: Path, info: dict[str, Any]) -> MatteConfig:
    try:
        return MatteConfig(**{**info["config"], "widths": tuple(info["config"]["widths"])})
    except (KeyError, TypeError, ConfigError) as error:
        raise CheckpointError(f"{checkpoint} is no checkpoint of a matte network ({error}).") from error


def export_matte(folder: Path, path: Path) -> float:
    """Write `image (N, 3, S, S) -> matte (N, 1, S, S)` of the newest checkpoint; returns the parity error.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        ExportError: ONNX Runtime and PyTorch differ by more than 1e-4; nothing is written then.
    """
    network, config = load_matte(folder)
    return export_small(_Exported(network), (3, config.image_size, config.image_size), ["matte"], path)


@dataclass(frozen=True)
class MatteScore:
    """Held-out figures of a matte network, at a matte of 1/2.

    Attributes:
        iou: intersection over union of hair pixels, over all images together.
        face_iou: the mean over images that show hair of the image's own.
        false_share: share of the pixels without hair that are taken for hair.
        images: how many.
    """

    iou: float
    face_iou: float
    false_share: float
    images: int


@torch.no_grad()
def score_matte(
    network: nn.Module, images: UInt8Array, masks: UInt8Array, batch_size: int = 32
) -> MatteScore:
    """Measure a network (RGB in [0, 1] to logits) on uint8 images (N, S, S, 3), masks (N, S, S), 255 = hair.

    Raises:
        DataError: there is no image, or none with hair.
    """
    both, either, false, others = [], [], [], []
    for first in range(0, len(images), batch_size):
        pixels = torch.from_numpy(images[first : first + batch_size]).permute(0, 3, 1, 2).float() / 255
        hair = torch.from_numpy(masks[first : first + batch_size]) > 127
        found = network(pixels)[:, 0] > 0
        both.append((found & hair).sum((1, 2)))
        either.append((found | hair).sum((1, 2)))
        false.append((found & ~hair).sum((1, 2)))
        others.append((~hair).sum((1, 2)))
    if not both or not (masks > 127).any():
        raise DataError("A matte network is measured on images with hair; there are none.")
    inside, outside = torch.cat(both).double(), torch.cat(either).double()
    haired = torch.from_numpy((masks > 127).any(axis=(1, 2)))
    return MatteScore(
        iou=float(inside.sum() / outside.sum()),
        face_iou=float((inside / outside.clamp(min=1))[haired].mean()),
        false_share=float(torch.cat(false).sum() / torch.cat(others).sum().clamp(min=1)),
        images=len(images),
    )
