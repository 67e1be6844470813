"""A decoder that sees the face around an edit: what the edit may change is hidden from it, the rest is kept.

Everything inside the hidden region comes from z and y (and from what the surroundings suggest), so y has to
carry the attribute there, as in the paper; everything outside is the face itself, as sharp as it came. Edits
of colour or of the whole face also see a sketch of what is hidden, or they would draw another person.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aif.runtime.regions import SKETCHED, hidden_mask
from aif.train.config import NetworkConfig
from aif.train.networks.blocks import ResidualTrunk
from aif.train.networks.decoders import ResidualDecoder

CHANGE_FROM, CHANGE_FULL = 0.05, 0.35
"""Changes of an attribute value below the first hide nothing, from the second on its whole region."""
LUMA = (0.299, 0.587, 0.114)
SKETCH_GAIN = 4.0


class Hiding(nn.Module):
    """Change of y (N, A) -> what is hidden, (N, 2, S, S) in [0, 1]: the union of the attributes' regions, and
    the part of it of which not even a sketch is shown."""

    masks: Tensor
    blind: Tensor

    def __init__(self, image_size: int, names: Sequence[str]) -> None:
        super().__init__()
        masks = np.stack([hidden_mask(image_size, name) for name in names])
        self.register_buffer("masks", torch.from_numpy(masks), persistent=False)
        blind = torch.tensor([float(name not in SKETCHED) for name in names])
        self.register_buffer("blind", blind, persistent=False)

    def forward(self, change: Tensor) -> Tensor:
        t = ((change.abs() - CHANGE_FROM) / (CHANGE_FULL - CHANGE_FROM)).clamp(0, 1)
        strength = t * t * (3 - 2 * t)
        strengths = torch.stack([strength, strength * self.blind], dim=1)  # (N, 2, A)
        return (strengths[:, :, :, None, None] * self.masks).amax(dim=2)


def sketch(image: Tensor) -> Tensor:
    """Fine structure of the luminance, (N, 3, S, S) -> (N, 1, S, S) about 0: no colour, and of shading only
    what changes within a sixteenth of the side."""
    luminance = (image * image.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
    reach = image.shape[-1] // 32
    smooth = luminance
    for _ in range(2):
        smooth = F.avg_pool2d(smooth, 2 * reach + 1, stride=1, padding=reach, count_include_pad=False)
    return SKETCH_GAIN * (luminance - smooth)


class ContextDecoder(nn.Module):
    """D: z, y, and from the encoder the image and the y that it read -> image with y in place of that.

    Where y differs from what was read, the attribute's region is hidden before the image goes in; the decoder
    draws it anew from z, y and the surroundings (for some attributes, from a sketch of what is hidden, too),
    and the image stays as it is elsewhere.
    """

    def __init__(self, config: NetworkConfig, names: Sequence[str]) -> None:
        super().__init__()
        sides = tuple(side for side in (8, 16, 32, 64, 128) if side < config.image_size)
        self.hiding = Hiding(config.image_size, names)
        self.surroundings = ResidualTrunk(config.image_size, config.width, config.norm, inputs=6)
        self.draw = ResidualDecoder(
            dataclasses.replace(config, context=False, decoder_width=None, handed=sides), len(names)
        )

    def forward(self, z: Tensor, y: Tensor, features: tuple[Tensor, ...]) -> Tensor:
        """z (N, Z), y (N, A), features: image (N, 3, S, S) in [0, 1] and y as read (N, A) -> image."""
        image, y_read = features
        hidden, blind = self.hiding(y - y_read).split(1, dim=1)
        sketched = sketch(image * (1 - blind)) * (hidden - blind)
        seen = image * (1 - hidden)
        maps = self.surroundings(torch.cat([seen, hidden, blind, sketched], dim=1))
        drawn = self.draw(z, y, tuple(reversed(maps[:-1])))
        edited: Tensor = seen + drawn * hidden
        return edited
