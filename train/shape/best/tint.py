"""What the runtime does to a photo's colours and detail, with gradients.

`aif.runtime.editing.shape.gain.bounded` and `aif.runtime.editing.shape.detail` for batches; tests hold the
two together.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from aif.runtime.editing.shape.detail import DEEPEST, EDGE, GRAIN, SIGMAS, SOFTEST
from aif.runtime.editing.shape.gain import (
    BRIGHTER,
    BROAD,
    COARSE,
    COLOURED,
    DARKER,
    EPSILON,
    FINE,
    PALER,
    QUARTER,
)


def bounded(gain: Tensor, own: Tensor, mask: Tensor) -> Tensor:
    """The limits of gains (N, 3, S, S), given the photos' own textures (N, 3, S, S) in [0, 1] and where the
    face is, (S, S)."""
    sigma = FINE * gain.shape[-1] / 128
    level = (own + EPSILON).log().mean(dim=1, keepdim=True)
    light = gain.mean(dim=1, keepdim=True)
    coarse = blurred(light, sigma)
    darker_by = (blurred(level, sigma) - level).clamp(min=0)
    face = coarse.detach()[:, 0, mask > 0.5]
    whole = face.quantile(QUARTER, dim=1)[:, None, None, None].clamp(0, PALER)
    part = coarse - whole
    limit = torch.where(part > 0, BRIGHTER, DARKER)
    limited = whole + limit * torch.tanh(part / limit) + torch.minimum(light - coarse, darker_by)
    share = ((limited.abs() + COLOURED) / (light.abs() + COLOURED)).clamp(max=1)
    return DARKER * torch.tanh((limited + share * (gain - light)) / DARKER)


def dimmed(gain: Tensor, light: Tensor, skin: Tensor) -> Tensor:
    """Gains (N, 3, S, S) whose broad light stays at shares `light`, (N, 1, 1, 1), on the skin (S, S)."""
    broad = blurred(F.avg_pool2d(gain, COARSE), BROAD * gain.shape[-1] / 128 / COARSE)
    broad = F.interpolate(broad, scale_factor=COARSE, mode="bilinear", align_corners=False)
    return gain - (1 - light) * skin * broad


def amplified(change: Tensor) -> Tensor:
    """What is added of each band, for changes of log amplitude."""
    limit = torch.where(change > 0, DEEPEST, -SOFTEST)
    return -limit * torch.expm1(-(change / limit).abs())


def detail_gain(images: Tensor, scale: float, amounts: Tensor) -> Tensor:
    """Gains (N, 3, H, W) of images (N, 3, H, W) in [0, 1] whose bands change by amounts (N, 3, H, W).

    `scale`: pixels of the images to a pixel of a 128 px crop.
    """
    logs = (images + EPSILON).log()
    levels = [logs, *(blurred(logs, sigma * scale) for sigma in SIGMAS)]
    bands = [fine - coarse for fine, coarse in pairwise(levels)]
    bands = [band.clamp(-EDGE, EDGE) - band.clamp(-GRAIN, GRAIN) for band in bands]
    return sum((band * amounts[:, k : k + 1] for k, band in enumerate(bands)), torch.zeros_like(images))


def blurred(images: Tensor, sigma: float) -> Tensor:
    """A Gaussian blur of images (N, C, H, W), as OpenCV does it."""
    reach = (round(sigma * 8 + 1) | 1) // 2
    at = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-at.square() / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    padded = F.pad(images, (reach,) * 4, mode="reflect")
    rows = F.conv2d(padded, kernel, groups=images.shape[1])
    return F.conv2d(rows, kernel.transpose(2, 3), groups=images.shape[1])
