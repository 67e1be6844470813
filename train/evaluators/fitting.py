"""The training loop of the small networks: AdamW on a one-cycle schedule, with a checkpoint now and then.

Ctrl-C and SIGTERM end it with a checkpoint, from which the same call goes on.
"""

from __future__ import annotations

import abc
import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from aif.runtime.errors import CheckpointError, ConfigError, DataError
from aif.runtime.signals import stop_on_signals
from aif.train.data.loader import start_worker
from aif.train.progress import EVERY, FIRST, Pace, lasting
from aif.train.training.checkpoint import (
    list_checkpoints,
    load_checkpoint,
    optimiser_tensors,
    restore_optimiser,
    save_checkpoint,
)
from aif.train.training.ema import Ema

B = TypeVar("B")
S = TypeVar("S")
C = TypeVar("C", bound="SampleConfig")
N = TypeVar("N", bound=nn.Module)


class ImageBatch(Protocol):
    """images uint8 (N, 3, S, S) RGB, beside what a loss needs."""

    @property
    def images(self) -> Tensor: ...


I = TypeVar("I", bound=ImageBatch)  # noqa: E741


@dataclass(frozen=True)
class SampleConfig:
    """How a network is trained on `Samples`."""

    samples: int
    """Training length in samples."""
    batch_size: int
    """Samples a step."""
    learning_rate: float
    """Peak of the schedule of AdamW: a linear rise, then a cosine to 0."""
    ema: float
    """Decay of the running average of the weights, which is what is kept."""
    seed: int = 0
    """Seed of weights and samples."""

    def __post_init__(self) -> None:
        if self.samples < self.batch_size:
            raise ConfigError(f"A training takes at least {self.batch_size} samples, not {self.samples}.")


class Samples(Dataset[B], abc.ABC, Generic[S, B]):
    """Item k is batch k. A sample is a pure function of (data, seed, its number), so that a training that is
    resumed goes on exactly.
    """

    def __init__(self, batch_size: int, seed: int) -> None:
        self.batch_size, self._seed = batch_size, seed

    def __getitem__(self, step: int) -> B:
        first = step * self.batch_size
        return self.batch([self.sample(first + offset) for offset in range(self.batch_size)])

    def sample(self, number: int) -> S:
        """Sample `number`."""
        return self.drawn(np.random.default_rng([self._seed, number]))

    @abc.abstractmethod
    def drawn(self, rng: np.random.Generator) -> S:
        """The sample that the generator's numbers lead to."""

    @abc.abstractmethod
    def batch(self, samples: list[S]) -> B:
        """Several samples as tensors."""


@dataclass(frozen=True)
class FitOptions:
    """How long and how fast a network is trained."""

    name: str
    """What log lines begin with."""
    length: int
    """Samples to see."""
    learning_rate: float
    """Peak of the one-cycle schedule."""
    weight_decay: float
    """AdamW's."""
    rise: float = 0.15
    """Share of the training in which the learning rate rises."""
    ema: float | None = None
    """Decay of a running average of the weights, which is then the result; None for the last weights."""
    clip: float | None = None
    """Largest norm of the gradient; None for any."""
    every: float = 120.0
    """Seconds between two checkpoints."""


def one_cycle(progress: float, rise: float = 0.15) -> float:
    """Factor of the learning rate at `progress` in [0, 1]: a linear rise, then a cosine to 0."""
    if progress < rise:
        return 0.04 + 0.96 * progress / rise
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - rise) / (1 - rise))))


def endless(batches: Iterable[B]) -> Iterator[B]:
    """Go through `batches` again and again; ends only if a pass gives none."""
    some = True
    while some:
        some = False
        for batch in batches:
            some = True
            yield batch


def numbered(batches: Dataset[B], first: int, steps: int, workers: int) -> Iterator[B]:
    """Batches `first` to `steps` - 1 of a dataset whose item k is batch k, made by `workers` processes."""
    order = range(first, steps)
    return iter(DataLoader(batches, None, sampler=order, num_workers=workers, worker_init_fn=start_worker))


def fit(
    network: nn.Module,
    loss: Callable[[B, float], tuple[Tensor, int]],
    batches: Callable[[int], Iterator[B]],
    options: FitOptions,
    folder: Path | None = None,
    about: Mapping[str, Any] | None = None,
    *,
    log: Callable[[str], None] = print,
) -> nn.Module:
    """Train a network until `options.length` samples are seen; returns the running average if there is one.

    Args:
        loss: a batch and the progress in [0, 1] to the loss and the number of samples in it.
        batches: the number of steps already done to the batches from there on.
        folder: where checkpoints go, the last one of the finished training too; None for none.
        about: what makes a training another one, as JSON has it; a checkpoint must agree.

    Raises DataError where the batches end too early, CheckpointError where `folder` holds another training
    or a damaged checkpoint, KeyboardInterrupt after Ctrl-C or SIGTERM; the checkpoint is written then.
    """
    optimizer = torch.optim.AdamW(
        network.parameters(), options.learning_rate, weight_decay=options.weight_decay
    )
    average = None if options.ema is None else Ema(network, options.ema)
    parts = {"network": network} if average is None else {"network": network, "ema": average.module}
    step, seen = (0, 0) if folder is None else _resume(folder, parts, optimizer, about or {})
    if step:
        log(f"{options.name}: goes on from {seen} of {options.length}")
    else:
        log(f"{options.name}: {options.length} to see")
    pace, recent = Pace(seen, options.length), torch.zeros(())
    stream = batches(step)
    with stop_on_signals(f"{options.name}: stopping after this step") as stop:
        while seen < options.length:
            progress = seen / options.length
            for group in optimizer.param_groups:
                group["lr"] = options.learning_rate * one_cycle(progress, options.rise)
            batch = next(stream, None)
            if batch is None:
                raise DataError("The training data gave no batch.", "Use more faces.")
            value, count = loss(batch, progress)
            optimizer.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            if options.clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), options.clip)
            optimizer.step()
            step, seen = step + 1, seen + count
            recent = value.detach() if step == 1 else recent + 0.02 * (value.detach() - recent)
            if average is not None:
                average.update(network, step)
            pace.at(seen)
            last = stop.is_set() or seen >= options.length
            if (pace.due("checkpoint", options.every) or last) and folder is not None:
                groups = {name: module.state_dict() for name, module in parts.items()}
                groups["optimizer"] = optimiser_tensors(optimizer)
                save_checkpoint(folder, step, groups, {**(about or {}), "seen": seen})
            if pace.due("line", EVERY, FIRST) or last:
                done = f"{options.name}: {seen} of {options.length}, loss {recent.item():.4f}"
                log(f"{done}, {pace.rate:.0f} a second, about {lasting(pace.left)} left")
            if stop.is_set():
                going_on = "starts anew" if folder is None else "goes on from there"
                log(f"{options.name}: interrupted; the same command {going_on}")
                raise stop.interrupt()
    return network if average is None else average.module


def fit_samples(
    network: nn.Module,
    loss: Callable[[Any, I], Tensor],
    samples: Samples[Any, I],
    options: FitOptions,
    config: SampleConfig,
    folder: Path,
    workers: int,
    log: Callable[[str], None],
) -> nn.Module:
    """`fit` on samples that `workers` processes make (0 = this one), to `options.length` in whole batches.

    loss: what the network gives for images (N, 3, S, S) in [0, 1], and their batch, to what is minimised.
    Raises CheckpointError where `folder` holds a training of another configuration, or a damaged checkpoint.
    """
    steps = options.length // samples.batch_size

    def batch_loss(batch: I, _: float) -> tuple[Tensor, int]:
        images = (batch.images.float() / 255).contiguous(memory_format=torch.channels_last)
        return loss(network(images), batch), samples.batch_size

    def batches(done: int) -> Iterator[I]:
        return numbered(samples, done, steps, workers)

    options = dataclasses.replace(options, length=steps * samples.batch_size)
    about = {"config": dataclasses.asdict(config)}
    return fit(network, batch_loss, batches, options, folder, about, log=log)


def _resume(
    folder: Path, parts: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer, about: Mapping[str, Any]
) -> tuple[int, int]:
    """Steps done and samples seen of the newest checkpoint, put back into all parts; (0, 0) without one."""
    found = list_checkpoints(folder)
    if not found:
        return 0, 0
    groups, info = load_checkpoint(found[-1])
    if any(info.get(name) != value for name, value in json.loads(json.dumps(about)).items()):
        raise CheckpointError(
            f"{folder} holds a training with other settings.",
            "Choose another place for the result, or remove that folder.",
        )
    try:
        for name, module in parts.items():
            module.load_state_dict(groups[name])
        restore_optimiser(optimizer, groups["optimizer"])
        return int(info["step"]), int(info["seen"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{found[-1]} is damaged ({error}).", "Remove that folder.") from error


def load_fitted(folder: Path, kind: type[C], build: Callable[[C], N], name: str) -> tuple[N, C]:
    """The averaged network of the newest checkpoint in `folder`, in evaluation mode, and its configuration.

    Raises CheckpointError where there is none, or it is damaged or of no such network.
    """
    found = list_checkpoints(folder)
    if not found:
        raise CheckpointError(
            f"{folder} has no checkpoint of a {name} network.", f"Train one: aif fit {name}"
        )
    groups, info = load_checkpoint(found[-1])
    try:
        config = TypeAdapter(kind).validate_python(info["config"])
        network = build(config)
        network.load_state_dict(groups["ema"])
    except (KeyError, ValueError, RuntimeError, ConfigError) as error:
        raise CheckpointError(f"{found[-1]} is no checkpoint of a {name} network ({error}).") from error
    return network.eval(), config
