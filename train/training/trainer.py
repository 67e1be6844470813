"""What learns in a run, and its moving average: made, moved, saved, restored."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim import Adam, Optimizer, RMSprop

from aif.runtime.arrays import UInt8Array
from aif.train.algorithm.algorithm_1 import algorithm_1
from aif.train.algorithm.factorize import factorize
from aif.train.algorithm.frozen_encoder import FACES, decoder_step, encoder_features, game_of
from aif.train.algorithm.update import Losses, Optimisers, StepBatch, TrainState, to_device
from aif.train.config import OptimiserConfig, TrainConfig
from aif.train.data.base import FaceDataset
from aif.train.data.batch import evaluation_batches
from aif.train.networks.modules import Networks
from aif.train.progress import counted
from aif.train.rivals.icgan import icgan_step
from aif.train.rivals.steps import classifier_step, cvae_gan_step, fader_step, vae_step
from aif.train.training.checkpoint import (
    list_checkpoints,
    load_checkpoint,
    optimiser_tensors,
    restore_optimiser,
    save_checkpoint,
)
from aif.train.training.ema import Ema
from aif.train.training.logs import not_finite, sample_grid
from aif.train.training.run import checkpoint_folder, exported, networks_of

log = logging.getLogger(__name__)

RIVALS: dict[str, Callable[[TrainState, StepBatch, Any], Losses]] = {
    "cvae-gan": cvae_gan_step,
    "icgan": icgan_step,
    "fader": fader_step,
    "vae": vae_step,
    "classifier": classifier_step,
}
"""The steps of the methods other than Algorithm 1."""


class Trainer:
    """A configuration's networks, optimisers and moving average.

    y_rate: (A,), each attribute's mean in the training data.
    """

    def __init__(self, config: TrainConfig, fabric: Fabric, y_rate: Tensor) -> None:
        self.config, self.fabric = config, fabric
        torch.manual_seed(config.seed)
        networks = networks_of(config).to(fabric.device).to(memory_format=torch.channels_last)
        if fabric.world_size > 1 and fabric.device.type == "cuda":
            networks = nn.SyncBatchNorm.convert_sync_batchnorm(networks)  # type: ignore[no-untyped-call]
        self._optimisers = make_optimisers(config.optimiser, networks)
        wrapped = {name: fabric.setup_optimizers(one) for name, one in self._optimisers.items()}
        self.state = TrainState(networks, Optimisers(**wrapped), fabric, config, y_rate.to(fabric.device))  # type: ignore[arg-type]
        decay = config.optimiser.ema_decay
        self.ema = None if decay is None else Ema(exported(networks), decay)

    def step(self, batch: StepBatch) -> Losses:
        """One training step, the moving average included; returns the losses."""
        config = self.config.optimiser
        left = 1.0  # of the learning rate: constant, then falling linearly to 0
        if config.decay_last > 0:
            left = min(1.0, (self.config.steps - batch.step) / (self.config.steps * config.decay_last))
        for optimiser in self._optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * left
        objective: Any = self.config.objective
        ours = algorithm_1 if batch.step < self.config.freezes_at else decoder_step
        found = RIVALS.get(objective.method, ours)(self.state, batch, objective)
        if self.ema is not None:  # once the encoder is frozen, older decoders know another z
            since = self.config.freezes_at if batch.step >= self.config.freezes_at else 0
            self.ema.update(exported(self.state.networks), batch.step - since)
        return found

    def freeze_encoder(self, data: FaceDataset, say: Callable[[str], None]) -> None:
        """Go on from the averaged weights, with a code that is clean of the attributes; `say` gets lines."""
        pair = exported(self.state.networks)
        if self.ema is not None:
            pair.load_state_dict(self.ema.module.state_dict())
        encoder = self.state.networks.encoder
        seen = self.config.freezes_at * self.config.optimiser.batch_size
        indices = list(range(min(FACES, len(data), seen)))
        batches = evaluation_batches(data, self.config.network.image_size, 64, indices)
        batches = counted(batches, "features of faces, in batches of 64", -(-len(indices) // 64), say)
        with self.fabric.autocast():
            features, y, y_hat = encoder_features(encoder, batches, self.fabric.device)
        factorize(encoder.mean, features, y, y_hat, game_of(self.config), say)
        for parameter in encoder.mean.parameters() if self.fabric.world_size > 1 else ():
            parameter.data.copy_(self.fabric.broadcast(parameter.data))  # the same on all, to the last bit
        if self.ema is not None:
            self.ema.module.load_state_dict(pair.state_dict())

    def resume(self, out: Path) -> int:
        """Load the newest checkpoint, if there is one; returns the step to go on from."""
        found = list_checkpoints(checkpoint_folder(out))
        if not found:
            return 0
        groups, info = load_checkpoint(found[-1])
        self.state.networks.load_state_dict(groups["networks"])
        for name, optimiser in self._optimisers.items():
            restore_optimiser(optimiser, groups[f"optimiser_{name}"])
        if self.ema is not None:
            self.ema.module.load_state_dict(groups["ema"])
        if "precision" in groups:  # the scale of float16's gradients
            plugin = self.fabric.strategy.precision
            plugin.load_state_dict({name: value.item() for name, value in groups["precision"].items()})
        log.info("resuming %s at step %d", out, info["step"])
        return int(info["step"])

    def save(self, out: Path, step: int) -> None:
        """Write a checkpoint; a TrainingError where a weight is not finite: then the one before stays."""
        weights = self.state.networks.state_dict()
        for name, value in weights.items():
            if not value.isfinite().all():
                raise not_finite(f"the weights {name} are no longer finite", step - 1, checkpoint_folder(out))
        groups = {"networks": weights}
        groups |= {f"optimiser_{name}": optimiser_tensors(o) for name, o in self._optimisers.items()}
        if self.ema is not None:
            groups["ema"] = self.ema.module.state_dict()
        if scale := self.fabric.strategy.precision.state_dict():
            groups["precision"] = {name: torch.as_tensor(value) for name, value in scale.items()}
        faces_seen = step * self.config.optimiser.batch_size
        save_checkpoint(checkpoint_folder(out), step, groups, {"faces_seen": faces_seen})

    def samples(self, validation: FaceDataset) -> UInt8Array:
        """A grid of the first validation faces and their edits, uint8 (H, W, 3) RGB."""
        indices = list(range(min(8, len(validation))))
        batch = next(iter(evaluation_batches(validation, self.config.network.image_size, 8, indices)))
        image, _ = to_device(batch, self.fabric.device)
        pair = self.ema.module if self.ema is not None else exported(self.state.networks)
        pair.eval()
        with self.fabric.autocast():
            grid = sample_grid(pair["encoder"], pair["decoder"], image)  # type: ignore[index]
        self.state.networks.train()  # where the encoder is frozen, the next step sets it back by itself
        return grid


def make_optimisers(config: OptimiserConfig, networks: Networks) -> dict[str, Optimizer]:
    """RMSprop or Adam for each field of `Optimisers`, in its multi-tensor form."""

    def make(*modules: nn.Module, smoothing: float = 0.99) -> Optimizer:
        weights = [parameter for module in modules for parameter in module.parameters()]
        if config.name == "adam":
            return Adam(weights, lr=config.learning_rate, betas=(0.5, 0.999), foreach=True)
        return RMSprop(weights, lr=config.learning_rate, alpha=smoothing, foreach=True)

    return {
        "autoencoder": make(networks.encoder, networks.decoder),
        "discriminator": make(networks.discriminator, smoothing=config.smoothing),  # as the authors
        "auxiliary": make(networks.auxiliary),
    }


def require_finite(found: Losses, step: int, out: Path) -> None:
    """Raise a TrainingError where a loss is no longer finite."""
    if math.isfinite(torch.stack([term.float() for term in found.values()]).sum().item()):
        return
    bad = [name for name, term in found.items() if not math.isfinite(term.item())]
    raise not_finite(f"{', '.join(bad)} is no longer finite", step, checkpoint_folder(out))
