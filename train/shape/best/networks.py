"""The networks of the trained shape-and-appearance model.

Each is the linear baseline plus a network whose last layer is zero at the start: before any training an edit
is the baseline's straight line, and training bends it towards the person.

    log t(z, y) = tone(z, y_tone) + linear(z) + sum_a y_a C_a + conv(z, y), the same in every colour
    p(z, y)     = linear(z, y, y x pose) + MLP(z, y)

Outside [0, 1] y works on the linear parts alone, and not inside the mouth, where teeth would glow.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aif.runtime.editing.shape.gain import EPSILON
from aif.runtime.geometry import points as dense
from aif.runtime.networks.cpu import multiplies_bf16
from aif.train.shape.faces.known import TONE_ATTRIBUTES
from aif.train.shape.linear.networks import (
    Code,
    LinearDecoder,
    LinearEncoder,
    regressors,
)

ENCODER_CHANNELS = (12, 24, 48, 96, 128)
DECODER_CHANNELS = (128, 96, 64, 32, 16)
CRITIC_CHANNELS = (16, 32, 48, 64, 96)
HIDDEN = 192
"""Units of the small dense layers."""


class ShapeEncoder(nn.Module):
    """Texture and landmarks to z and y: q(z | t, p) and E_y(t, p).

    The features are the baseline's components beside those of a small convolutional network.

    Args:
        linear: the fitted baseline, copied.
        size: side of the texture in pixels, a multiple of 32.
    """

    def __init__(self, linear: LinearEncoder, size: int) -> None:
        super().__init__()
        codes, attributes = linear.z.in_features, linear.y.out_features
        self.linear = LinearEncoder(size, linear.points.out_features, linear.texture.out_features, attributes)
        self.linear.load_state_dict(linear.state_dict())
        layers: list[nn.Module] = []
        before = 3
        for stage, channels in enumerate(ENCODER_CHANNELS):
            layers += _encoder_stage(before, channels, again=2 <= stage <= 3, first=stage == 0)
            before = channels
        self.trunk = nn.Sequential(*layers)
        self.look = nn.Sequential(nn.Linear(before * (size // 32) ** 2, HIDDEN), nn.ReLU())
        self.points = nn.Sequential(
            nn.Linear(codes, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN // 2), nn.ReLU()
        )
        self.mean = _extended(linear.z, HIDDEN + HIDDEN // 2)
        self.y = _extended(linear.y, HIDDEN + HIDDEN // 2)
        self.log_variance = nn.Linear(self.mean.in_features, codes)
        nn.init.zeros_(self.log_variance.weight)
        nn.init.constant_(self.log_variance.bias, -3.0)
        for unused in (self.linear.z, self.linear.y):
            unused.requires_grad_(False)

    def features(self, image: Tensor, landmarks: Tensor) -> Tensor:
        """What the heads read, (N, F), of image (N, 3, S, S) in [0, 1] and landmarks (N, 221, 2)."""
        codes = self.linear.codes(image, landmarks)
        with _mixed(self, image.device):
            seen = self.trunk((image * 4 - 2).contiguous(memory_format=torch.channels_last))
        return torch.cat([codes, self.look(seen.float().flatten(1)), self.points(codes)], dim=1)

    def heads(self, features: Tensor) -> Code:
        """The code of features (N, F)."""
        log_variance = self.log_variance(features).clamp(-12, 4)
        return Code(self.mean(features), log_variance, self.y(features).sigmoid())

    def forward(self, image: Tensor, landmarks: Tensor) -> Code:
        """image (N, 3, S, S) texture in [0, 1], landmarks (N, 221, 2) in units of the crop's side."""
        return self.heads(self.features(image, landmarks))


class ShapeDecoder(nn.Module):
    """z (N, Z) and y (N, A) to texture (N, 3, S, S) in [0, 1] and landmarks (N, 221, 2).

    Args:
        linear: the fitted baseline, copied.
        attributes: names of y, which say which are the skin's tone.
        without: attributes that the networks do not see; the linear parts do.
    """

    def __init__(
        self, linear: LinearDecoder, attributes: tuple[str, ...], without: tuple[str, ...] = ()
    ) -> None:
        super().__init__()
        size, codes, count = linear.size, linear.coarse.in_features, len(attributes)
        self.size = size
        self.linear = LinearDecoder(size, codes, count)
        self.linear.load_state_dict(linear.state_dict())
        self.tonal: Tensor
        self.learnt: Tensor
        self.register_buffer("learnt", torch.tensor([float(name not in without) for name in attributes]))
        self.register_buffer("tonal", torch.tensor([float(name in TONE_ATTRIBUTES) for name in attributes]))
        self.hidden = nn.Sequential(nn.Linear(codes + count, HIDDEN), nn.LeakyReLU(0.2))
        first, stages = DECODER_CHANNELS[0], len(DECODER_CHANNELS) - 1
        self.side = size >> (stages + 1)
        self.start = nn.Linear(HIDDEN, first * self.side**2)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(DECODER_CHANNELS)
        )
        self.inject = nn.ModuleList(nn.Linear(HIDDEN + count, 2 * b) for b in DECODER_CHANNELS[1:])
        self.out = nn.Conv2d(DECODER_CHANNELS[-1], 12, 3, padding=1)
        self.move = nn.Sequential(
            nn.Linear(codes + count, HIDDEN),
            nn.LeakyReLU(0.2),
            nn.Linear(HIDDEN, HIDDEN),
            nn.LeakyReLU(0.2),
            nn.Linear(HIDDEN, 2 * dense.COUNT),
        )
        for layer in (self.out, self.move[-1], *self.inject):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.linear.requires_grad_(True)

    def decode(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Log texture log(t + e) (N, 3, S, S), not limited, and landmarks (N, 221, 2)."""
        lin, within = self.linear, y.clamp(0, 1)
        usual = within * self.learnt
        half = self.size // 2
        coarse = lin.coarse(z).unflatten(1, (3, half, half))
        # The convolutional part has four numbers for each place of the half-sized map.
        with _mixed(self, z.device):
            fine = F.pixel_shuffle(self._convolve(z, usual), 2)
        # Lightness alone: free to colour, the network finds blotches that please a classifier.
        fine = fine.float().mean(dim=1, keepdim=True)
        fine = fine + F.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
        map_of, inside = lin.fine, F.linear(within - y, lin.fine.weight)
        maps = map_of(y).unflatten(1, (3, self.size, self.size))
        fine = fine + maps + inside.reshape(maps.shape) * lin.mouth
        tone = lin.tone(torch.cat([z, y * self.tonal], dim=1))
        points = lin.points(regressors(z, y)) + self.move(torch.cat([z, usual], dim=1)) * 0.01
        return fine + tone[:, :, None, None], points.reshape(-1, dense.COUNT, 2)

    def _convolve(self, z: Tensor, y: Tensor) -> Tensor:
        hidden = self.hidden(torch.cat([z, y], dim=1))
        condition = torch.cat([hidden, y], dim=1)
        x = self.start(hidden).unflatten(1, (-1, self.side, self.side))
        x = x.contiguous(memory_format=torch.channels_last)
        for stage, (convolution, inject) in enumerate(zip(self.convolutions, self.inject, strict=True)):
            x = convolution(F.leaky_relu(x, 0.2) if stage else x)
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            scale, shift = inject(condition)[:, :, None, None].chunk(2, dim=1)
            x = x * (1 + scale) + shift
        out: Tensor = self.out(F.leaky_relu(x, 0.2))
        return out

    def forward(self, z: Tensor, y: Tensor, features: tuple[Tensor, ...] = ()) -> tuple[Tensor, Tensor]:
        """Texture and landmarks."""
        log_texture, points = self.decode(z, y)
        return (log_texture.exp() - EPSILON).clamp(0, 1), points


class Critic(nn.Module):
    """The discriminator: image (N, 3, S, S) in [0, 1] to real/fake logits (N, P), one a place and one of all.

    Args:
        size: side of the image in pixels, a multiple of 32.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for channels in CRITIC_CHANNELS:
            layers += [nn.Conv2d(before, channels, 3, 2, 1), nn.LeakyReLU(0.2)]
            before = channels
        self.near = nn.Sequential(*layers[:6])
        self.far = nn.Sequential(*layers[6:])
        self.places = nn.Conv2d(CRITIC_CHANNELS[2], 1, 1)
        self.whole = nn.Linear(before * (size // 32) ** 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        with _mixed(self, image.device):
            near = self.near((image * 4 - 2).contiguous(memory_format=torch.channels_last))
            logits = [self.whole(self.far(near).flatten(1)), self.places(near).flatten(1)]
        return torch.cat(logits, dim=1).float()


def _mixed(network: nn.Module, device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 for convolutions in training, where the device multiplies it; landmarks need all bits."""
    if not network.training or (device.type == "cpu" and not multiplies_bf16()):
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _encoder_stage(before: int, channels: int, again: bool, first: bool) -> list[nn.Module]:
    """Halve the side; `again`: a second convolution at the new side."""
    kernel = 5 if first else 3
    layers: list[nn.Module] = [
        nn.Conv2d(before, channels, kernel, 2, kernel // 2, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    ]
    if again:
        layers += [nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
    return layers


def _extended(layer: nn.Linear, more: int) -> nn.Linear:
    """The same layer with `more` inputs that do nothing yet."""
    wider = nn.Linear(layer.in_features + more, layer.out_features)
    with torch.no_grad():
        wider.weight.zero_()
        wider.weight[:, : layer.in_features] = layer.weight
        wider.bias.copy_(layer.bias)
    return wider
