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
    """q(z | x) and E_y(x): mean, log_variance (N, Z), y_logits (N, A)."""

    mean: Tensor
    log_variance: Tensor
    y_logits: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """z = mean + exp(log_variance / 2) * noise, noise (N, Z) standard normal."""
        return self.mean.float() + (0.5 * self.log_variance.float()).exp() * noise

    @property
    def y(self) -> Tensor:
        """Predicted attribute values in (0, 1), (N, A)."""
        return self.y_logits.float().sigmoid()


def encoder_trunk(config: NetworkConfig) -> nn.Module:
    """The backbone of an encoder, plain or residual: image (N, 3, S, S) -> features (N, F)."""
    if config.kind == "dcgan":
        return DcganTrunk(config.image_size, config.width)
    return ResidualTrunk(config.image_size, config.width, config.norm)


class Encoder(nn.Module):
    """E: image (N, 3, S, S) in [0, 1] -> latent code and attribute values.

    Where z is conditioned on y (`NetworkConfig.y_to`), training gives the labels; in use, where nobody knows
    them, the encoder's own predictions take their place.
    """

    def __init__(self, config: NetworkConfig, attributes: int) -> None:
        super().__init__()
        self.detach_y = config.detach_y
        self.trunk = encoder_trunk(config)
        self.y_head = config.y_head
        self.conditioned = "encoder" in config.y_to
        flat = stage_channels(config.width, config.image_size)[-1] * 16
        inputs = flat + (attributes if self.conditioned else 0)
        self.mean = nn.Linear(inputs, config.latent_size)
        self.log_variance = nn.Linear(inputs, config.latent_size)
        self.y_trunk = encoder_trunk(config) if config.y_head == "own" else None
        self.y = nn.Linear(config.latent_size if config.y_head == "code" else flat, attributes)

    def forward(self, image: Tensor, y: Tensor | None = None) -> EncoderOutput:
        flat = self.trunk(image)
        if self.y_trunk is not None:
            y_logits = self.y(self.y_trunk(image))
        elif self.y_head == "trunk":
            y_logits = self.y(flat.detach() if self.detach_y else flat)
        if self.conditioned:
            known = (y_logits > 0).to(flat.dtype) if y is None else y.to(flat.dtype)
            flat = torch.cat([flat, known], dim=1)
        mean = self.mean(flat)
        if self.y_head == "code":
            y_logits = self.y(mean.detach())
        # log-variance is kept where exp() is harmless in half precision
        return EncoderOutput(mean, self.log_variance(flat).clamp(-12.0, 6.0), y_logits)


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


@dataclass(frozen=True)
class DiscriminatorOutput:
    """C(x): `real` (N,), logit of a real face; `y_logits` (N, A), None where attributes are not predicted."""

    real: Tensor
    y_logits: Tensor | None


class Discriminator(nn.Module):
    """C: image (N, 3, S, S), y (N, A) where conditioned on it -> `DiscriminatorOutput`."""

    def __init__(self, config: NetworkConfig, attributes: int, predicts_y: bool) -> None:
        super().__init__()
        kernel, slope = (5, 0.0) if config.kind == "dcgan" else (4, 0.2)
        conditions = attributes if "discriminator" in config.y_to else 0
        norm = config.discriminator_norm
        self.trunk = DcganTrunk(config.image_size, config.width, kernel, slope, conditions, norm)
        flat = stage_channels(config.width, config.image_size)[-1] * 16
        self.real = nn.Linear(flat, 1)
        self.y = nn.Linear(flat, attributes) if predicts_y else None

    def features(self, image: Tensor, y: Tensor | None = None) -> Tensor:
        """f_C: what its last layer reads, (N, F)."""
        flat: Tensor = self.trunk(image, y)
        return flat

    def forward(self, image: Tensor, y: Tensor | None = None) -> DiscriminatorOutput:
        flat = self.features(image, y)
        return DiscriminatorOutput(self.real(flat).squeeze(1), None if self.y is None else self.y(flat))


class Auxiliary(nn.Module):
    """A: z (N, Z) -> attribute logits (N, A); two hidden layers (the authors: 1000 units each)."""

    def __init__(self, latent_size: int, attributes: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(latent_size, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, attributes),
        )

    def forward(self, z: Tensor) -> Tensor:
        logits: Tensor = self.layers(z)
        return logits


class Networks(nn.Module):
    """The four networks of a run, under the names that checkpoints use."""

    def __init__(self, config: NetworkConfig, attributes: int, predicts_y: bool) -> None:
        super().__init__()
        self.encoder = Encoder(config, attributes)
        decoder = DcganDecoder if config.kind == "dcgan" else ResidualDecoder
        self.decoder: Decoder = decoder(config, attributes)
        self.discriminator = Discriminator(config, attributes, predicts_y)
        self.auxiliary = Auxiliary(config.latent_size, attributes, config.aux_hidden, config.aux_dropout)
