"""The face detector: where in a picture faces may be, how large and how turned. Its training and graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aif.train.detector.data import STRIDE, DetectorBatch, DetectorSamples, Sources
from aif.train.evaluators.fitting import FitOptions, SampleConfig, fit_samples, load_fitted
from aif.train.small_graphs import export_small


@dataclass(frozen=True)
class DetectorConfig(SampleConfig):
    """How a face detector is built and trained."""

    image_size: int = 320
    """Side of the training images in pixels, a multiple of 32; in use pictures may be of any size."""
    widths: tuple[int, ...] = (8, 16, 32, 64, 64)
    """Channels after each halving; there are five."""
    depths: tuple[int, ...] = (2, 3, 3)
    """Residual blocks of the maps at strides 8, 16 and 32."""
    fused: int = 32
    """Channels of the map at stride 8 to which all three are brought together."""
    aligned: int = 16_000
    """Aligned faces of the training set that are kept decoded and set into the images."""
    samples: int = 80_000
    batch_size: int = 8
    learning_rate: float = 3e-3
    ema: float = 0.999


def _block(before: int, after: int, stride: int = 1, kernel: int = 3, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after, momentum=0.02), nn.ReLU(inplace=True))


class _Separable(nn.Module):
    """A depthwise and a pointwise convolution (Howard et al., 2017) around a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.space = _block(width, width, groups=width)
        self.channels = nn.Sequential(
            nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width, momentum=0.02)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.channels(self.space(x)))


class DetectorNet(nn.Module):
    """Objects as points (CenterNet; Zhou et al., 2019) on one map at stride 8, made of three as in a feature
    pyramid (Lin et al., 2017)."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        first, second, *widths = config.widths
        self.stem = nn.Sequential(_block(3, first, 2), _block(first, second, 2))
        self.stages = nn.ModuleList(
            nn.Sequential(_block(before, after, 2), *(_Separable(after) for _ in range(depth)))
            for (before, after), depth in zip(pairwise((second, *widths)), config.depths, strict=True)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(width, config.fused, 1) for width in widths)
        self.mix = nn.ModuleList(_Separable(config.fused) for _ in widths)
        self.head = nn.Conv2d(config.fused, 6, 1)
        nn.init.constant_(self.head.bias[:1], -4.0)  # type: ignore[index]

    def forward(self, image: Tensor) -> Tensor:
        """RGB (N, 3, H, W) in [0, 1], H and W multiples of 32 -> (N, 6, H/8, W/8): the logit of a face's
        centre, then what `DetectorBatch.target` holds."""
        x = self.stem((image - 0.45) / 0.25)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        x = self.lateral[-1](maps[-1])
        for index in range(len(maps) - 2, -1, -1):
            x = self.mix[index + 1](x)
            x = F.interpolate(x, scale_factor=2.0, mode="nearest") + self.lateral[index](maps[index])
        result: Tensor = self.head(self.mix[0](x))
        return result


def _peaks(found: Tensor) -> tuple[Tensor, Tensor]:
    """What the bundle's graph gives: probabilities, 0 where a neighbour's is larger, and the boxes."""
    heat = found[:, :1].sigmoid()
    return heat * (F.max_pool2d(heat, 3, 1, 1) == heat), found[:, 1:]


def detector_loss(found: Tensor, batch: DetectorBatch) -> Tensor:
    """What is minimised: CenterNet's focal loss of the heat map, a face; and near faces' centres L1 of the
    centre in units of the side, of the side's logarithm, and 1.5 times that of the turn's cosine and sine."""
    logit, heat = found[:, 0], batch.heat
    p = logit.sigmoid()
    centre = (heat == 1).float()
    hit = centre * (1 - p) ** 2 * F.logsigmoid(logit)
    miss = (1 - heat) ** 4 * p**2 * F.logsigmoid(-logit)
    total = -(hit + miss).sum() / centre.sum().clamp(min=1)
    weight = heat * (heat > 0.5)
    error = (found[:, 1:] - batch.target).abs()
    error = (
        error[:, :2].sum(1) / batch.target[:, 2].exp() + error[:, 2] + 1.5 * error[:, 3:].sum(1)
    ) * weight
    return total + error.sum() / weight.sum().clamp(min=1)


def train_detector(
    sources: Sources,
    folder: Path,
    config: DetectorConfig | None = None,
    *,
    workers: int = 0,
    log: Callable[[str], None] = print,
) -> None:
    """Train on mosaics of `sources`, into checkpoints in `folder`.

    Interrupted, the same call goes on from its last checkpoint, exactly as if it had not been interrupted.
    The rest, and errors, as `fit_samples`.
    """
    config = config or DetectorConfig()
    torch.manual_seed(config.seed)
    samples = DetectorSamples(sources, config.image_size, config.batch_size, config.seed)
    network = DetectorNet(config).to(memory_format=torch.channels_last)
    options = FitOptions("detector", config.samples, config.learning_rate, 0.02, 0.05, config.ema, 10.0)
    fit_samples(network, detector_loss, samples, options, config, folder, workers, log)


def load_detector(folder: Path) -> tuple[DetectorNet, DetectorConfig]:
    """The newest checkpoint's network and configuration; errors as `load_fitted`."""
    return load_fitted(folder, DetectorConfig, DetectorNet, "detector")


def export_detector(folder: Path, path: Path) -> float:
    """Write `image (N, 3, H, W) -> heat (N, 1, H/8, W/8), box (N, 5, H/8, W/8)` of the newest checkpoint;
    returns the parity error."""
    network, config = load_detector(folder)
    shape = (3, config.image_size, config.image_size)
    outputs, side = ["heat", "box"], 4 * STRIDE
    return export_small(network, shape, outputs, path, last=_peaks, multiple=side, limit=1e-3)
