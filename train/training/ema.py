"""Moving average of weights: what is exported is smoother than what was last trained."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Ema:
    """Average of a module's parameters: average += (1 - decay) (weights - average); buffers are copied.

    The decay is warmed up as min(decay, (1 + n) / (10 + n)) at update n, so that short runs are not
    dominated by their random start.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, number: int) -> None:
        """Move the average towards `module` after training step `number`."""
        decay = min(self.decay, (1 + number) / (10 + number))
        torch._foreach_lerp_(list(self.module.parameters()), list(module.parameters()), 1 - decay)
        for average, current in zip(self.module.buffers(), module.buffers(), strict=True):
            average.copy_(current)
