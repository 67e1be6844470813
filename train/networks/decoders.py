"""Decoders of z and y to a whole face: plain (DCGAN) and residual."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from aif.train.config import NetworkConfig
from aif.train.networks.blocks import UpBlock, norm_layer, stage_channels


class DcganDecoder(nn.Module):
    """The authors' decoder: y and z joined once at the input, 3x3 transposed convolutions of stride 2."""

    def __init__(self, config: NetworkConfig, attributes: int) -> None:
        super().__init__()
        channels = stage_channels(config.width, config.image_size)[::-1]
        self.top = channels[0]
        self.seen = attributes if "decoder" in config.y_to else 0
        self.input = nn.Linear(config.latent_size + self.seen, channels[0] * 16)
        stages: list[nn.Module] = []
        for i, o in itertools.pairwise(channels):
            stages += [
                nn.ConvTranspose2d(
                    i, o, 3, stride=2, padding=1, output_padding=1, bias=config.norm == "none"
                ),
                norm_layer(config.norm, o),
                nn.ReLU(),
            ]
        stages.append(nn.ConvTranspose2d(channels[-1], 3, 3, stride=2, padding=1, output_padding=1))
        self.stages = nn.Sequential(*stages)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """z (N, Z), y (N, A) -> image (N, 3, S, S) in [0, 1]."""
        h = torch.relu(self.input(torch.cat([y[:, : self.seen], z], dim=1)))
        return torch.sigmoid(self.stages(h.view(-1, self.top, 4, 4)).float())


class ResidualDecoder(nn.Module):
    """Residual stages from 4x4 to half size, then a sub-pixel convolution (Shi et al., 2016) to full size.

    y joins the input and, if configured, every stage.
    """

    def __init__(self, config: NetworkConfig, attributes: int) -> None:
        super().__init__()
        inner = stage_channels(config.width, config.image_size)[::-1][:-1]
        outputs = [*inner[1:], config.width]
        self.top = inner[0]
        self.seen = attributes if "decoder" in config.y_to else 0
        self.input = nn.Linear(config.latent_size + self.seen, inner[0] * 16)
        injected = self.seen if config.inject_y else 0
        self.blocks = nn.ModuleList(
            UpBlock(i, o, config.norm, injected) for i, o in zip(inner, outputs, strict=True)
        )
        self.output = nn.Sequential(nn.Conv2d(outputs[-1], 12, 3, padding=1), nn.PixelShuffle(2))
        with torch.no_grad():  # all four sub-pixels start alike: no checkerboard (Aitken et al., 2017)
            for tensor in self.output.parameters():
                tensor.copy_(tensor[::4].repeat_interleave(4, dim=0))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """z (N, Z), y (N, A) -> image (N, 3, S, S) in [0, 1]."""
        h = torch.relu(self.input(torch.cat([y[:, : self.seen], z], dim=1)))
        h = h.view(-1, self.top, 4, 4)
        for block in self.blocks:
            h = block(h, y)
        return torch.sigmoid(self.output(h).float())
