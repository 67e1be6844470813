"""Differentiable composition: a crop edited as the runtime edits a photo, with gradients to what edits it.

    q = p + d_p                                     the landmarks after the edit
    x'(q) = x(p) exp(gain)                          by barycentric coordinates in the triangles over q

Which triangle covers a pixel is found without gradients; the coordinates within it are in closed form, so
that the picture pulls at the landmarks. It follows `aif.runtime.editing.shape.edit.apply_edit` step by step,
at the size of a crop; tests hold the two together. The mouth is drawn as there, without gradients. The
runtime alone takes the colour of beards from the person's brows, keeps the skin within its own colours and
expressions within people's, bounds what age darkens, takes off beards, fades folds, knows those that a face
has already, and leaves out what is hidden or at the rim of a turned face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aif.runtime.arrays import Float32Array
from aif.runtime.bundle.attributes import AttributeInfo
from aif.runtime.editing.shape.detail import SHARE, detail_mask
from aif.runtime.editing.shape.folds import COMMON
from aif.runtime.editing.shape.gain import EPSILON, gain_mask, lips_mask
from aif.runtime.editing.shape.hairs import beard_area, hairs_in, strands_at
from aif.runtime.editing.shape.mouth import CLOSING, SHUT, draw_mouth
from aif.runtime.editing.shape.region import Regions
from aif.runtime.editing.shape.teeth import keep_teeth
from aif.runtime.editing.shape.warp import HALF_OPEN, OPENING, PARTED, SLACK, SLIT, UNFOLDING
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.frame import Frame
from aif.runtime.geometry.mesh import raster
from aif.train.shape.best.networks import Decoding
from aif.train.shape.best.tint import amplified, bounded, detail_gain, dimmed
from aif.train.shape.faces.store import signed_areas

_LEAST_AREA = 1e-3


@dataclass(frozen=True)
class Edit:
    """What changes in N faces: moves (N, 221, 2) in units of the crop's side; gain (N, 3, S, S) in log units,
    bounded, in the texture frame; and what is added of each band of the photo's own detail (N, 3, S/4, S/4),
    likewise."""

    moves: Tensor
    gain: Tensor
    detail: Tensor


class Where(NamedTuple):
    """Shares of the edits of N faces: (N, 1, S, S) of the texture, (N, 221) at the landmarks; (N,) how much
    of what darkens is hair; (N,) how much of their broad light stays; (N,) how much of what darkens where
    beards grow is left out; and (N,) how far folds of age come."""

    texture: Tensor
    at_landmarks: Tensor
    hairs: Tensor
    light: Tensor
    shaven: Tensor
    aged: Tensor

    @classmethod
    def of(cls, attributes: Sequence[AttributeInfo], frame: Frame, size: int, device: torch.device) -> Where:
        """A row for each attribute."""
        found = Regions.of(attributes, frame, size)
        moved = found.at_landmarks * found.moving[:, None]
        parts = (found.texture[:, None], moved, found.hairs, found.light, found.shaven, found.ages)
        return cls(*(torch.from_numpy(part).to(device) for part in parts))

    def rows(self, numbers: Tensor, values: Tensor) -> Where:
        """Those of attributes int64 (N,) that become `values` (N,), 0 or 1: as one goes, no hair grows, and
        none is left out; age comes as one attribute does, and as another goes."""
        found = Where(*(part[numbers] for part in self))
        aged = F.relu(found.aged * (2 * values - 1))
        return found._replace(hairs=found.hairs * values, shaven=found.shaven * values, aged=aged)


class Composer:
    """Composes edits into crops of one frame.

    Args:
        frame: mean shape and triangles.
        texture_size: side of textures, and of the crops that landmarks belong to, in pixels.
        size: side at which crops are composed; those given are of this size. None = the textures'.
        folds: (S, S) those of age, at the textures' size (`BareSkin.folds`); None = age brings none.
    """

    def __init__(
        self,
        frame: Frame,
        texture_size: int,
        size: int | None = None,
        device: torch.device | str = "cpu",
        folds: Float32Array | None = None,
    ) -> None:
        self.frame, self.size, self.texture_size = frame, size or texture_size, texture_size
        self.order = torch.tensor(frame.draw_order, dtype=torch.int64, device=device)
        self.anchors = torch.tensor(frame.anchors, device=device)
        self.around = torch.tensor(frame.around, device=device)
        self.mean = torch.tensor(frame.vertices(frame.mean, 1.0), device=device)
        self.mask = torch.tensor(gain_mask(frame, texture_size), device=device)
        self.dimmed = self.mask * (1 - torch.tensor(lips_mask(frame, texture_size), device=device))
        self.bearded = torch.tensor(beard_area(frame, texture_size), device=device)
        self.skin = torch.tensor(detail_mask(frame, texture_size), device=device)
        none = np.zeros((texture_size, texture_size), np.float32)
        self.folds = torch.tensor(COMMON * (none if folds is None else folds), device=device)
        pixels = np.stack(np.meshgrid(*[np.arange(texture_size, dtype=np.float32)] * 2), axis=-1)
        hairs = hairs_in(pixels / np.float32(texture_size), strands_at(frame, 1.0))
        self.strands = torch.from_numpy(hairs).to(device)
        line = torch.arange(self.size, dtype=torch.float32, device=device)
        self.grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)
        self.between = int(frame.inner_mouth.sum())

    def edit(self, before: Decoding, after: Decoding, own: Tensor, where: Where) -> Edit:
        """The runtime's edit between two decodings of faces whose own textures are `own` (N, 3, S, S)."""
        # The same limits as the pixels of decoded textures, 0 to 1.
        low, high = float(np.log(EPSILON)), float(np.log(1 + EPSILON))
        gain = after.log_texture.clamp(low, high) - before.log_texture.clamp(low, high)
        detail = amplified(after.detail - before.detail) * F.avg_pool2d(self.skin * where.texture, SHARE)
        moves = after.points - before.points
        moves = moves - moves[:, list(dense.EYE_CORNERS)].mean(dim=1, keepdim=True)
        moves = moves * where.at_landmarks[:, :, None]
        gain = bounded(gain, own, self.mask) * self.mask
        gain = dimmed(gain, where.light[:, None, None, None], self.dimmed)
        gain = (gain + where.shaven[:, None, None, None] * self.bearded * F.relu(-gain)) * where.texture
        dark = F.relu(-gain.mean(dim=1, keepdim=True)) * where.hairs[:, None, None, None]
        folded = where.aged[:, None, None, None] * self.folds
        return Edit(moves, gain + dark * self.strands - folded, detail)

    def __call__(self, crops: Tensor, points: Tensor, edit: Edit) -> Tensor:
        """The edited crops (N, 3, S, S) in [0, 1].

        Args:
            crops: (N, 3, S, S) RGB in [0, 1].
            points: (N, 221, 2) their landmarks in units of the side.
            edit: what changes.
        """
        wanted = points + edit.moves
        kept = self._kept_shut(self._opening(points) * 128, self._opening(wanted) * 128)
        moves = self._joined(self._uncrossed(wanted), kept, edges=2) - points
        q = points + self._unfolded(points, moves)
        openings = torch.stack([self._opening(points), self._opening(q)], dim=1).detach() * 128
        shut = openings[:, 1] < SHUT
        q = self._joined(q, shut.float(), edges=1)
        source, target = self._vertices(points), self._vertices(q)
        ids = self._raster(target.detach(), shut)
        fields = self._fields(target, source - target)
        first = torch.arange(len(q), device=q.device)[:, None, None] * len(self.order)
        rows = (ids.clamp(min=0) + first).flatten()
        there = fields.flatten(0, 1).index_select(0, rows).reshape(*ids.shape, 4, 3)
        value = there[..., 0] * self.grid[..., :1] + there[..., 1] * self.grid[..., 1:] + there[..., 2]
        inside = (ids >= 0)[..., None]
        where = self.grid + torch.where(inside, value[..., :2], 0.0)
        texture = torch.where(inside, value[..., 2:] * self.texture_size, -2.0 * self.texture_size)
        out = self._sample(crops, where, "bicubic", "border").clamp(0, 1)
        gain = self._sample(edit.gain, texture, "bilinear", "zeros")
        detail = F.interpolate(edit.detail, scale_factor=SHARE, mode="bilinear", align_corners=False)
        amounts = self._sample(detail, texture, "bilinear", "zeros")
        gain = gain + detail_gain(out, self.size / 128, amounts)
        out = ((out + EPSILON) * gain.exp() - EPSILON).clamp(0, 1)
        return out + self._drawn(crops, out, (source, target), openings)

    def _vertices(self, points: Tensor) -> Tensor:
        """(N, 257, 2) in pixels of the crop, whose centres stay where they are when it is resized."""
        anchors = self.anchors.expand(len(points), -1, -1)
        places = torch.cat([points, anchors], dim=1)
        return (places * self.texture_size + 0.5) * (self.size / self.texture_size) - 0.5

    def _sample(self, image: Tensor, where: Tensor, mode: str, padding: str) -> Tensor:
        """image (N, C, H, H) at its pixel coordinates where (N, S, S, 2)."""
        normal = (where + 0.5) * (2 / image.shape[-1]) - 1
        return F.grid_sample(image, normal, mode=mode, padding_mode=padding, align_corners=False)

    def _fields(self, target: Tensor, offsets: Tensor) -> Tensor:
        """(N, T, 12): in each triangle, linear functions: way back in pixels, place in the texture."""
        texture = self.mean.expand(len(target), -1, -1)
        place, value = target[:, self.order], torch.cat([offsets, texture], dim=-1)[:, self.order]
        e, f = place[:, :, 1] - place[:, :, 0], place[:, :, 2] - place[:, :, 0]
        u, v = value[:, :, 1] - value[:, :, 0], value[:, :, 2] - value[:, :, 0]
        area = e[..., 0] * f[..., 1] - e[..., 1] * f[..., 0]
        flat = area.abs() <= _LEAST_AREA
        inverse = torch.where(flat, 0.0, 1 / torch.where(flat, 1.0, area))[..., None]
        along_x = (u * f[..., 1:2] - v * e[..., 1:2]) * inverse
        along_y = (v * e[..., 0:1] - u * f[..., 0:1]) * inverse
        constant = value[:, :, 0] - along_x * place[:, :, 0, 0:1] - along_y * place[:, :, 0, 1:2]
        constant = torch.where(flat[..., None], value.mean(dim=2), constant)
        return torch.stack([along_x, along_y, constant], dim=-1).flatten(2)

    @torch.no_grad()
    def _raster(self, target: Tensor, shut: Tensor) -> Tensor:
        """Which triangle of `order` covers each pixel: int64 (N, S, S)."""
        size = self.size
        ids = []
        for vertices, closed in zip(target.cpu().numpy(), shut.cpu().tolist(), strict=True):
            skipped = self.between if closed else 0
            found = raster(vertices, self.frame.draw_order[skipped:], (size, size))
            found[found >= 0] += skipped
            ids.append(found)
        return torch.from_numpy(np.stack(ids)).long().to(target.device)

    @torch.no_grad()
    def _drawn(
        self, crops: Tensor, images: Tensor, vertices: tuple[Tensor, Tensor], openings: Tensor
    ) -> Tensor:
        """What drawing the mouths adds to images (N, 3, S, S) in [0, 1] of edited crops."""
        photos, before = (
            (each * 255).round().byte().permute(0, 2, 3, 1).flip(3).cpu().numpy() for each in (crops, images)
        )
        drawn = before.copy()
        own, moved = (each[:, : dense.COUNT].detach().cpu().numpy() for each in vertices)
        for k, (start, end) in enumerate(openings.tolist()):
            keep_teeth(drawn[k], photos[k], (own[k], moved[k]), self.size / 128, (start, end))
            draw_mouth(drawn[k], moved[k], self.size / 128, (start, end))
        change = drawn.astype(np.float32) - before
        return torch.from_numpy(change).flip(3).permute(0, 3, 1, 2).to(images.device) / 255

    def _unfolded(self, points: Tensor, moves: Tensor) -> Tensor:
        """The movements (N, 221, 2), smoothed where triangles would fold, and damped where that is not
        enough."""
        triangles = self.order[self.between :]
        before = self._vertices(points)
        area = signed_areas(before, triangles)
        sign = area.median(dim=1, keepdim=True).values.sign()
        mean = area.abs().mean(dim=1, keepdim=True)
        usable, slack = area * sign > 1e-3 * mean, SLACK * mean
        corners = triangles.flatten().expand(len(points), -1)
        smooth = F.pad(moves * self.size, (0, 0, 0, len(self.anchors)))
        for low, high, dampen in UNFOLDING:
            now = signed_areas(before + smooth.detach(), triangles)
            share = (sign * now + slack) / (sign * area + slack)
            folds = usable * ((high - share) / (high - low)).clamp(0, 1)
            if not bool(folds.any()):
                break
            weight = torch.zeros_like(before[:, :, 0])
            weight.scatter_reduce_(1, corners, folds.repeat_interleave(3, dim=1), "amax")
            weight[:, dense.COUNT :] = 0
            near = 0 if dampen else self.around @ smooth
            smooth = smooth + weight[:, :, None] / 2 * (near - smooth)
        return smooth[:, : dense.COUNT] / self.size

    @staticmethod
    def _gaps(points: Tensor) -> Tensor:
        """(N, 9) how far the inner lips are apart, in units of the side; below 0 where they cross."""
        across = F.normalize(points[:, dense.RIGHT_MOUTH] - points[:, dense.LEFT_MOUTH], dim=1)[:, None]
        between = points[:, dense.LOWER_LIP.tolist()] - points[:, dense.UPPER_LIP.tolist()]
        return between[..., 1] * across[..., 0] - between[..., 0] * across[..., 1]

    def _opening(self, points: Tensor) -> Tensor:
        """(N,) the gap between the middles of the inner lips."""
        gaps = self._gaps(points)
        return gaps[:, gaps.shape[1] // 2]

    @staticmethod
    def _kept_shut(before: Tensor, after: Tensor) -> Tensor:
        """How far lips are kept together, (N,), given openings in pixels of a 128 px crop."""
        was_shut = 1 - (before / SHUT - 1).clamp(0, 1)
        opens = ((after - before) / OPENING).clamp(0, 1)
        closes = ((before - after) / CLOSING).clamp(0, 1)
        slit = (HALF_OPEN * before).clamp(min=SLIT)
        parts = [((after - SHUT) / (whole - SHUT)).clamp(0, 1) for whole in (PARTED, slit)]
        plainly, again = (1 - part * part * (3 - 2 * part) for part in parts)
        return torch.maximum(opens * was_shut * plainly, closes * again)

    @staticmethod
    def _joined(points: Tensor, share: Tensor, edges: int) -> Tensor:
        """The landmarks with the pairs of inner lips brought together by a share of their distance, (N,); of
        the lips' `edges` as `_nearer`."""
        upper, lower = (points[:, lip.tolist()] for lip in (dense.UPPER_LIP, dense.LOWER_LIP))
        return _nearer(points, share[:, None, None] * (lower - upper), edges)

    def _uncrossed(self, points: Tensor) -> Tensor:
        """The landmarks with lips that cross no longer crossing."""
        across = F.normalize(points[:, dense.RIGHT_MOUTH] - points[:, dense.LEFT_MOUTH], dim=1)
        down = torch.stack([-across[:, 1], across[:, 0]], dim=1)
        return _nearer(points, self._gaps(points).clamp(max=0)[:, :, None] * down[:, None], edges=2)


def _nearer(points: Tensor, ways: Tensor, edges: int) -> Tensor:
    """The upper lip moved by half of `ways` (N, 9, 2), the lower one back by the other half: inner edges
    alone, or the outer ones, too."""
    moved = points.clone()
    for lip, way in ((dense.UPPER_LIP, ways / 2), (dense.LOWER_LIP, -ways / 2)):
        for edge in (lip, lip - dense.INNER_TO_OUTER)[:edges]:
            moved[:, edge.tolist()] = points[:, edge.tolist()] + way
    return moved
