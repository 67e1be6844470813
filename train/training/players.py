"""The networks of a run with their optimisers and moving average: made, saved, restored."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim import Adam, Optimizer, RMSprop

from aif.runtime.errors import TrainingError
from aif.train.algorithm.factorize import factorize
from aif.train.algorithm.settle import FACES, collect, game_of
from aif.train.algorithm.step import Optimisers
from aif.train.config import OptimiserConfig, TrainConfig
from aif.train.data.base import FaceDataset
from aif.train.data.batch import Batch, evaluation_batches
from aif.train.networks.modules import Networks
from aif.train.training.checkpoint import (
    list_checkpoints,
    load_checkpoint,
    optimiser_tensors,
    restore_optimiser,
    save_checkpoint,
)
from aif.train.training.ema import Ema
from aif.train.training.logs import sample_grid
from aif.train.training.run import checkpoint_folder, networks_of

log = logging.getLogger(__name__)


class Players:
    """Networks, optimisers and the moving average, with their saving and loading."""

    def __init__(self, config: TrainConfig, fabric: Fabric) -> None:
        self.config, self.fabric = config, fabric
        torch.manual_seed(config.seed)
        networks = networks_of(config).to(fabric.device).to(memory_format=torch.channels_last)
        if fabric.world_size > 1 and fabric.device.type == "cuda":
            networks = nn.SyncBatchNorm.convert_sync_batchnorm(networks)  # type: ignore[no-untyped-call]
        self.networks: Networks = networks
        autoencoder = [*self.networks.encoder.parameters(), *self.networks.decoder.parameters()]
        made = [
            make_optimiser(config.optimiser, parameters)
            for parameters in (
                autoencoder,
                list(self.networks.discriminator.parameters()),
                list(self.networks.auxiliary.parameters()),
            )
        ]
        if config.optimiser.name == "rmsprop":  # the authors smooth the discriminator's alone
            for group in made[1].param_groups:
                group["alpha"] = config.optimiser.smoothing
        self._plain = dict(zip(("autoencoder", "discriminator", "auxiliary"), made, strict=True))
        self.optimisers = Optimisers(*(fabric.setup_optimizers(optimiser) for optimiser in made))  # type: ignore[arg-type]
        decay = config.optimiser.ema_decay
        self.ema = None if decay is None else Ema(self._averaged(), decay)

    def _averaged(self) -> nn.ModuleDict:
        return nn.ModuleDict({"encoder": self.networks.encoder, "decoder": self.networks.decoder})

    def average(self, step: int) -> None:
        """Move the average towards the weights after `step`."""
        if self.ema is not None:
            self.ema.update(self._averaged(), step)

    def set_learning_rate(self, step: int) -> None:
        """Constant, then falling linearly to 0 over the last `decay_last` of the steps."""
        config, steps = self.config.optimiser, self.config.steps
        left = (steps - step) / (steps * config.decay_last) if config.decay_last > 0 else 1.0
        for optimiser in self._plain.values():
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * min(1.0, left)

    def clean(self, data: FaceDataset) -> None:
        """Go on from the averaged weights, with a code that is clean of the attributes."""
        log.info("the encoder is frozen from here on; cleaning z of y takes a few minutes")
        if self.ema is not None:
            self._averaged().load_state_dict(self.ema.module.state_dict())
        encoder = self.networks.encoder
        indices = list(range(min(FACES, len(data))))
        batches = evaluation_batches(data, self.config.network.image_size, 64, indices)
        with self.fabric.autocast():
            features, y, y_hat = collect(encoder, batches, self.fabric.device)
        factorize(encoder.mean, features, y, y_hat, game_of(self.config))
        for parameter in encoder.mean.parameters() if self.fabric.world_size > 1 else ():
            parameter.data.copy_(self.fabric.broadcast(parameter.data))  # the same on all, to the last bit
        if self.ema is not None:
            self.ema.module.load_state_dict(self._averaged().state_dict())

    def resume(self, out: Path) -> int:
        """Load the newest checkpoint, if there is one; returns the step to go on from."""
        found = list_checkpoints(checkpoint_folder(out))
        if not found:
            return 0
        groups, info = load_checkpoint(found[-1])
        self.networks.load_state_dict(groups["networks"])
        for name, optimiser in self._plain.items():
            restore_optimiser(optimiser, groups[f"optimiser_{name}"])
        if self.ema is not None:
            self.ema.module.load_state_dict(groups["ema"])
        if "precision" in groups:  # the scale of float16's gradients
            plugin = self.fabric.strategy.precision
            plugin.load_state_dict({name: value.item() for name, value in groups["precision"].items()})
        log.info("resuming %s at step %d", out, info["step"])
        return int(info["step"])

    def save(self, out: Path, step: int) -> None:
        """Write a checkpoint, unless the step has ruined the weights: then the one before stays.

        Raises:
            TrainingError: a weight is not finite.
        """
        spoilt = [name for name, value in self.networks.state_dict().items() if not value.isfinite().all()]
        if spoilt:
            raise _not_finite(f"the weights {spoilt[0]} are", step - 1, out)
        groups = {"networks": self.networks.state_dict()}
        groups |= {f"optimiser_{name}": optimiser_tensors(o) for name, o in self._plain.items()}
        if self.ema is not None:
            groups["ema"] = self.ema.module.state_dict()
        if scale := self.fabric.strategy.precision.state_dict():
            groups["precision"] = {name: torch.as_tensor(value) for name, value in scale.items()}
        save_checkpoint(
            checkpoint_folder(out), step, groups, {"faces_seen": step * self.config.optimiser.batch_size}
        )

    def samples(self, validation: FaceDataset) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """A grid of the first validation faces and their edits, uint8 (H, W, 3) RGB."""
        indices = list(range(min(8, len(validation))))
        batch = next(iter(evaluation_batches(validation, self.config.network.image_size, 8, indices)))
        image, _ = to_device(batch, self.fabric.device)
        pair = self.ema.module if self.ema is not None else self._averaged()
        encoder, decoder = pair["encoder"], pair["decoder"]  # type: ignore[index]
        modes = encoder.training, decoder.training
        encoder.eval(), decoder.eval()
        with self.fabric.autocast():
            grid = sample_grid(encoder, decoder, image)
        encoder.train(modes[0]), decoder.train(modes[1])
        return grid


def make_optimiser(config: OptimiserConfig, parameters: list[nn.Parameter]) -> Optimizer:
    """RMSprop or Adam over `parameters`, in its multi-tensor form."""
    if config.name == "adam":
        return Adam(parameters, lr=config.learning_rate, betas=(0.5, 0.999), foreach=True)
    return RMSprop(parameters, lr=config.learning_rate, alpha=0.99, foreach=True)


def to_device(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Images (N, 3, S, S) as float32 in [0, 1], channels last, and labels (N, A), on `device`."""
    image = batch.images.to(device, non_blocking=True).float().div_(255)
    return image.contiguous(memory_format=torch.channels_last), batch.y.to(device, non_blocking=True)


def require_finite(terms: dict[str, Tensor], step: int, out: Path) -> None:
    """Stop a training whose losses are no longer finite.

    Raises:
        TrainingError: one is not.
    """
    if math.isfinite(torch.stack([term.float() for term in terms.values()]).sum().item()):
        return
    bad = [name for name, term in terms.items() if not math.isfinite(term.item())]
    raise _not_finite(f"{', '.join(bad) or 'the sum of the terms'} is", step, out)


def _not_finite(what: str, step: int, out: Path) -> TrainingError:
    return TrainingError(
        f"Training stopped at step {step}: {what} no longer finite.",
        f"The last good checkpoint is kept in {checkpoint_folder(out)}. A lower --learning-rate or gradient "
        "clipping usually helps; with --precision 16-mixed try bf16-mixed.",
    )
