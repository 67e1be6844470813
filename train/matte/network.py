"""The matte network: an aligned face crop in, the hair's matte out. Training, scoring and export."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import DataError
from aif.train.evaluators.evaluator import half_precision
from aif.train.evaluators.fitting import FitOptions, SampleConfig, fit_samples, load_fitted
from aif.train.matte.data import MatteBatch, MatteSamples
from aif.train.small_graphs import export_small

# The matte may differ by so much once the weights are stored as float16.
HALF_LIMIT = 1e-2


@dataclass(frozen=True)
class MatteConfig(SampleConfig):
    """How a matte network is built and trained."""

    image_size: int = 128
    """Side of input and matte in pixels, a multiple of 2 to the power of the number of widths."""
    widths: tuple[int, ...] = (24, 32, 56, 80, 96)
    """Channels after each halving; the first is a half of the input's side."""
    samples: int = 260_000
    batch_size: int = 32
    learning_rate: float = 3.5e-3
    weight_decay: float = 0.02
    """AdamW's."""
    dice_weight: float = 1.0
    """Weight of the soft Dice loss beside the binary cross-entropy."""
    ema: float = 0.998


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
        with half_precision(image.device) if self.training else nullcontext():
            maps = [self.stem((image - 0.45) / 0.25)]
            for stage in self.down:
                maps.append(stage(maps[-1]))
            x = maps.pop()
            for up, mix in zip(reversed(self.up), reversed(self.mix), strict=True):
                x = mix(F.interpolate(up(x), scale_factor=2.0, mode="nearest") + maps.pop())
            return F.pixel_shuffle(self.head(x), 2).float()


def matte_loss(logits: Tensor, batch: MatteBatch, dice_weight: float) -> Tensor:
    """Binary cross-entropy plus `dice_weight` times the soft Dice loss, 1 - 2 |p m| / (|p| + |m|), of what
    is known.

    Milletari et al., 2016. Dice over the batch and not an image at a time: an image without hair has none.
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
    log: Callable[[str], None] = print,
) -> None:
    """Train on faces with hair masks, into checkpoints in `folder`.

    Interrupted, the same call goes on from its last checkpoint, exactly as if it had not been interrupted.

    images, masks: uint8 (N, S, S, 3) RGB of `config.image_size`, and (N, S, S), 255 = hair. The rest, and
    errors, as `fit_samples`.
    """
    config = config or MatteConfig()
    torch.manual_seed(config.seed)
    samples = MatteSamples(images, masks, config.batch_size, config.seed)
    network = MatteNet(config.widths).to(memory_format=torch.channels_last)

    def loss(logits: Tensor, batch: MatteBatch) -> Tensor:
        return matte_loss(logits, batch, config.dice_weight)

    options = FitOptions("matte", config.samples, config.learning_rate, config.weight_decay, ema=config.ema)
    fit_samples(network, loss, samples, options, config, folder, workers, log)


def load_matte(folder: Path) -> tuple[MatteNet, MatteConfig]:
    """The newest checkpoint's network and configuration; errors as `load_fitted`."""
    return load_fitted(folder, MatteConfig, lambda config: MatteNet(config.widths), "matte")


def export_matte(folder: Path, path: Path) -> float:
    """Write `image (N, 3, S, S) -> matte (N, 1, S, S)` of the newest checkpoint; returns the parity error."""
    network, config = load_matte(folder)
    shape = (3, config.image_size, config.image_size)
    return export_small(network, shape, ["matte"], path, last=torch.sigmoid, half_limit=HALF_LIMIT)


@dataclass(frozen=True)
class MatteScore:
    """Held-out figures at a matte of 1/2: intersection over union of hair pixels, over all images together
    and the mean over images that show hair; the share of other pixels taken for hair; how many images.
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

    Raises DataError where no image shows hair.
    """
    hair = torch.from_numpy(masks) > 127
    if not hair.any():
        raise DataError("A matte network is measured on images with hair; there are none.")
    found = torch.cat(
        [
            network(part.permute(0, 3, 1, 2).float() / 255)[:, 0] > 0
            for part in torch.split(torch.from_numpy(images), batch_size)
        ]
    )
    inside, outside = ((found & hair).sum((1, 2)).double(), (found | hair).sum((1, 2)))
    haired = hair.any(dim=2).any(dim=1)
    return MatteScore(
        iou=float(inside.sum() / outside.sum()),
        face_iou=float((inside / outside.clamp(min=1))[haired].mean()),
        false_share=float((found & ~hair).sum() / (~hair).sum().clamp(min=1)),
        images=len(images),
    )
