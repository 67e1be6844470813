"""The linear baseline: encoder and decoder without a hidden layer, fitted in closed form in a few minutes of
one core.

z are principal components of landmarks and texture and the skin's tone, freed of every linear trace of y, and
with a game against an auxiliary network of others, too; the decoder is a ridge regression of landmarks and
log texture on z and y. So an edit is one straight line an attribute, the same for everybody but for the
landmarks, whose line bends a little with the pose. A network has to beat it.

Source: active appearance models (Cootes, Edwards and Taylor, 1998) with the attribute as a regressor beside
    the components; LEACE for the erasure (Belrose et al., 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aif.runtime.editing.shape.detail import SHARE, SIGMAS
from aif.runtime.editing.shape.gain import EPSILON
from aif.runtime.geometry import points as dense

# The leading components of the landmarks are yaw and pitch: with them the effect of y on the landmarks may
# vary.
POSE_COMPONENTS = 3


@dataclass
class Code:
    """What an encoder of textures and landmarks gives: mean and log_variance (N, Z), y (N, A) in [0, 1]."""

    mean: Tensor
    log_variance: Tensor
    y: Tensor


class LinearEncoder(nn.Module):
    """Texture and landmarks to principal components, z and y.

    Args:
        size: side of the texture in pixels.
        shape, texture: numbers of components.
        attributes: number of attributes.
        features: random features of the components, of which z may be made beside them; 0 = none.
    """

    def __init__(self, size: int, shape: int, texture: int, attributes: int, features: int = 0) -> None:
        super().__init__()
        half, codes = size // 2, shape + texture + 3
        self.tone_weight = nn.Buffer(torch.zeros(1, 1, half, half))
        self.points = nn.Linear(2 * dense.COUNT, shape)
        self.texture = nn.Linear(3 * half * half, texture)
        self.tone = nn.Linear(3, 3)
        self.random = None
        if features:
            first, second = nn.Linear(codes, features), nn.Linear(features, features)
            self.random = nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2))
        self.z = nn.Linear(codes + features, codes)
        self.y = nn.Linear(codes, attributes)

    def split(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Log textures at half the side without the tone, (N, 3 * half^2), and the skin's own tone, (N, 3):
        mean log colour of cheeks and bridge of the nose."""
        texture = (F.avg_pool2d(image, 2) + EPSILON).log()
        tone = (texture * self.tone_weight).sum(dim=(2, 3))
        return (texture - tone[:, :, None, None]).flatten(1), tone

    def codes(self, image: Tensor, landmarks: Tensor) -> Tensor:
        """Standardised components (N, C) of image (N, 3, S, S) in [0, 1] and landmarks (N, 221, 2)."""
        texture, tone = self.split(image)
        return torch.cat([self.points(landmarks.flatten(1)), self.texture(texture), self.tone(tone)], dim=1)

    def features(self, codes: Tensor) -> Tensor:
        """What z is linear in: the components (N, C), and random features of them, if there are any."""
        return codes if self.random is None else torch.cat([codes, self.random(codes)], dim=1)

    def forward(self, image: Tensor, landmarks: Tensor) -> Code:
        """image (N, 3, S, S) texture in [0, 1], landmarks (N, 221, 2) in units of the crop's side."""
        codes = self.codes(image, landmarks)
        z = self.z(self.features(codes))
        return Code(z, torch.full_like(z, -20), self.y(codes).sigmoid())


class LinearDecoder(nn.Module):
    """z (N, Z) and y (N, A) to texture (N, 3, S, S) in [0, 1], landmarks (N, 221, 2) and detail, log
    amplitudes (N, 3, S/4, S/4) of fine bands relative to a face without any attribute.

    Between the lips y counts within 0 and 1 only: exaggerated, teeth would glow.
    """

    def __init__(self, size: int, codes: int, attributes: int) -> None:
        super().__init__()
        self.size = size
        cross = POSE_COMPONENTS * attributes
        self.points = nn.Linear(codes + attributes + cross, 2 * dense.COUNT)
        self.coarse = nn.Linear(codes, 3 * (size // 2) ** 2)
        self.fine = nn.Linear(attributes, 3 * size**2)
        self.tone = nn.Linear(codes + attributes, 3)
        self.detail = nn.Linear(attributes, len(SIGMAS) * (size // SHARE) ** 2, bias=False)
        self.mouth = nn.Buffer(torch.zeros(1, 1, size, size))

    def forward(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Texture, landmarks and detail."""
        points = self.points(regressors(z, y)).unflatten(1, (dense.COUNT, 2))
        tone = self.tone(torch.cat([z, y], dim=1))[:, :, None, None]
        shape = (3, self.size, self.size)
        face, mouth = (self.fine(value).unflatten(1, shape) for value in (y, y.clamp(0, 1)))
        texture = (self.person(z) + face + self.mouth * (mouth - face) + tone).exp() - EPSILON
        return texture.clamp(0, 1), points, self.amplitudes(y)

    def person(self, z: Tensor) -> Tensor:
        """What z says of the log texture, (N, 3, S, S), without the skin's tone."""
        coarse = self.coarse(z).unflatten(1, (3, self.size // 2, self.size // 2))
        return F.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)

    def amplitudes(self, y: Tensor) -> Tensor:
        """The detail of y (N, A)."""
        side = self.size // SHARE
        amplitudes: Tensor = self.detail(y).unflatten(1, (len(SIGMAS), side, side))
        return amplitudes


def unfitted(
    size: int, shape: int, texture: int, attributes: int, features: int = 0
) -> tuple[LinearEncoder, LinearDecoder]:
    """A baseline of these sizes (as `LinearEncoder` has them), for weights to be put in."""
    encoder = LinearEncoder(size, shape, texture, attributes, features)
    return encoder, LinearDecoder(size, encoder.z.out_features, attributes)


def regressors(z: Tensor, y: Tensor) -> Tensor:
    """What the landmarks are regressed on: z, y, and y times the components of pose."""
    cross = (y[:, :, None] * z[:, None, :POSE_COMPONENTS]).flatten(1)
    return torch.cat([z, y, cross], dim=1)
