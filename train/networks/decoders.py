"""Decoders of z and y to a whole face: plain (DCGAN) and residual."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from aif.train.config import NetworkConfig
from aif.train.networks.blocks import UpBlock, norm_layer, stage_channels


class Decoder(nn.Module):
    """D: z (N, Z) and y (N, A) -> `image` (N, 3, S, S) in [0, 1]; the interface of both decoders.

    y and z are joined at the input, a linear layer makes a 4x4 map of them, subclasses make the picture.
    A decoder that is not conditioned on y (`NetworkConfig.y_to`) ignores it.
    """

    def __init__(self, config: NetworkConfig, attributes: int) -> None:
        super().__init__()
        self.top = stage_channels(config.width, config.image_size)[-1]
        self.conditions = attributes if "decoder" in config.y_to else 0
        self.input = nn.Linear(config.latent_size + self.conditions, self.top * 16)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        joined = torch.cat([y[:, : self.conditions], z], dim=1)
        top = torch.relu(self.input(joined)).view(-1, self.top, 4, 4)
        return torch.sigmoid(self.draw(top, y).float())

    def draw(self, top: Tensor, y: Tensor) -> Tensor:
        """Logits of the image (N, 3, S, S) from the 4x4 map (N, C, 4, 4)."""
        raise NotImplementedError


class DcganDecoder(Decoder):
    """The authors' decoder: 3x3 transposed convolutions of stride 2."""

    def __init__(self, config: NetworkConfig, attributes: int) -> None:
        super().__init__(config, attributes)
        channels = stage_channels(config.width, config.image_size)[::-1]

        def up(inputs: int, outputs: int, bias: bool) -> nn.Module:
            return nn.ConvTranspose2d(inputs, outputs, 3, 2, padding=1, output_padding=1, bias=bias)

        stages: list[nn.Module] = []
        for i, o in itertools.pairwise(channels):
            stages += [up(i, o, config.norm == "none"), norm_layer(config.norm, o), nn.ReLU()]
        self.stages = nn.Sequential(*stages, up(channels[-1], 3, True))

    def draw(self, top: Tensor, y: Tensor) -> Tensor:
        logits: Tensor = self.stages(top)
        return logits


class ResidualDecoder(Decoder):
    """Residual stages from 4x4 to half size, then a sub-pixel convolution (Shi et al., 2016) to full size.

    If configured, y joins every stage.
    """

    def __init__(self, config: NetworkConfig, attributes: int) -> None:
        super().__init__(config, attributes)
        inner = stage_channels(config.width, config.image_size)[::-1][:-1]
        outputs = [*inner[1:], config.width]
        injected = self.conditions if config.inject_y else 0
        self.blocks = nn.ModuleList(
            UpBlock(i, o, config.norm, injected) for i, o in zip(inner, outputs, strict=True)
        )
        self.output = nn.Sequential(nn.Conv2d(outputs[-1], 12, 3, padding=1), nn.PixelShuffle(2))
        with torch.no_grad():  # all four sub-pixels start alike: no checkerboard (Aitken et al., 2017)
            for tensor in self.output.parameters():
                tensor.copy_(tensor[::4].repeat_interleave(4, dim=0))

    def draw(self, top: Tensor, y: Tensor) -> Tensor:
        for block in self.blocks:
            top = block(top, y)
        logits: Tensor = self.output(top)
        return logits
