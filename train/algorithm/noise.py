"""Every random number of a training step, as a pure function of (seed, step).

The numbers are made for the whole batch and then cut to this process's share, so that several processes
compute what one would, and a resumed run gets what an uninterrupted one would have got.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aif.train.config import TrainConfig


@dataclass(frozen=True)
class StepNoise:
    """For N faces: z, z_second, z_prior (N, Z) normal; flip (N, A) bool, which attributes to edit."""

    z: Tensor
    z_second: Tensor
    z_prior: Tensor
    flip: Tensor


def step_seed(seed: int, step: int) -> int:
    """One well-mixed 63-bit seed for a step of a run (SplitMix64's finaliser)."""
    value = (seed * 0x9E3779B97F4A7C15 + step + 1) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return (value ^ (value >> 31)) >> 1


def step_noise(config: TrainConfig, step: int, share: slice, device: torch.device) -> StepNoise:
    """The noise of `step` for the part `share` of the batch, on `device`."""
    n, attributes = config.optimiser.batch_size, len(config.data.attributes)
    generator = torch.Generator().manual_seed(step_seed(config.seed, step))
    z = torch.randn(3, n, config.network.latent_size, generator=generator)
    flip = torch.rand(n, attributes, generator=generator) < config.freeze.edit_rate
    certain = torch.randint(attributes, (n,), generator=generator)
    flip[torch.arange(n), certain] = True
    z = z[:, share].to(device)
    return StepNoise(z[0], z[1], z[2], flip[share].to(device))
