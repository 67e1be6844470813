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
    members: Tensor

    def __init__(self, image_size: int, names: Sequence[str]) -> None:
        super().__init__()
        regions: dict[tuple[bool, bytes], list[int]] = {}  # attributes that share one; blind ones first
        found = [hidden_mask(image_size, name) for name in names]
        for index, name in enumerate(names):
            regions.setdefault((name in SKETCHED, found[index].tobytes()), []).append(index)
        shared = sorted(regions.items(), key=lambda item: item[0][0])
        self.blind = sum(not sketched for (sketched, _), _ in shared)
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
        blind = self._union(strength[:, : self.blind], self.masks[: self.blind])
        sketched = self._union(strength[:, self.blind :], self.masks[self.blind :])
        return torch.cat([torch.maximum(blind, sketched), blind], dim=1)

    @staticmethod
    def _union(strength: Tensor, masks: Tensor) -> Tensor:
        """Strengths (N, R, 1, 1) of masks (R, S, S) -> (N, 1, S, S); R may be 0."""
        if not len(masks):
            return strength.new_zeros(strength.shape[0], 1, *masks.shape[1:])
        return (strength * masks).amax(dim=1, keepdim=True)


def sketch(image: Tensor) -> Tensor:
    """Fine structure of the luminance, (N, 3, S, S) -> (N, 1, S, S) about 0: no colour, and of shading only
    what changes within a sixteenth of the side."""
    luminance = (image * image.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
    return SKETCH_GAIN * (luminance - smooth(luminance, image.shape[-1] // 32))


def smooth(maps: Tensor, reach: int) -> Tensor:
    """(N, C, S, S) averaged twice over squares reaching `reach` px; at the border over what there is."""
    for side in (2 * reach + 1, 1), (1, 2 * reach + 1):
        for _ in range(2):
            pad = (side[0] // 2, side[1] // 2)
            maps = F.avg_pool2d(maps, side, stride=1, padding=pad, count_include_pad=False)
    return maps


class ContextDecoder(nn.Module):
    """D: z, y, and from the encoder the image and the y that it read -> image with y in place of that.

    Where y differs from what was read, the attribute's region is hidden before the image goes in; the decoder
    draws it anew from z, y and the surroundings, and the image stays as it is elsewhere. Where it is given a
    sketch, it draws the region with either y, and the difference, smoothed, is added to the image: what it
    does not know of colours is wrong in both, and goes; what only a judge would see is smoothed away.
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
        hidden, blind = self.hiding(y - y_read).split(1, dim=1)
        maps = [torch.cat([each, each]) for each in self._look(image, hidden, blind)]
        both: Tensor = self.draw(torch.cat([z, z]), torch.cat([y, y_read]), tuple(maps))
        faces = z.shape[0]  # neither len() nor chunk(): they would fix the N of an exported graph
        after, before = both[:faces], both[faces:]
        seen = image * (1 - hidden)
        change = smooth(after - before, image.shape[-1] // 64)
        edited = seen + after * blind + (image + change) * (hidden - blind)
        return edited.clamp(0, 1), seen + after * hidden, seen + before * hidden

    def redraw(self, z: Tensor, y: Tensor, image: Tensor, change: Tensor) -> Tensor:
        """The image with what a change of y (N, A) would hide drawn anew with y (N, A)."""
        hidden, blind = self.hiding(change).split(1, dim=1)
        drawn: Tensor = self.draw(z, y, tuple(self._look(image, hidden, blind)))
        whole: Tensor = image * (1 - hidden) + drawn * hidden
        return whole

    def _look(self, image: Tensor, hidden: Tensor, blind: Tensor) -> list[Tensor]:
        """The surroundings as maps, of side 8 first."""
        sketched = sketch(image * (1 - blind)) * (hidden - blind)
        maps: list[Tensor] = self.surroundings(
            torch.cat([image * (1 - hidden), hidden, blind, sketched], dim=1)
        )
        return maps[-2::-1]
