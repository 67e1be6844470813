"""The networks of the trained shape-and-appearance model.

Each is the linear baseline plus a network whose last layer is zero at the start: before any training an edit
is the baseline's straight line, and training bends it towards the person.

    s, t        = y + mix(z, y)                              attribute values for shape and for texture
    log t(z, y) = tone(z, y_tone) + linear(z) + sum_a t_a C_a + conv(z)
    p(z, y)     = linear(z, s, s x pose) + MLP(z)
    detail(y)   = sum_a t_a K_a

So y reaches pixels and landmarks through the baseline's directions alone, in amounts that the network chooses
for the person: whatever it learns, an edit is made of how real faces differ. Inside the mouth t counts
within [0, 1] only, or teeth would glow.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aif.runtime.editing.shape.gain import EPSILON
from aif.runtime.geometry import points as dense
from aif.runtime.networks.cpu import multiplies_bf16
from aif.train.shape.faces.known import TONE_ATTRIBUTES
from aif.train.shape.linear.networks import Code, LinearDecoder, LinearEncoder, regressors

ENCODER_CHANNELS = (12, 24, 48, 96, 128)
DECODER_CHANNELS = (128, 96, 64, 32, 16)
CRITIC_CHANNELS = (16, 32, 48, 64, 96)
HIDDEN = 192
"""Units of the small dense layers."""
REACH = 0.5
"""How far outside [0, 1] the mixing network sees y."""


class Decoding(NamedTuple):
    """What N faces look like.

    Attributes:
        log_texture: log(t + e), (N, 3, S, S), not limited.
        points: (N, 221, 2) landmarks in units of the crop's side.
        detail: (N, 3, S/4, S/4) log amplitudes of fine bands (`aif.runtime.editing.shape.detail`).
    """

    log_texture: Tensor
    points: Tensor
    detail: Tensor

    @property
    def texture(self) -> Tensor:
        """(N, 3, S, S) in [0, 1]."""
        return (self.log_texture.exp() - EPSILON).clamp(0, 1)


class ShapeEncoder(nn.Module):
    """Texture and landmarks to z and y: q(z | t, p) and E_y(t, p).

    The features are the components of the fitted baseline `linear`, which is copied, beside those of a small
    convolutional network of textures of `size` px, a multiple of 32. Not `deep`, for trainings without
    Algorithm 1's stage, it is the baseline alone.
    """

    def __init__(self, linear: LinearEncoder, size: int, deep: bool = True) -> None:
        super().__init__()
        self.deep = deep
        codes, attributes = linear.z.out_features, linear.y.out_features
        random = linear.z.in_features - codes
        shape, texture = linear.points.out_features, linear.texture.out_features
        self.linear = LinearEncoder(size, shape, texture, attributes, random)
        self.linear.load_state_dict(linear.state_dict())
        layers: list[nn.Module] = []
        for stage, (before, channels) in enumerate(pairwise((3, *ENCODER_CHANNELS))):
            layers += _convolution(before, channels, 5 if stage == 0 else 3, 2)
            if stage in (2, 3):
                layers += _convolution(channels, channels, 3, 1)
        self.trunk = nn.Sequential(*layers)
        self.look = nn.Sequential(nn.Linear(ENCODER_CHANNELS[-1] * (size // 32) ** 2, HIDDEN), nn.ReLU())
        first, second = nn.Linear(codes, HIDDEN), nn.Linear(HIDDEN, HIDDEN // 2)
        self.points = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
        self.mean = _extended(linear.z, HIDDEN + HIDDEN // 2)
        self.y = _extended(linear.y, random + HIDDEN + HIDDEN // 2)
        self.log_variance = nn.Linear(self.mean.in_features, codes)
        nn.init.zeros_(self.log_variance.weight)
        nn.init.constant_(self.log_variance.bias, -3.0)
        self.linear.z.requires_grad_(False)
        self.linear.y.requires_grad_(False)

    def features(self, image: Tensor, landmarks: Tensor) -> Tensor:
        """What the heads read, (N, F), of image (N, 3, S, S) in [0, 1] and landmarks (N, 221, 2)."""
        codes = self.linear.codes(image, landmarks)
        with _mixed(self, image.device):
            seen = self.trunk((image * 4 - 2).contiguous(memory_format=torch.channels_last))
        known = self.linear.features(codes)
        return torch.cat([known, self.look(seen.float().flatten(1)), self.points(codes)], dim=1)

    def heads(self, features: Tensor) -> Code:
        """The code of features (N, F)."""
        log_variance = self.log_variance(features).clamp(-12, 4)
        return Code(self.mean(features), log_variance, self.y(features).sigmoid())

    def forward(self, image: Tensor, landmarks: Tensor) -> Code:
        """image (N, 3, S, S) texture in [0, 1], landmarks (N, 221, 2) in units of the crop's side."""
        found: Code = (
            self.heads(self.features(image, landmarks)) if self.deep else self.linear(image, landmarks)
        )
        return found


class ShapeDecoder(nn.Module):
    """z (N, Z) and y (N, A) to texture (N, 3, S, S) in [0, 1], landmarks (N, 221, 2) and detail.

    Args:
        linear: the fitted baseline, copied.
        attributes: names of y, which say which are the skin's tone.
        without: attributes that are not mixed, neither with others nor into them.
        deep: False = the baseline and mixing alone, for trainings without Algorithm 1's stage.
    """

    def __init__(
        self,
        linear: LinearDecoder,
        attributes: tuple[str, ...],
        without: tuple[str, ...] = (),
        deep: bool = True,
    ) -> None:
        super().__init__()
        self.deep = deep
        size, codes, count = linear.size, linear.coarse.in_features, len(attributes)
        self.size = size
        self.linear = LinearDecoder(size, codes, count)
        self.linear.load_state_dict(linear.state_dict())
        self.learnt = nn.Buffer(torch.tensor([float(name not in without) for name in attributes]))
        self.tonal = nn.Buffer(torch.tensor([float(name in TONE_ATTRIBUTES) for name in attributes]))
        self.mixing = nn.Sequential(
            nn.Linear(codes + count, HIDDEN),
            nn.LeakyReLU(0.2),
            nn.Linear(HIDDEN, HIDDEN),
            nn.LeakyReLU(0.2),
            nn.Linear(HIDDEN, 2 * count),
        )
        self.hidden = nn.Sequential(nn.Linear(codes, HIDDEN), nn.LeakyReLU(0.2))
        first, stages = DECODER_CHANNELS[0], len(DECODER_CHANNELS) - 1
        self.side = size >> (stages + 1)
        self.start = nn.Linear(HIDDEN, first * self.side**2)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(DECODER_CHANNELS)
        )
        self.out = nn.Conv2d(DECODER_CHANNELS[-1], 12, 3, padding=1)
        self.move = nn.Sequential(
            nn.Linear(codes, HIDDEN), nn.LeakyReLU(0.2), nn.Linear(HIDDEN, 2 * dense.COUNT)
        )
        for layer in (self.out, self.move[-1], self.mixing[-1]):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def mixed(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """What is added to y (N, A) for the shape, and for the texture."""
        known = torch.cat([z, y.clamp(-REACH, 1 + REACH) * self.learnt], dim=1)
        shape, texture = self.mixing(known).chunk(2, dim=1)
        return shape * self.learnt, texture * self.learnt

    def decode(self, z: Tensor, y: Tensor) -> Decoding:
        """What `forward` gives, before pixels are limited."""
        lin = self.linear
        for_shape, for_texture = (y + more for more in self.mixed(z, y))
        maps = lin.fine(for_texture).unflatten(1, (3, self.size, self.size))
        within = F.linear(for_texture.clamp(0, 1) - for_texture, lin.fine.weight)
        tone = lin.tone(torch.cat([z, y * self.tonal], dim=1))[:, :, None, None]
        log_texture = self.person(z) + maps + within.reshape(maps.shape) * lin.mouth + tone
        points: Tensor = lin.points(regressors(z, for_shape))
        if self.deep:
            points = points + self.movement(z)
        return Decoding(log_texture, points.reshape(-1, dense.COUNT, 2), lin.amplitudes(for_texture))

    def person(self, z: Tensor) -> Tensor:
        """What z says of the log texture, (N, 3, S, S), without the skin's tone."""
        coarse = self.linear.person(z)
        if not self.deep:
            return coarse
        # The convolutional part has four numbers for each place and colour of the half-sized map.
        with _mixed(self, z.device):
            x = self.start(self.hidden(z)).unflatten(1, (-1, self.side, self.side))
            x = x.contiguous(memory_format=torch.channels_last)
            for stage, convolution in enumerate(self.convolutions):
                x = convolution(F.leaky_relu(x, 0.2) if stage else x)
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            fine = F.pixel_shuffle(self.out(F.leaky_relu(x, 0.2)), 2)
        return fine.float() + coarse

    def movement(self, z: Tensor) -> Tensor:
        """What the person adds to the linear landmarks, (N, 442) in units of the crop's side."""
        movement: Tensor = self.move(z) * 0.01
        return movement

    def forward(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Texture, landmarks and detail."""
        decoding = self.decode(z, y)
        return decoding.texture, decoding.points, decoding.detail


class Discriminator(nn.Module):
    """The discriminator: image (N, 3, S, S) in [0, 1], S a multiple of 32, to real/fake logits (N, P), one a
    place and one of all."""

    def __init__(self, size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, channels in pairwise((3, *CRITIC_CHANNELS)):
            layers += [nn.Conv2d(before, channels, 3, 2, 1), nn.LeakyReLU(0.2)]
        self.near = nn.Sequential(*layers[:6])
        self.far = nn.Sequential(*layers[6:])
        self.places = nn.Conv2d(CRITIC_CHANNELS[2], 1, 1)
        self.whole = nn.Linear(CRITIC_CHANNELS[-1] * (size // 32) ** 2, 1)

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


def _convolution(before: int, channels: int, kernel: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(before, channels, kernel, stride, kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(channels), nn.ReLU()]


def _extended(layer: nn.Linear, more: int) -> nn.Linear:
    """The same layer with `more` inputs that do nothing yet."""
    wider = nn.Linear(layer.in_features + more, layer.out_features)
    with torch.no_grad():
        wider.weight.zero_()
        wider.weight[:, : layer.in_features] = layer.weight
        wider.bias.copy_(layer.bias)
    return wider
