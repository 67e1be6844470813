"""The four networks of the method: encoder, decoder, discriminator, auxiliary network."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aif.train.config import NetworkConfig
from aif.train.networks.blocks import DcganTrunk, ResidualTrunk, UpBlock, norm_layer, stage_channels


@dataclass(frozen=True)
class EncoderOutput:
    """q(z | x) and E_y(x): mean, log_variance (N, Z), y_logits (N, A), features (N, C_k, R_k, R_k)."""

    mean: Tensor
    log_variance: Tensor
    y_logits: Tensor
    features: tuple[Tensor, ...]

    def sample(self, noise: Tensor) -> Tensor:
        """z = mean + exp(log_variance / 2) * noise, noise (N, Z) standard normal."""
        return self.mean.float() + (0.5 * self.log_variance.float()).exp() * noise

    @property
    def y(self) -> Tensor:
        """Predicted attribute values in (0, 1), (N, A)."""
        return self.y_logits.float().sigmoid()


def feature_channels(config: NetworkConfig) -> list[int]:
    """Channels of each handed feature map, in the order of `config.handed`: those of the encoder's stage."""
    channels = stage_channels(config.width, config.image_size)
    return [channels[(config.image_size // side).bit_length() - 2] for side in config.handed]


def encoder_trunk(config: NetworkConfig) -> nn.Module:
    """The convolutions of an encoder, plain or residual."""
    if config.kind == "dcgan":
        return DcganTrunk(config.image_size, config.width)
    return ResidualTrunk(config.image_size, config.width, config.norm)


class Encoder(nn.Module):
    """E: image (N, 3, S, S) in [0, 1] -> identity code, attribute values, handed features.

    Where z is made knowing y (`NetworkConfig.y_to`), training tells the labels; in use, where nobody knows
    them, the encoder's own verdicts take their place.
    """

    def __init__(self, config: NetworkConfig, attributes: int, detach_y: bool) -> None:
        super().__init__()
        self.detach_y = detach_y
        self.trunk = encoder_trunk(config)
        self.y_head, self.told = config.y_head, attributes if "encoder" in config.y_to else 0
        channels = stage_channels(config.width, config.image_size)
        sides = [config.image_size >> (k + 1) for k in range(len(channels))]
        flat = channels[-1] * 16
        self.mean = nn.Linear(flat + self.told, config.latent_size)
        self.log_variance = nn.Linear(flat + self.told, config.latent_size)
        self.y_trunk = encoder_trunk(config) if config.y_head == "own" else None
        self.y = nn.Linear(config.latent_size if config.y_head == "code" else flat, attributes)
        self._stages = [sides.index(side) for side in config.handed]
        self.hand = nn.ModuleList(
            nn.Conv2d(channels[stage], size, 1)
            for stage, size in zip(self._stages, feature_channels(config), strict=True)
        )

    def flat(self, image: Tensor) -> Tensor:
        """The trunk's last map in one row, (N, F): what all heads read."""
        last: Tensor = self.trunk(image)[-1]
        return last.flatten(1)

    def forward(self, image: Tensor, y: Tensor | None = None) -> EncoderOutput:
        maps = self.trunk(image)
        flat = maps[-1].flatten(1)
        features = tuple(hand(maps[stage]) for hand, stage in zip(self.hand, self._stages, strict=True))
        if self.y_trunk is not None:
            y_logits = self.y(self.y_trunk(image)[-1].flatten(1))
        elif self.y_head == "trunk":
            y_logits = self.y(flat.detach() if self.detach_y else flat)
        if self.told:
            told = (y_logits > 0).to(flat.dtype) if y is None else y.to(flat.dtype)
            flat = torch.cat([flat, told], dim=1)
        mean = self.mean(flat)
        if self.y_head == "code":
            y_logits = self.y(mean.detach())
        # log-variance is kept where exp() is harmless in half precision
        log_variance = self.log_variance(flat).clamp(-12.0, 6.0)
        return EncoderOutput(mean, log_variance, y_logits, features)


class DcganDecoder(nn.Module):
    """The authors' decoder: y and z joined once at the input, 3x3 transposed convolutions of stride 2."""

    def __init__(self, config: NetworkConfig, attributes: int) -> None:
        super().__init__()
        channels = stage_channels(config.width, config.image_size)[::-1]
        self.top = channels[0]
        self.told = attributes if "decoder" in config.y_to else 0
        self.input = nn.Linear(config.latent_size + self.told, channels[0] * 16)
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

    def forward(self, z: Tensor, y: Tensor, features: tuple[Tensor, ...] = ()) -> Tensor:
        """z (N, Z), y (N, A) -> image (N, 3, S, S) in [0, 1]; takes no features."""
        h = torch.relu(self.input(torch.cat([y[:, : self.told], z], dim=1)))
        return torch.sigmoid(self.stages(h.view(-1, self.top, 4, 4)).float())


class ResidualDecoder(nn.Module):
    """Residual stages from 4x4 to half size, then a sub-pixel convolution (Shi et al., 2016) to full size.

    y joins the input and, if configured, every stage; features are gated.
    """

    def __init__(self, config: NetworkConfig, attributes: int) -> None:
        super().__init__()
        inner = stage_channels(config.width, config.image_size)[::-1][:-1]
        outputs = [*inner[1:], config.width]
        self.top = inner[0]
        self.told = attributes if "decoder" in config.y_to else 0
        self.input = nn.Linear(config.latent_size + self.told, inner[0] * 16)
        sizes = dict(zip(config.handed, feature_channels(config), strict=True))
        injected = self.told if config.inject_y else 0
        self._order: list[int | None] = []
        blocks = []
        side = 4
        for i, o in zip(inner, outputs, strict=True):
            side *= 2
            blocks.append(UpBlock(i, o, config.norm, injected, sizes.get(side, 0)))
            self._order.append(config.handed.index(side) if side in sizes else None)
        self.blocks = nn.ModuleList(blocks)
        self.output = nn.Sequential(nn.Conv2d(outputs[-1], 12, 3, padding=1), nn.PixelShuffle(2))
        with torch.no_grad():  # all four sub-pixels start alike: no checkerboard (Aitken et al., 2017)
            for tensor in self.output.parameters():
                tensor.copy_(tensor[::4].repeat_interleave(4, dim=0))

    def forward(self, z: Tensor, y: Tensor, features: tuple[Tensor, ...] = ()) -> Tensor:
        """z (N, Z), y (N, A), features (N, C_k, R_k, R_k) -> image (N, 3, S, S) in [0, 1]."""
        h = torch.relu(self.input(torch.cat([y[:, : self.told], z], dim=1)))
        h = h.view(-1, self.top, 4, 4)
        for block, which in zip(self.blocks, self._order, strict=True):
            h = block(h, y, None if which is None else features[which])
        return torch.sigmoid(self.output(h).float())


class Discriminator(nn.Module):
    """C: image (N, 3, S, S), y (N, A) where it is told -> real/fake logit (N,) and, for judging edits,
    attribute logits (N, A)."""

    def __init__(self, config: NetworkConfig, attributes: int, judge_y: bool) -> None:
        super().__init__()
        width = config.discriminator_width or config.width
        kernel, slope = (5, 0.0) if config.kind == "dcgan" else (4, 0.2)
        told = attributes if "discriminator" in config.y_to else 0
        self.trunk = DcganTrunk(config.image_size, width, kernel, slope, told)
        flat = self.trunk.channels[-1] * 16
        self.real = nn.Linear(flat, 1)
        self.y = nn.Linear(flat, attributes) if judge_y else None

    def features(self, image: Tensor, y: Tensor | None = None) -> Tensor:
        """f_C: what its last layer reads, (N, F)."""
        flat: Tensor = self.trunk(image, y)[-1]
        return flat.flatten(1)

    def forward(self, image: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        flat = self.features(image, y)
        return self.real(flat).squeeze(1), None if self.y is None else self.y(flat)


class Auxiliary(nn.Module):
    """A: z (N, Z) -> attribute logits (N, A); two hidden layers (the authors: 1000 units each)."""

    def __init__(self, config: NetworkConfig, attributes: int) -> None:
        super().__init__()
        hidden, rate = config.aux_hidden, config.aux_dropout
        self.layers = nn.Sequential(
            nn.Linear(config.latent_size, hidden),
            nn.ReLU(),
            nn.Dropout(rate),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(rate),
            nn.Linear(hidden, attributes),
        )

    def forward(self, z: Tensor) -> Tensor:
        logits: Tensor = self.layers(z)
        return logits


class Networks(nn.Module):
    """The four networks of a run, under the names that checkpoints use."""

    def __init__(self, config: NetworkConfig, attributes: int, detach_y: bool, judge_y: bool) -> None:
        super().__init__()
        self.encoder = Encoder(config, attributes, detach_y)
        self.decoder: nn.Module = (
            DcganDecoder(config, attributes)
            if config.kind == "dcgan"
            else ResidualDecoder(config, attributes)
        )
        self.discriminator = Discriminator(config, attributes, judge_y)
        self.auxiliary = Auxiliary(config, attributes)
