"""Convolution trunks and decoder stages, plain (DCGAN) and residual."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aif.runtime.networks.cpu import multiplies_bf16


def bf16_pays(kind: str) -> bool:
    """Whether this machine's device of a kind (cpu, cuda, ...) is known to multiply bfloat16 by itself."""
    if kind == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return kind == "cpu" and multiplies_bf16()


def stage_channels(width: int, image_size: int) -> list[int]:
    """Channels of a trunk's stages, from side S/2 down to 4: width, 2 width, 4 width, then 8 width."""
    channels, side, current = [], image_size // 2, width
    while side >= 4:
        channels.append(min(current, 8 * width))
        side, current = side // 2, current * 2
    return channels


def norm_layer(kind: str, channels: int) -> nn.Module:
    """Batch normalisation or nothing."""
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.Identity()


class DcganTrunk(nn.Module):
    """Convolutions of stride 2 down to 4x4 (5x5: the authors' encoder trunk); `norm` is of all but the first.

    Input (N, 3, S, S) and, where conditioned on attributes, y (N, A), joined to the first map as planes (as
    in IcGAN's discriminator); output: the last map in one row, (N, F).
    """

    def __init__(
        self,
        image_size: int,
        width: int,
        kernel: int = 5,
        slope: float = 0.0,
        attributes: int = 0,
        norm: str = "none",
    ) -> None:
        super().__init__()
        self.slope, self.attributes = slope, attributes
        padding = (kernel - 1) // 2
        channels = stage_channels(width, image_size)
        inputs = [3, channels[0] + attributes, *channels[1:-1]]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(i, o, kernel, stride=2, padding=padding) for i, o in zip(inputs, channels, strict=True)
        )
        self.norms = nn.ModuleList([nn.Identity(), *(norm_layer(norm, o) for o in channels[1:])])

    def forward(self, image: Tensor, y: Tensor | None = None) -> Tensor:
        x = image
        for number, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            if self.attributes and y is not None and number == 1:
                planes = y[:, :, None, None].expand(-1, -1, *x.shape[2:])
                x = torch.cat([x, planes.to(x.dtype)], dim=1)
            x = F.leaky_relu(norm(convolution(x)), self.slope)
        return x.flatten(1)


class DownBlock(nn.Module):
    """Residual block of stride 2: 3x3 s2, norm, ReLU, 3x3, norm; 1x1 on the averaged shortcut; ReLU."""

    def __init__(self, inputs: int, outputs: int, norm: str) -> None:
        super().__init__()
        bias = norm == "none"
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=bias)
        self.norm1 = norm_layer(norm, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=bias)
        self.norm2 = norm_layer(norm, outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x)))
        h = self.norm2(self.conv2(h))
        return F.relu(h + self.shortcut(F.avg_pool2d(x, 2)))


class ResidualTrunk(nn.Module):
    """A 5x5 stem of stride 2, then residual blocks of stride 2, down to 4x4.

    Input (N, 3, S, S); output: the last map in one row, (N, F).
    """

    def __init__(self, image_size: int, width: int, norm: str) -> None:
        super().__init__()
        channels = stage_channels(width, image_size)
        self.stem = nn.Conv2d(3, width, 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(DownBlock(i, o, norm) for i, o in itertools.pairwise(channels))

    def forward(self, image: Tensor) -> Tensor:
        x = F.relu(self.stem(image))
        for block in self.blocks:
            x = block(x)
        return x.flatten(1)


class UpBlock(nn.Module):
    """Residual decoder stage that doubles the side; conditioned on y where `attributes` is above 0."""

    def __init__(self, inputs: int, outputs: int, norm: str, attributes: int) -> None:
        super().__init__()
        bias = norm == "none"
        self.inject = nn.Linear(attributes, inputs) if attributes else None
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
        self.norm1 = norm_layer(norm, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=bias)
        self.norm2 = norm_layer(norm, outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        if self.inject is not None:
            x = x + self.inject(y)[:, :, None, None]
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        h = F.relu(self.norm1(self.conv1(x)))
        h = self.norm2(self.conv2(h))
        return F.relu(h + self.shortcut(x))
