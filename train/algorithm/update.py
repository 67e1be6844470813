"""What the steps of all methods share: the networks that learn, a batch, and how the weights are updated."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from aif.train.algorithm import losses
from aif.train.algorithm.noise import StepNoise
from aif.train.config import TrainConfig
from aif.train.data.batch import Batch
from aif.train.networks.modules import Networks

STILL = 0.1
"""Added to the variance of a number of z, so that one that hardly varies is not blown up."""

Losses = dict[str, Tensor]
"""What a step returns: its loss terms by name, scalars that carry no gradient."""


@dataclass(frozen=True)
class Optimisers:
    """One for encoder and decoder together, one for the discriminator, one for the auxiliary network."""

    autoencoder: Optimizer
    discriminator: Optimizer
    auxiliary: Optimizer


@dataclass(frozen=True)
class TrainState:
    """What a step reads and moves; `y_rate` (A,) is each attribute's mean in the training data."""

    networks: Networks
    optimisers: Optimisers
    fabric: Fabric
    config: TrainConfig
    y_rate: Tensor


@dataclass(frozen=True)
class StepBatch:
    """This process's share of one batch: `image` (N, 3, S, S) in [0, 1], `y` (N, A) 0 or 1, the noise of
    the step, and its number from 0."""

    image: Tensor
    y: Tensor
    noise: StepNoise
    step: int


def minimise(state: TrainState, loss: Tensor, optimiser: Optimizer, networks: Sequence[nn.Module]) -> None:
    """One step of `optimiser` down the gradient of `loss`; `networks` are those whose weights it holds."""
    optimiser.zero_grad()
    state.fabric.backward(loss)
    update(state, optimiser, networks)


def update(state: TrainState, optimiser: Optimizer, networks: Sequence[nn.Module]) -> None:
    """Average the gradients over the processes, clip their norm, and step."""
    fabric, clip, moved = state.fabric, state.config.optimiser.clip, nn.ModuleList(networks)
    if fabric.world_size > 1:
        gradients = [p.grad for p in moved.parameters() if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        flat = cast(Tensor, fabric.all_reduce(flat, reduce_op="mean"))
        sizes = [g.numel() for g in gradients]
        for gradient, part in zip(gradients, torch.split(flat, sizes), strict=True):
            gradient.copy_(part.view_as(gradient))
    if clip is not None:
        fabric.clip_gradients(moved, optimiser, max_norm=clip, error_if_nonfinite=False)
    optimiser.step()


def update_discriminator(
    state: TrainState,
    batch: StepBatch,
    fakes: Sequence[Tensor],
    scale: float = 1.0,
    r1_weight: float = 0.0,
) -> Losses:
    """min L_gan over the discriminator, on real and decoded pictures; returns its terms.

    scale: factor of L_gan; r1_weight: weight of the R1 penalty in this step, 0 = none.
    """
    discriminator, image, y = state.networks.discriminator, batch.image, batch.y
    found: Losses = {}
    with state.fabric.autocast():
        real = discriminator(image, y)
        found["gan_real"] = losses.gan_real(real.real)
        seen = [losses.gan_fake(discriminator(fake.detach(), y).real) for fake in fakes]
        found["gan_fake"] = torch.stack(seen).sum()
        loss = scale * (found["gan_real"] + found["gan_fake"])
        if real.y_logits is not None:
            found["discriminator_class"] = losses.classification(real.y_logits, y)
            loss = loss + found["discriminator_class"]
    if r1_weight > 0:
        leaf = image.detach().requires_grad_()
        found["r1"] = losses.r1_penalty(discriminator(leaf, y).real, leaf)
        loss = loss + r1_weight * found["r1"]
    minimise(state, loss, state.optimisers.discriminator, [discriminator])
    return found


def update_auxiliary(state: TrainState, z: Tensor, y: Tensor) -> Tensor:
    """min L_aux over the auxiliary network, on codes z (N, Z) and labels y (N, A); returns L_aux."""
    aux = state.networks.auxiliary
    with state.fabric.autocast():
        loss = losses.auxiliary(aux(z.detach()), y)
    minimise(state, loss, state.optimisers.auxiliary, [aux])
    return loss


def to_device(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Images (N, 3, S, S) as float32 in [0, 1], channels last, and labels (N, A), on `device`."""
    image = batch.images.to(device, non_blocking=True).float().div_(255)
    return image.contiguous(memory_format=torch.channels_last), batch.y.to(device, non_blocking=True)


def detached(found: Losses) -> Losses:
    """The same terms without their gradients."""
    return {name: term.detach() for name, term in found.items()}


def gathered(share: Tensor, fabric: Fabric) -> Tensor:
    """The shares (N / processes, ...) of all processes as one batch (N, ...), gradients included."""
    if fabric.world_size == 1:
        return share
    return cast(Tensor, fabric.all_gather(share, sync_grads=True)).flatten(0, 1)


def standardised(z: Tensor) -> Tensor:
    """z (N, Z) with mean 0 and variance 1 over the batch, gradients included."""
    return F.batch_norm(z.float(), None, None, training=True, eps=STILL)


def ramp(weight: float, step: int, over: int) -> float:
    """`weight`, grown linearly from 0 over the first `over` steps."""
    return weight * min(1.0, (step + 1) / over) if over else weight


@contextlib.contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Let gradients pass through the modules without reaching their parameters."""
    for module in modules:
        module.requires_grad_(False)
    try:
        yield
    finally:
        for module in modules:
            module.requires_grad_(True)
