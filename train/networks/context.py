"""A decoder that sees the face around an edit: what the edit may change is hidden from it, the rest is kept.

Everything inside the hidden region comes from z and y (and from what the surroundings suggest), so y has to
carry the attribute there, as in the paper; everything outside is the face itself, as sharp as it came.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from aif.runtime.regions import hidden_mask
from aif.train.config import NetworkConfig
from aif.train.networks.blocks import ResidualTrunk
from aif.train.networks.decoders import ResidualDecoder

CHANGE_FROM, CHANGE_FULL = 0.05, 0.35
"""Changes of an attribute value below the first hide nothing, from the second on its whole region."""


class Hiding(nn.Module):
    """Change of y (N, A) -> what is hidden, (N, 1, S, S) in [0, 1]: the union of the attributes' regions."""

    masks: Tensor

    def __init__(self, image_size: int, names: Sequence[str]) -> None:
        super().__init__()
        masks = np.stack([hidden_mask(image_size, name) for name in names])
        self.register_buffer("masks", torch.from_numpy(masks), persistent=False)

    def forward(self, change: Tensor) -> Tensor:
        t = ((change.abs() - CHANGE_FROM) / (CHANGE_FULL - CHANGE_FROM)).clamp(0, 1)
        strength = t * t * (3 - 2 * t)
        return (strength[:, :, None, None] * self.masks).amax(dim=1, keepdim=True)


class ContextDecoder(nn.Module):
    """D: z, y, and from the encoder the image and the y that it read -> image with y in place of that.

    Where y differs from what was read, the attribute's region is hidden before the image goes in; the decoder
    draws it anew from z, y and the surroundings, and the image stays as it is elsewhere.
    """

    def __init__(self, config: NetworkConfig, names: Sequence[str]) -> None:
        super().__init__()
        sides = tuple(side for side in (8, 16, 32, 64, 128) if side < config.image_size)
        self.hiding = Hiding(config.image_size, names)
        self.surroundings = ResidualTrunk(config.image_size, config.width, config.norm, inputs=4)
        self.draw = ResidualDecoder(
            dataclasses.replace(config, context=False, decoder_width=None, handed=sides), len(names)
        )

    def forward(self, z: Tensor, y: Tensor, features: tuple[Tensor, ...]) -> Tensor:
        """z (N, Z), y (N, A), features: image (N, 3, S, S) in [0, 1] and y as read (N, A) -> image."""
        image, y_read = features
        hidden: Tensor = self.hiding(y - y_read)
        maps = self.surroundings(torch.cat([image * (1 - hidden), hidden], dim=1))
        drawn: Tensor = self.draw(z, y, tuple(reversed(maps[:-1])))
        return image * (1 - hidden) + drawn * hidden
