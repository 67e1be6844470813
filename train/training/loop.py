"""The training loop: data, step, log, checkpoint; resumable at any step."""

from __future__ import annotations

import dataclasses
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
from torch import Tensor

from aif.runtime.errors import ConfigError
from aif.train.algorithm.noise import StepNoise, draw_noise, step_seed
from aif.train.algorithm.settle import settled_step
from aif.train.algorithm.step import train_step
from aif.train.config import TrainConfig
from aif.train.data.augment import Augmentation
from aif.train.data.base import FaceDataset
from aif.train.data.cache import cached
from aif.train.data.loader import FaceLoader
from aif.train.data.sampling import balanced_weights
from aif.train.rivals.icgan import icgan_step
from aif.train.training.launch import launch, resolve_precision
from aif.train.training.logs import RunLog
from aif.train.training.players import Players, require_finite, to_device
from aif.train.training.run import prepare_run, stored_precision


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
    run in two parts equals one in one part bit for bit. A run with precision "auto" keeps what that came to.

    Raises:
        ConfigError: `out` holds a run of another configuration.
        TrainingError: a loss is no longer finite; the last good checkpoint is kept.
        DataError: too many unreadable images.
    """
    options = options or LoopOptions()
    if config.precision == "auto":
        found = stored_precision(out) or resolve_precision("auto", options.accelerator)
        config = dataclasses.replace(config, precision=found)
    fabric = launch(config, options.accelerator, options.devices, options.nodes)
    if fabric.is_global_zero:
        prepare_run(config, out, data)
    fabric.barrier()
    players = Players(config, fabric)
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
    share = slice(fabric.global_rank, None, fabric.world_size)
    step, values, finished = start, {}, True
    with RunLog(out, start) if fabric.is_global_zero else _nothing() as run_log, stop_signals() as stop:
        clock, seen = time.perf_counter(), 0
        for step, batch in enumerate(loader, start):
            image, y = to_device(batch, fabric.device)
            players.set_learning_rate(step)
            torch.manual_seed(step_seed(config.seed, step) ^ fabric.global_rank)  # dropout
            noise = draw_noise(config, step, share, fabric.device)
            if step == config.freezes_at:
                players.clean(source)
            terms = _one_step(players, image, y, y_rate, noise, step)
            require_finite(terms, step, out)
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
    players: Players, image: Tensor, y: Tensor, y_rate: Tensor, noise: StepNoise, step: int
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
    if step < config.freezes_at:
        return train_step(networks, optimisers, image, y, y_rate, noise, config, step, fabric)
    return settled_step(networks, optimisers, image, y, noise, config, step, fabric)


def _asked_to_stop(stop: threading.Event, fabric: Fabric) -> bool:
    """Whether any process was asked to stop; all processes get the same answer."""
    if fabric.world_size == 1:
        return stop.is_set()
    flag = torch.tensor(float(stop.is_set()), device=fabric.device)
    return bool(cast(Tensor, fabric.all_reduce(flag, reduce_op="sum")) > 0)


def _label_rate(data: FaceDataset, balance: bool) -> Tensor:
    """Mean of each label as the loader samples faces, (A,) float32."""
    weights = balanced_weights(data.labels) if balance else np.ones(len(data))
    rate = (weights / weights.sum()) @ data.labels.astype(np.float64)
    return torch.from_numpy(np.asarray(rate, dtype=np.float32))


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
