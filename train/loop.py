"""The training loop: data, step, log, checkpoint; resumable at any step."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from lightning.fabric import Fabric
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.optim import Adam, Optimizer, RMSprop

from aif.runtime.errors import ConfigError, TrainingError
from aif.train.checkpoint import (
    list_checkpoints,
    load_checkpoint,
    optimiser_tensors,
    restore_optimiser,
    save_checkpoint,
)
from aif.train.config import OptimiserConfig, TrainConfig
from aif.train.data.augment import Augmentation
from aif.train.data.base import FaceDataset
from aif.train.data.cache import cached
from aif.train.data.loader import Batch, FaceLoader, evaluation_batches
from aif.train.data.sampling import balanced_weights
from aif.train.ema import Ema
from aif.train.icgan import icgan_step
from aif.train.logs import RunLog, sample_grid
from aif.train.networks.modules import Networks
from aif.train.noise import StepNoise, draw_noise, step_seed
from aif.train.run import checkpoint_folder, prepare_run
from aif.train.settle import FACES, collect, factorize, settled_step, settles_at
from aif.train.step import Optimisers, train_step

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoopOptions:
    """How a run is carried out; nothing here changes its outcome."""

    accelerator: str = "auto"
    """Lightning's accelerator: auto, cpu, cuda, mps."""
    devices: int | str = 1
    """Devices on this node, or "auto" for all. Batch norm sees the whole batch on GPUs; on processors each
    process normalises its own share, and the first one's statistics are kept."""
    nodes: int = 1
    """Nodes, each started with torchrun."""
    workers: int | None = None
    """Decoding processes; None = one a core, 0 = in the training process."""
    cache: bool = True
    """Whether decoded faces are kept in a temporary file (uint8, memory-mapped)."""
    log_every: int = 50
    """Steps between log lines."""
    checkpoint_every: int = 500
    """Steps between checkpoints; one is also written at the end and on interruption."""
    sample_every: int = 1_000
    """Steps between sample grids; 0 = none."""

    def __post_init__(self) -> None:
        for name in ("log_every", "checkpoint_every", "nodes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}.")
        if self.sample_every < 0 or (self.workers or 0) < 0:
            raise ConfigError("sample_every and workers cannot be negative.")


@dataclass(frozen=True)
class Progress:
    """Where a run stands: step done, steps in all, faces per second lately, the last logged terms."""

    step: int
    steps: int
    faces_per_second: float
    terms: dict[str, float]


@dataclass(frozen=True)
class TrainResult:
    """How a call of `train` ended; `main_process` is False in all processes but one."""

    step: int
    finished: bool
    folder: Path
    terms: dict[str, float]
    main_process: bool


def train(
    config: TrainConfig,
    out: Path,
    data: FaceDataset,
    validation: FaceDataset,
    options: LoopOptions | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> TrainResult:
    """Train `config` on `data` into the folder `out`; a run that is already there is resumed.

    SIGINT and SIGTERM end the run after the step in hand, with a checkpoint. Resuming is exact: on the CPU a
    run in two parts equals one in one part bit for bit.

    Raises:
        ConfigError: `out` holds a run of another configuration.
        TrainingError: a loss is no longer finite; the last good checkpoint is kept.
        DataError: too many unreadable images.
    """
    options = options or LoopOptions()
    fabric = _launch(config, options)
    if fabric.is_global_zero:
        prepare_run(config, out, data)
    fabric.barrier()
    players = _Players(config, fabric)
    start = players.resume(out)
    if start >= config.steps:
        return TrainResult(start, True, out, {}, fabric.is_global_zero)
    source = cached(data) if options.cache else data
    jitter = config.data.jitter
    loader = FaceLoader(
        source,
        config.network.image_size,
        config.optimiser.batch_size,
        config.seed,
        augment=Augmentation(
            flip=config.data.flip, rotation=4.0 * jitter, scale=0.04 * jitter, shift=0.02 * jitter
        ),
        balance=config.data.balance,
        workers=options.workers,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
        start_step=start,
        pin_memory=fabric.device.type == "cuda",
    )
    y_rate = _label_rate(data, config.data.balance).to(fabric.device)
    rest = settles_at(config)
    share = slice(fabric.global_rank, None, fabric.world_size)
    step, values, finished = start, {}, True
    with RunLog(out, start) if fabric.is_global_zero else _nothing() as run_log, stop_signals() as stop:
        clock, seen = time.perf_counter(), 0
        for step, batch in enumerate(loader, start):
            image, y = _to_device(batch, fabric.device)
            _set_learning_rate(players.optimisers, config.optimiser, step, config.steps)
            torch.manual_seed(step_seed(config.seed, step) ^ fabric.global_rank)  # dropout
            noise = draw_noise(config, step, share, fabric.device)
            if step == rest:
                players.settle(source)
            terms = _one_step(players, image, y, y_rate, noise, step)
            _require_finite(terms, step, out)
            players.average(step)
            seen += config.optimiser.batch_size
            done = step + 1
            last = done == config.steps or _asked_to_stop(stop, fabric)
            if done % options.log_every == 0 or last:
                values = {name: term.item() for name, term in terms.items()}
                rate = seen / (time.perf_counter() - clock)
                clock, seen = time.perf_counter(), 0
                if run_log is not None:
                    run_log.scalars(done, {**values, "faces_per_second": rate})
                if progress is not None and fabric.is_global_zero:
                    progress(Progress(done, config.steps, rate, values))
            if fabric.is_global_zero and (done % options.checkpoint_every == 0 or last):
                players.save(out, done)
            if run_log is not None and options.sample_every and (done % options.sample_every == 0 or last):
                run_log.grid(done, players.samples(validation))
            if last:
                finished = done == config.steps
                break
    fabric.barrier()
    return TrainResult(step + 1, finished, out, values, fabric.is_global_zero)


def _one_step(
    players: _Players, image: Tensor, y: Tensor, y_rate: Tensor, noise: StepNoise, step: int
) -> dict[str, Tensor]:
    """The step of the configured method at this point of the run."""
    networks, optimisers, config, fabric = (
        players.networks,
        players.optimisers,
        players.config,
        players.fabric,
    )
    if config.objective.method == "icgan":
        return icgan_step(networks, optimisers, image, y, noise, config, step, fabric)
    if step < settles_at(config):
        return train_step(networks, optimisers, image, y, y_rate, noise, config, step, fabric)
    return settled_step(networks, optimisers, image, y, noise, config, step, fabric)


def _launch(config: TrainConfig, options: LoopOptions) -> Fabric:
    """Lightning Fabric, started; its complaints about devices become errors for people."""
    if config.precision == "16-mixed" and options.accelerator == "cpu":
        raise ConfigError("16-mixed needs a GPU.", "On the CPU use --precision bf16-mixed or 32-true.")
    try:
        fabric = Fabric(
            accelerator=options.accelerator,
            devices=options.devices,
            num_nodes=options.nodes,
            precision=config.precision,
        )
        fabric.launch()
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        raise ConfigError(
            f"The devices cannot be used: {error}", "See --accelerator and --devices."
        ) from error
    if fabric.device.type == "cuda":  # pictures of one size: let cuDNN look for its fastest convolutions
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if fabric.world_size != started:
        raise ConfigError(
            f"torchrun started {started} processes, --devices and --nodes ask for {fabric.world_size}.",
            "Give --devices the processes of one machine, and --nodes the number of machines.",
        )
    if config.optimiser.batch_size % fabric.world_size:
        raise ConfigError(
            f"{config.optimiser.batch_size} faces a step do not divide by {fabric.world_size} processes."
        )
    return fabric


def _asked_to_stop(stop: threading.Event, fabric: Fabric) -> bool:
    """Whether any process was asked to stop; all processes get the same answer."""
    if fabric.world_size == 1:
        return stop.is_set()
    flag = torch.tensor(float(stop.is_set()), device=fabric.device)
    return bool(cast(Tensor, fabric.all_reduce(flag, reduce_op="sum")) > 0)


class _Players:
    """Networks, optimisers and the moving average, with their saving and loading."""

    def __init__(self, config: TrainConfig, fabric: Fabric) -> None:
        self.config, self.fabric = config, fabric
        torch.manual_seed(config.seed)
        o = config.objective
        networks = Networks(config.network, config.data.attributes, o.detach_y_trunk, config.judges_y)
        networks = networks.to(fabric.device).to(memory_format=torch.channels_last)
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
        if self.ema is not None:
            self.ema.update(self._averaged(), step)

    def settle(self, data: FaceDataset) -> None:
        """Go on from the averaged weights, with a code that is clean of the attributes."""
        log.info("the encoder rests from here on; cleaning z of y takes a few minutes")
        if self.ema is not None:
            self._averaged().load_state_dict(self.ema.module.state_dict())
        encoder = self.networks.encoder
        indices = list(range(min(FACES, len(data))))
        batches = evaluation_batches(data, self.config.network.image_size, 64, indices)
        with self.fabric.autocast():
            features, y, y_hat = collect(encoder, batches, self.fabric.device)
        factorize(encoder.mean, features, y, y_hat, self.config)
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
        """Write a checkpoint, unless the step has ruined the weights: then the one before stays."""
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
        indices = list(range(min(8, len(validation))))
        batch = next(iter(evaluation_batches(validation, self.config.network.image_size, 8, indices)))
        image, _ = _to_device(batch, self.fabric.device)
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


def _set_learning_rate(optimisers: Optimisers, config: OptimiserConfig, step: int, steps: int) -> None:
    left = (steps - step) / (steps * config.decay_last) if config.decay_last > 0 else 1.0
    for optimiser in (optimisers.autoencoder, optimisers.discriminator, optimisers.auxiliary):
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * min(1.0, left)


def _label_rate(data: FaceDataset, balance: bool) -> Tensor:
    """Mean of each label as the loader draws faces, (A,) float32."""
    weights = balanced_weights(data.labels) if balance else np.ones(len(data))
    rate = (weights / weights.sum()) @ data.labels.astype(np.float64)
    return torch.from_numpy(np.asarray(rate, dtype=np.float32))


def _to_device(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Images as float32 in [0, 1], channels last, and labels, on `device`."""
    image = batch.images.to(device, non_blocking=True).float().div_(255)
    return image.contiguous(memory_format=torch.channels_last), batch.y.to(device, non_blocking=True)


def _require_finite(terms: dict[str, Tensor], step: int, out: Path) -> None:
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


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT or SIGTERM sets; a second signal acts as it always does."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, previous[signal.Signals(number)])

    for number in previous:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _nothing() -> Iterator[None]:
    yield None
