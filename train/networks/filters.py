"""Fixed filters of the decoder that draws regions: a face's sketch, and smoothing that keeps to its edges."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
SKETCH_GAIN = 4.0
EDGE = 0.003  # variance of the luminance, range 1, from which on a guided filter sees an edge
MOST_SHARPENING = 1.0  # of a drawing's own fine detail, this much is added at most


def luminance(image: Tensor) -> Tensor:
    """(N, 3, S, S) -> (N, 1, S, S)."""
    return (image * image.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)


def sketch(image: Tensor) -> Tensor:
    """Fine structure of the luminance, (N, 3, S, S) -> (N, 1, S, S) about 0: no colour, and of shading only
    what changes within a sixteenth of the side."""
    light = luminance(image)
    reach = image.shape[-1] // 32
    return SKETCH_GAIN * (light - average(average(light, reach), reach))


def average(maps: Tensor, reach: int) -> Tensor:
    """(N, C, S, S) averaged over squares reaching `reach` px; at the border over what there is."""
    for side in (2 * reach + 1, 1), (1, 2 * reach + 1):
        pad = (side[0] // 2, side[1] // 2)
        maps = F.avg_pool2d(maps, side, stride=1, padding=pad, count_include_pad=False)
    return maps


def guided(change: Tensor, light: Tensor, where: Tensor, step: int, reach: int) -> Tensor:
    """`change` as what it is like on average around each place, a linear function there of the light.

    The guided filter (He et al., 2010), on a grid of every `step`-th pixel (He and Sun, 2015): hair keeps its
    strands and a change ends where the photo has an edge, but no stain can arise that is not in the photo.

    Args:
        change: (N, C, S, S).
        light: the photo's luminance, (N, 1, S, S) in [0, 1].
        where: how much each place counts, (N, 1, S, S) in [0, 1].
        step: divides S.
        reach: of each of the two averages, in steps.
    """
    count = F.avg_pool2d(where, step)
    near = average(count, reach) + 1e-4

    def mean(maps: Tensor) -> Tensor:
        return average(maps * count, reach) / near

    guide, given = (F.avg_pool2d(maps * where, step) / (count + 1e-4) for maps in (light - 0.5, change))
    guide_mean, given_mean = mean(guide), mean(given)
    variance = mean(guide * guide) - guide_mean * guide_mean
    slope = (mean(guide * given) - guide_mean * given_mean) / (variance.clamp(min=0) + EDGE)
    line = mean(torch.cat([slope, given_mean - slope * guide_mean], dim=1))
    line = F.interpolate(line, scale_factor=float(step), mode="bilinear", align_corners=False)
    channels = change.shape[1]
    return line[:, :channels] * (light - 0.5) + line[:, channels:]


def spread(maps: Tensor, where: Tensor, step: int, reach: int) -> Tensor:
    """(N, C, S, S) averaged twice over squares reaching `reach` steps, each place counted by `where`
    (N, 1, S, S); what does not count takes its neighbours' values."""
    count = F.avg_pool2d(where, step)
    mean = F.avg_pool2d(maps * where, step)
    for _ in range(2):
        count, mean = average(count, reach), average(mean, reach)
    return F.interpolate(
        mean / (count + 1e-4), scale_factor=float(step), mode="bilinear", align_corners=False
    )


def sharpened(drawn: Tensor, before: Tensor, image: Tensor, where: Tensor) -> Tensor:
    """Images (N, 3, S, S) -> `drawn` with more of its own fine detail: as much more as the drawing `before`
    lacks of the image's `where` (N, 1, S, S) it counts, and never beyond a pixel's neighbours (no halo)."""

    def energy(maps: Tensor) -> Tensor:
        return (fine(maps).square() * where).mean(dim=(1, 2, 3), keepdim=True)

    def fine(maps: Tensor) -> Tensor:
        return maps - average(maps, 1)

    # An export drops the addition of 1e-8 as nothing, which would leave 0 / 0.
    lacking = ((energy(image) + 1e-6) / (energy(before) + 1e-6)).sqrt() - 1
    sharp = drawn + lacking.clamp(0.0, MOST_SHARPENING) * fine(drawn)
    lowest, highest = -F.max_pool2d(-drawn, 3, 1, 1), F.max_pool2d(drawn, 3, 1, 1)
    return torch.minimum(torch.maximum(sharp, lowest), highest)
