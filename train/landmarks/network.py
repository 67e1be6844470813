"""What the landmark network is: its configuration, its layers, and the graph that a bundle carries."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aif.runtime.errors import ConfigError
from aif.runtime.geometry.points import COUNT
from aif.train.evaluators.evaluator import half_precision
from aif.train.evaluators.fitting import SampleConfig, load_fitted
from aif.train.small_graphs import export_small
from aif.train.training.checkpoint import list_checkpoints

Outputs = tuple[Tensor, Tensor, Tensor, Tensor]
"""Points, pose, and logits of a face and of each point's being seen."""

SEEN = "seen"
"""Where among the checkpoints those of the second training are."""


@dataclass(frozen=True)
class LandmarkConfig(SampleConfig):
    """How a landmark network is built and trained."""

    input_size: int = 112
    """Side of its input in pixels, a multiple of 16."""
    widths: tuple[int, ...] = (20, 40, 80, 144)
    """Channels after each halving."""
    depths: tuple[int, ...] = (0, 2, 2, 1)
    """Residual blocks after each halving."""
    fine: int = 10
    """Channels that the third map is reduced to; the fourth one is to 32."""
    hidden: int = 160
    """Features that all outputs are linear in."""
    components: int = 120
    """Directions of the linear basis of shapes (in every place and turn) that the points are made of."""
    shapes: int = 2000
    """Samples that the basis of shapes is fitted to."""
    samples: int = 900_000
    batch_size: int = 64
    learning_rate: float = 2e-3
    """Half of it is taken with another network's weights at the start."""
    negatives: float = 0.3
    """Share of samples without a face."""
    harvest: int = 1000
    """Training faces searched for boxes that Haar cascades wrongly take for faces."""
    second: float = 0.2
    """Length of the second training, of what tells hidden points, as a share of the first."""
    ema: float = 0.998


def _convolution(before: int, width: int, stride: int, size: int = 3) -> list[nn.Module]:
    # a slow average of the statistics, as the weights' own is slow
    norm = nn.BatchNorm2d(width, momentum=0.01)
    return [nn.Conv2d(before, width, size, stride, size // 2, bias=False), norm]


class _Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(*_convolution(width, width, 1), nn.ReLU())
        self.second = nn.Sequential(*_convolution(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


class _Sight(nn.Module):
    """How surely each point is in sight: a map from the three coarser ones of the network, four cells to each
    of the third's, read where the points are.

    What all points are linear in hardly tells that there is a hand before a face, for it is not to move them;
    the maps do, place by place.
    """

    def __init__(self, widths: tuple[int, ...], width: int = 24) -> None:
        super().__init__()
        self.second = nn.Sequential(*_convolution(widths[1], width, 2))
        self.third = nn.Sequential(*_convolution(widths[2], width, 1, 1))
        self.fourth = nn.Sequential(*_convolution(widths[3], width, 1, 1))
        self.mixed = nn.Sequential(*_convolution(width, width, 1), nn.ReLU(), nn.Conv2d(width, 4, 1))

    def forward(self, maps: Sequence[Tensor], points: Tensor) -> Tensor:
        """Maps after each halving, and points (N, 221, 2) as fractions, to logits (N, 221)."""
        coarse = F.interpolate(self.fourth(maps[3]), scale_factor=2.0)
        cells = self.mixed(F.relu(self.second(maps[1]) + self.third(maps[2]) + coarse))
        places = 2 * points[:, None] - 1
        told = F.grid_sample(F.pixel_shuffle(cells, 2), places, padding_mode="border", align_corners=False)
        return told[:, 0, 0]


class LandmarkNet(nn.Module):
    """Four halvings of a square crop, and a regression from the two coarsest maps, place by place.

    The points are the mean of all shapes plus a linear combination of principal components of training
    points.
    """

    def __init__(self, config: LandmarkConfig) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        before = 3
        for width, depth in zip(config.widths, config.depths, strict=True):
            blocks = [_Residual(width) for _ in range(depth)]
            stages.append(nn.Sequential(*_convolution(before, width, 2), nn.ReLU(), *blocks))
            before = width
        self.stages = nn.ModuleList(stages)
        coarse = 32
        self.fine = nn.Conv2d(config.widths[2], config.fine, 1)
        self.coarse = nn.Conv2d(config.widths[3], coarse, 1)
        self._coarse_cells = (config.input_size // 16) ** 2 * coarse
        cells = (config.input_size // 8) ** 2 * config.fine + self._coarse_cells
        self.hidden = nn.Linear(cells, config.hidden)
        self.shape = nn.Linear(config.hidden, config.components)
        self.pose = nn.Linear(config.hidden, 3)
        self.face = nn.Linear(config.hidden, 1)
        self.seen = _Sight(config.widths)
        # the linear basis of shapes, in fractions of the crop's side
        self.register_buffer("mean", torch.zeros(2 * COUNT))
        self.register_buffer("basis", torch.zeros(config.components, 2 * COUNT))
        self.mean: Tensor
        self.basis: Tensor

    def take_over(self, other: LandmarkNet) -> None:
        """Begin as `other`, of as many features: blocks that it lacks change nothing yet, nor do new channels
        of `fine`. Raises ConfigError where `other` is larger, or of other widths.
        """
        mine, old = self.state_dict(), other.state_dict()
        try:
            for name, value in old.items():
                if name == "hidden.weight":
                    fine = value.shape[1] - self._coarse_cells
                    mine[name].zero_()[:, :fine] = value[:, :fine]
                    mine[name][:, -self._coarse_cells :] = value[:, fine:]
                elif name.startswith("fine."):
                    mine[name][: len(value)] = value
                else:
                    mine[name].copy_(value)
        except (KeyError, RuntimeError) as error:
            raise ConfigError(
                f"The landmark network to start from does not fit into this one ({error}).",
                "Start from a network of the same input size and widths, or from none.",
            ) from error
        for name in mine.keys() - old.keys():
            if name.endswith("second.1.weight"):
                mine[name].zero_()

    def forward(self, image: Tensor) -> Outputs:
        """RGB (N, 3, S, S) in [0, 1] -> points (N, 221, 2) as fractions, pose (N, 3), logits of a face
        (N,) and of each point's being seen (N, 221), which teach `seen` only."""
        x = (image - 0.45) / 0.25
        maps = []
        with half_precision(image.device) if self.training else nullcontext():  # points need all bits
            for stage in self.stages:
                x = stage(x)
                maps.append(x)
        x, maps = x.float(), [each.float() for each in maps]
        cells = torch.cat([self.fine(maps[2]).flatten(1), self.coarse(x).flatten(1)], dim=1)
        hidden = F.relu(self.hidden(F.relu(cells)))
        points = self.mean + self.shape(hidden) @ self.basis
        points = points.unflatten(1, (COUNT, 2))
        seen = self.seen([each.detach() for each in maps], points.detach())
        return points, 10 * self.pose(hidden), self.face(hidden).squeeze(1), seen


def _probabilities(outputs: Outputs) -> Outputs:
    """What the bundle's graph gives in place of logits."""
    points, pose, face, seen = outputs
    return points, pose, face.sigmoid(), seen.sigmoid()


def load_landmarks(folder: Path) -> tuple[LandmarkNet, LandmarkConfig]:
    """The newest checkpoint's network and configuration; errors as `load_fitted`."""
    last = folder / SEEN if list_checkpoints(folder / SEEN) else folder
    return load_fitted(last, LandmarkConfig, LandmarkNet, "landmarks")


def export_landmarks(folder: Path, path: Path) -> float:
    """Write the graph `image (N, 3, S, S) -> landmarks (N, 221, 2), pose (N, 3), confidence (N,), seen (N,
    221)`.

    Large weights are stored as float16. Returns the largest difference from PyTorch: points in fractions of
    the side, pose in degrees, probabilities.
    Raises CheckpointError or ExportError (ONNX Runtime and PyTorch differ too much); nothing is written then.
    """
    network, config = load_landmarks(folder)
    return export_small(
        network,
        (3, config.input_size, config.input_size),
        ["landmarks", "pose", "confidence", "seen"],
        path,
        last=_probabilities,
        limit=(1e-4, 1e-2, 1e-4, 1e-4),
        half_limit=(2e-3, 0.2, 2e-3, 5e-3),
    )
