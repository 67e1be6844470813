"""The training loop: data, step, log, checkpoint; resumable at any step."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor

from aif.runtime.errors import ConfigError
from aif.runtime.signals import stop_on_signals
from aif.train.algorithm.noise import step_noise, step_seed
from aif.train.algorithm.update import StepBatch, to_device
from aif.train.config import TrainConfig
from aif.train.data.augment import Augmentation
from aif.train.data.base import FaceDataset
from aif.train.data.cache import cached
from aif.train.data.loader import FaceLoader
from aif.train.data.sampling import balanced_weights
from aif.train.progress import Pace
from aif.train.training.fabric import resolve_precision, start_fabric
from aif.train.training.logs import CHECKPOINT, FIRST_SAMPLE, STOPPING, RunLog
from aif.train.training.run import prepare_run, stored_precision
from aif.train.training.trainer import Trainer, require_finite

REPORT = 1.0
"""Seconds between reports, if steps are that fast."""

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
    """Steps between checkpoints; one is also written every five minutes, at the end and on interruption."""
    sample_every: int = 1_000
    """Steps between sample grids, with some more in the first minutes; 0 = none."""

    def __post_init__(self) -> None:
        for name in ("log_every", "checkpoint_every", "nodes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}.")
        if self.sample_every < 0 or (self.workers or 0) < 0:
            raise ConfigError("sample_every and workers cannot be negative.")


@dataclass(frozen=True)
class Progress:
    """Where a run stands: step done, steps in all, faces per second, seconds to the end, the last terms."""

    step: int
    steps: int
    faces_per_second: float
    seconds_left: float
    terms: dict[str, float]


@dataclass(frozen=True)
class TrainResult:
    """How a call of `train` ended; `main_process` is False in all processes but one.

    stopped: what a signal asks to be raised; None = the run is finished.
    """

    step: int
    stopped: KeyboardInterrupt | None
    terms: dict[str, float]
    main_process: bool

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.stopped is None


def train(
    config: TrainConfig,
    out: Path,
    data: FaceDataset,
    validation: FaceDataset,
    options: LoopOptions,
    progress: Callable[[Progress], None] | None = None,
    say: Callable[[str], None] = print,
) -> TrainResult:
    """Train `config` on `data` into the folder `out`; a run that is already there is resumed.

    SIGINT and SIGTERM end the run after the step in hand, with a checkpoint; while z is cleaned (`say` gets
    lines then) at once, for the same call cleans it anew. Resuming is exact: on the CPU a run in two parts
    equals one in one part bit for bit. A run with precision "auto" keeps what that came to.

    Raises:
        ConfigError: `out` holds a run of another configuration.
        TrainingError: a loss is no longer finite; the last good checkpoint is kept.
        DataError: too many unreadable images.
        KeyboardInterrupt: a second signal came, or one while z was cleaned.
    """
    if config.precision == "auto":
        found = stored_precision(out) or resolve_precision("auto", options.accelerator)
        config = dataclasses.replace(config, precision=found)
    fabric = start_fabric(config, options.accelerator, options.devices, options.nodes)
    if fabric.is_global_zero:
        prepare_run(config, out, data)
    fabric.barrier()
    trainer = Trainer(config, fabric, _label_rate(data, config.data.balance))
    start = trainer.resume(out)
    if start >= config.steps:
        return TrainResult(start, None, {}, fabric.is_global_zero)
    source = cached(data) if options.cache else data
    loader = _loader(config, source, options, fabric, start)
    share = slice(fabric.global_rank, None, fabric.world_size)
    step, values = start, {}
    stopped: KeyboardInterrupt | None = None
    batch = config.optimiser.batch_size
    pace = Pace(start * batch, config.steps * batch)
    run_logs = RunLog(out, start) if fabric.is_global_zero else nullcontext()
    with run_logs as run_log, stop_on_signals(STOPPING if fabric.is_global_zero else "") as stop:
        for step, faces in enumerate(loader, start):
            image, y = to_device(faces, fabric.device)
            torch.manual_seed(step_seed(config.seed, step) ^ fabric.global_rank)  # dropout
            if step == config.freezes_at:
                if fabric.is_global_zero and step > start:
                    trainer.save(out, step)
                with stop.at_once():
                    trainer.freeze_encoder(source, say if fabric.is_global_zero else log.debug)
            noise = step_noise(config, step, share, fabric.device)
            losses = trainer.step(StepBatch(image, y, noise, step))
            require_finite(losses, step, out)
            done = step + 1
            pace.at(done * batch)
            last = done == config.steps or _asked_to_stop(stop, fabric)
            logged = done % options.log_every == 0 or last
            if logged or pace.due("report", REPORT, 0):
                values = {name: term.item() for name, term in losses.items()}
                if run_log is not None and logged:
                    run_log.scalars(done, {**values, "faces_per_second": pace.rate})
                if progress is not None and fabric.is_global_zero:
                    progress(Progress(done, config.steps, pace.rate, pace.left, values))
            saved = done % options.checkpoint_every == 0 or last
            if fabric.is_global_zero and (pace.due("checkpoint", CHECKPOINT) or saved):
                trainer.save(out, done)
            early = pace.due("sample", pace.elapsed, FIRST_SAMPLE)
            due = early or done % (options.sample_every or config.steps) == 0 or done == config.steps
            if run_log and options.sample_every and due:
                run_log.grid(done, trainer.samples(validation))
            if last:
                stopped = None if done == config.steps else stop.interrupt()
                break
    fabric.barrier()
    return TrainResult(step + 1, stopped, values, fabric.is_global_zero)


def _loader(
    config: TrainConfig, data: FaceDataset, options: LoopOptions, fabric: Fabric, start: int
) -> FaceLoader:
    """Batches of this process from step `start` on."""
    jitter = config.data.jitter
    return FaceLoader(
        data,
        config.network.image_size,
        config.optimiser.batch_size,
        config.seed,
        augment=Augmentation(config.data.flip, rotation=4 * jitter, scale=0.04 * jitter, shift=0.02 * jitter),
        balance=config.data.balance,
        workers=options.workers,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
        start_step=start,
        pin_memory=fabric.device.type == "cuda",
    )


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
