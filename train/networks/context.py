"""A decoder that sees the face around an edit: what the edit may change is hidden from it, the rest is kept.

Everything inside the hidden region comes from z and y (and from what the surroundings suggest), so y has to
carry the attribute there, as in the paper; everything outside is the face itself, as sharp as it came. What
is shown of a drawing takes its slow tint, and how sharp it is, from the photo as well. Edits of colour or of
the whole face also see a sketch of what is hidden, or they would draw another person.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from aif.runtime.regions import RECOLOURED, SKETCHED, hidden_mask
from aif.train.config import NetworkConfig
from aif.train.networks.blocks import ResidualTrunk
from aif.train.networks.decoders import ResidualDecoder
from aif.train.networks.filters import average, guided, luminance, sharpened, sketch, spread

CHANGE_FROM, CHANGE_FULL = 0.05, 0.35
"""Changes of an attribute value below the first hide nothing, from the second on its whole region."""
GAIN, MOST_COLOUR, MOST_LIGHT = 2.0, 0.1, 0.07
"""How much the difference of two drawings is enlarged (what the surroundings tell of y is in both
and lost), and the most by which it then moves colours at one luminance, and a fine luminance. Range 1."""
AGREE, WORST = 0.15, 0.2
"""Drawings that differ by the first no longer agree; colours are wrong by the second at most. Range 1."""


class Hiding(nn.Module):
    """Change of y (N, A) -> what is hidden, (N, 3, S, S) in [0, 1]: the union of the attributes' regions; the
    part of it of which not even a sketch is shown; and the part where more than colours may change."""

    masks: Tensor
    members: Tensor

    def __init__(self, image_size: int, names: Sequence[str]) -> None:
        super().__init__()
        regions: dict[tuple[int, bytes], list[int]] = {}  # attributes that share one, by what an edit may do
        found = [hidden_mask(image_size, name) for name in names]
        for index, name in enumerate(names):
            freedom = 0 if name not in SKETCHED else 2 if name in RECOLOURED else 1
            regions.setdefault((freedom, found[index].tobytes()), []).append(index)
        shared = sorted(regions.items(), key=lambda item: item[0][0])
        counts = [sum(freedom == each for (freedom, _), _ in shared) for each in range(3)]
        shaped, recoloured = counts[0], counts[0] + counts[1]
        self.parts = (slice(shaped), slice(shaped, recoloured), slice(recoloured, None))
        members = torch.zeros(len(shared), len(names))
        for row, (_, indices) in enumerate(shared):
            members[row, indices] = 1
        masks = torch.from_numpy(np.stack([found[indices[0]] for _, indices in shared]))
        self.register_buffer("masks", masks, persistent=False)
        self.register_buffer("members", members, persistent=False)

    def forward(self, change: Tensor) -> Tensor:
        t = ((change.abs() - CHANGE_FROM) / (CHANGE_FULL - CHANGE_FROM)).clamp(0, 1)
        strength = t * t * (3 - 2 * t)
        strength = (strength[:, None] * self.members).amax(dim=2)[:, :, None, None]  # (N, regions, 1, 1)
        parts = [self._union(strength[:, part], self.masks[part]) for part in self.parts]
        return torch.cat([torch.cat(parts, dim=1).amax(dim=1, keepdim=True), *parts[:2]], dim=1)

    @staticmethod
    def _union(strength: Tensor, masks: Tensor) -> Tensor:
        """Strengths (N, R, 1, 1) of masks (R, S, S) -> (N, 1, S, S); R may be 0."""
        if not len(masks):
            return strength.new_zeros(strength.shape[0], 1, *masks.shape[1:])
        return (strength * masks).amax(dim=1, keepdim=True)


class ContextDecoder(nn.Module):
    """D: z, y, and from the encoder the image and the y that it read -> image with y in place of that.

    Where y differs from what was read, the attribute's region is hidden before the image goes in; the decoder
    draws it anew from z, y and the surroundings, and the image stays as it is elsewhere. Where it is given a
    sketch, it draws the region with either y, and the difference is added to the image: what it does not know
    of colours is wrong in both, and goes. The difference is smoothed along the image's own edges: widely, but
    for the luminance of edits that are not of colour alone.
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
        return self.edit(z, y, features)[0]

    def edit(self, z: Tensor, y: Tensor, features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """What `forward` returns; and the image with the hidden region drawn with y, and with y as read."""
        image, y_read = features
        hidden, blind, shaped = self.hiding(y - y_read).split(1, dim=1)
        maps = [torch.cat([each, each]) for each in self._look(image, hidden, blind)]
        both: Tensor = self.draw(torch.cat([z, z]), torch.cat([y, y_read]), tuple(maps))
        faces = z.shape[0]  # neither len() nor chunk(): they would fix the N of an exported graph
        after, before = both[:faces], both[faces:]
        seen = image * (1 - hidden)
        change = self._cleaned(after - before, image, hidden - blind, shaped)
        shown = sharpened(after + self._tint(image - before, after - before, blind), before, image, blind)
        edited = seen + shown * blind + (image + change) * (hidden - blind)
        return edited.clamp(0, 1), seen + after * hidden, seen + before * hidden

    def redraw(self, z: Tensor, y: Tensor, image: Tensor, change: Tensor) -> Tensor:
        """The image with what a change of y (N, A) would hide drawn anew with y (N, A)."""
        hidden, blind, _ = self.hiding(change).split(1, dim=1)
        drawn: Tensor = self.draw(z, y, tuple(self._look(image, hidden, blind)))
        whole: Tensor = image * (1 - hidden) + drawn * hidden
        return whole

    @staticmethod
    def _cleaned(change: Tensor, image: Tensor, where: Tensor, shaped: Tensor) -> Tensor:
        """A change (N, 3, S, S) of the image `where` it counts, without stains: see `guided`."""
        light, step = luminance(image), image.shape[-1] // 64
        wide = GAIN * guided(change, light, where, 2 * step, 3)
        fine = GAIN * guided(luminance(change), light, where, step, 2)
        broad = luminance(wide)
        colour = MOST_COLOUR * torch.tanh((wide - broad) / MOST_COLOUR)
        return colour + broad * (1 - shaped) + MOST_LIGHT * torch.tanh(fine / MOST_LIGHT) * shaped

    @staticmethod
    def _tint(error: Tensor, change: Tensor, where: Tensor) -> Tensor:
        """What is wrong with the colours of a drawing (N, 3, S, S): the slow error of the one with y as read,
        carried from where both drawings agree to where they do not."""
        step = error.shape[-1] // 32
        t = (average(change.abs().amax(dim=1, keepdim=True), step) / AGREE).clamp(0, 1)
        return spread(error.clamp(-WORST, WORST), where * (1.02 - t), step, 2)

    def _look(self, image: Tensor, hidden: Tensor, blind: Tensor) -> list[Tensor]:
        """The surroundings as maps, of side 8 first."""
        sketched = sketch(image * (1 - blind)) * (hidden - blind)
        maps: list[Tensor] = self.surroundings(
            torch.cat([image * (1 - hidden), hidden, blind, sketched], dim=1)
        )
        return maps[-2::-1]
