"""The four networks of the method: encoder, decoder, discriminator, auxiliary network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aif.train.config import NetworkConfig
from aif.train.networks.blocks import DcganTrunk, ResidualTrunk, stage_channels
from aif.train.networks.decoders import DcganDecoder, Decoder, ResidualDecoder


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


class Erasure(nn.Module):
    """Takes out of codes z (N, Z) what a linear probe reads of y, in closed form and while they change.

        z - C (C^T S^-1 C)^-1 C^T S^-1 (z - m)        C = cov(z, y), S = cov(z, z), m = E z

    is what LEACE erases (Belrose et al., 2023, theorem 4.3); the moments are running ones of the codes in
    training.
    """

    MOMENTUM = 0.02
    """What a batch counts in the moments."""

    def __init__(self, latent_size: int, attributes: int) -> None:
        super().__init__()
        self.mean_z: Tensor
        self.mean_y: Tensor
        self.zz: Tensor
        self.zy: Tensor
        self.matrix: Tensor
        self.register_buffer("mean_z", torch.zeros(latent_size))
        self.register_buffer("mean_y", torch.full((attributes,), 0.5))
        self.register_buffer("zz", torch.eye(latent_size))
        self.register_buffer("zy", torch.zeros(latent_size, attributes))
        self.register_buffer("matrix", torch.eye(latent_size))

    def forward(self, z: Tensor, y: Tensor | None) -> Tensor:
        """y (N, A): labels that the moments go on with; None = they stay."""
        with torch.autocast(z.device.type, enabled=False):
            z = z.float()
            if y is not None and self.training:
                self._go_on(z.detach(), y.float())
            return self.mean_z + (z - self.mean_z) @ self.matrix.T

    @torch.no_grad()
    def _go_on(self, z: Tensor, y: Tensor) -> None:
        self.mean_z.lerp_(z.mean(0), self.MOMENTUM)
        self.mean_y.lerp_(y.mean(0), self.MOMENTUM)
        z, y = z - self.mean_z, y - self.mean_y
        self.zz.lerp_(z.T @ z / len(z), self.MOMENTUM)
        self.zy.lerp_(z.T @ y / len(z), self.MOMENTUM)
        scale = self.zz.diagonal().mean()
        eye = torch.eye(len(self.zz), device=z.device)
        inverse = torch.linalg.solve(self.zz + 1e-3 * scale * eye, self.zy)
        known = self.zy.T @ inverse + 1e-6 * torch.eye(self.zy.shape[1], device=z.device)
        self.matrix.copy_(eye - self.zy @ torch.linalg.solve(known, inverse.T))


class Encoder(nn.Module):
    """E: image (N, 3, S, S) in [0, 1] -> latent code and attribute values.

    Training gives the labels. Where z is conditioned on y (`NetworkConfig.y_to`), the encoder's own
    predictions take their place in use, when nobody knows them; where y is erased from z, labels say what.
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
        self.erasure = Erasure(config.latent_size, attributes) if config.erase_y else None
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
        if self.erasure is not None:
            mean = self.erasure(mean, y)
        if self.y_head == "code":
            y_logits = self.y(mean.detach())
        # log-variance is kept where exp() is harmless in half precision
        return EncoderOutput(mean, self.log_variance(flat).clamp(-12.0, 6.0), y_logits)


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
        self.trunk = DcganTrunk(config.image_size, config.width, kernel, slope, conditions)
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
