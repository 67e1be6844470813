"""The four networks of the method: encoder, decoder, discriminator, auxiliary network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aif.train.config import NetworkConfig
from aif.train.networks.blocks import DcganTrunk, ResidualTrunk, stage_channels
from aif.train.networks.context import ContextDecoder
from aif.train.networks.decoders import DcganDecoder, ResidualDecoder, feature_channels


@dataclass(frozen=True)
class EncoderOutput:
    """q(z | x) and E_y(x): mean, log_variance (N, Z), y_logits (N, A).

    features: what is handed to the decoder, maps (N, C_k, R_k, R_k); to one that sees the surroundings of an
    edit, the image (N, 3, S, S) and y as read (N, A).
    """

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
        self.context = config.context
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
        if self.context:
            features = (image, y_logits.float().sigmoid())
        return EncoderOutput(mean, log_variance, y_logits, features)


class Discriminator(nn.Module):
    """C: image (N, 3, S, S), y (N, A) where it is told -> real/fake logit (N,) and, for judging edits,
    attribute logits (N, A).

    One that judges patches, too, has logits (N, P): the first is of the whole picture, then come those of
    16x16 and of 8x8 places (Isola et al., 2017).
    """

    PATCHES = (16, 8)

    def __init__(self, config: NetworkConfig, attributes: int, judge_y: bool) -> None:
        super().__init__()
        width = config.discriminator_width or config.width
        kernel, slope = (5, 0.0) if config.kind == "dcgan" else (4, 0.2)
        told = attributes if "discriminator" in config.y_to else 0
        self.trunk = DcganTrunk(config.image_size, width, kernel, slope, told)
        flat = self.trunk.channels[-1] * 16
        self.real = nn.Linear(flat, 1)
        sides = self.PATCHES if config.patches else ()
        self._stages = [(config.image_size // side).bit_length() - 2 for side in sides]
        self.patches = nn.ModuleList(nn.Conv2d(self.trunk.channels[stage], 1, 1) for stage in self._stages)
        self.y = nn.Linear(flat, attributes) if judge_y else None

    def features(self, image: Tensor, y: Tensor | None = None) -> Tensor:
        """f_C: what its last layer reads, (N, F)."""
        flat: Tensor = self.trunk(image, y)[-1]
        return flat.flatten(1)

    def forward(self, image: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        return self.look(image, y)[:2]

    def look(self, image: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """What `forward` returns, and the maps that it was read from."""
        maps: list[Tensor] = self.trunk(image, y)
        flat = maps[-1].flatten(1)
        real = self.real(flat)
        judged = [head(maps[k]).flatten(1) for head, k in zip(self.patches, self._stages, strict=True)]
        real = torch.cat([real, *judged], dim=1) if judged else real.squeeze(1)
        return real, None if self.y is None else self.y(flat), maps

    def attention(self, hidden: Tensor) -> Tensor | None:
        """How much each logit counts, (N, P), where only `hidden` (N, 1, S, S) of a face was drawn: each
        scale alike, and within it the places by how much of them was drawn. None without patches."""
        if not len(self.patches):
            return None
        shares = [F.adaptive_avg_pool2d(hidden, side).flatten(1) for side in self.PATCHES]
        shares = [share / share.sum(dim=1, keepdim=True).clamp(min=1e-6) for share in shares]
        return torch.cat([torch.ones_like(shares[0][:, :1]), *shares], dim=1) / (1 + len(shares))


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

    def __init__(
        self, config: NetworkConfig, attributes: Sequence[str], detach_y: bool, judge_y: bool
    ) -> None:
        super().__init__()
        count = len(attributes)
        self.encoder = Encoder(config, count, detach_y)
        drawing = dataclasses.replace(config, width=config.decoder_width or config.width)
        self.decoder: nn.Module
        if config.context:
            self.decoder = ContextDecoder(drawing, attributes)
        elif config.kind == "dcgan":
            self.decoder = DcganDecoder(drawing, count)
        else:
            self.decoder = ResidualDecoder(drawing, count)
        self.discriminator = Discriminator(config, count, judge_y)
        self.auxiliary = Auxiliary(config, count)
