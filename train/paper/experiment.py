"""Train a system under a budget, measure it, and keep what was found: each only where it is not done yet."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aif.runtime.errors import CheckpointError, DataError
from aif.runtime.files import write_text
from aif.train.config import TrainConfig
from aif.train.data.base import FaceDataset
from aif.train.data.cache import cached
from aif.train.data.open import Split, open_faces
from aif.train.evaluation.measure import TorchModel
from aif.train.paper.budget import Budget, command, configure
from aif.train.paper.measures import Effort, Faces, Instruments, Number, measure_system
from aif.train.training.checkpoint import list_checkpoints
from aif.train.training.loop import LoopOptions, Progress, train
from aif.train.training.run import checkpoint_folder, load_run

log = logging.getLogger(__name__)

MEASURES_VERSION = 4
"""Raised when a measure changes its meaning: what was measured before is then measured again."""


@dataclass(frozen=True)
class Provenance:
    """Where the numbers of one trained system come from: preset and seed, SHA-256 of what was measured, name
    and fingerprint of the validation faces, length of the training, and the command that trains it.
    """

    preset: str
    seed: int
    checkpoint: str
    data: str
    faces_seen: int
    command: str


@dataclass(frozen=True)
class Measured:
    """One trained system with everything that was measured of it."""

    provenance: Provenance
    numbers: dict[str, Number]
    folder: Path


@dataclass(frozen=True)
class Experiment:
    """What all systems of a report have in common.

    `out` gets runs, measures and reports; `data` None = synthetic faces; `instruments_hash` is the
    `folder_hash` of what measures; `command` the command line; `opened` the splits, whose faces are decoded
    once for all.
    """

    out: Path
    data: Path | None
    table: Path | None
    instruments: Instruments
    instruments_hash: str
    budget: Budget
    effort: Effort
    options: LoopOptions
    command: str
    opened: dict[tuple[str, ...], Faces] = field(default_factory=dict, repr=False, compare=False)

    def faces(self, attributes: Sequence[str]) -> Faces:
        """The splits, with these attributes as columns of y."""
        names = tuple(attributes)
        if names not in self.opened:
            validation = self._split("val", names)
            try:
                test = self._split("test", names)
            except DataError:  # not all data sets have one
                test = validation
            self.opened[names] = Faces(self._split("train", names), validation, test)
        return self.opened[names]

    def _split(self, split: Split, names: tuple[str, ...]) -> FaceDataset:
        size = self.budget.image_size or 64
        found = open_faces(self.data, split, list(names), table=self.table, image_size=size)
        # Synthetic faces that are measured stay what they are, to be made again with an attribute flipped.
        synthetic = self.data is None and split != "train"
        return cached(found) if self.options.cache and not synthetic else found


def run_folder(out: Path, config: TrainConfig) -> Path:
    """Where the run of a configuration lies: by preset, attributes and seed."""
    names = config.data.attributes
    what = names[0] if len(names) == 1 else f"{names[0]}-and-{len(names) - 1}-more"
    return out / "runs" / f"{config.preset}-{what}-{config.seed}"


def system(
    experiment: Experiment,
    preset: str,
    seed: int,
    attributes: Sequence[str],
    probed: Sequence[str],
    progress: Callable[[str, Progress], None] | None = None,
) -> Measured:
    """Train and measure one system; what is already there is taken as it is.

    Raises:
        ConfigError: the folder holds a run of another budget.
        TrainingError: its losses are no longer finite.
        KeyboardInterrupt: the training was interrupted.
    """
    config = configure(preset, experiment.budget, seed, attributes, experiment.data)
    folder = run_folder(experiment.out, config)
    train_once(experiment, config, folder, progress)
    return measure_once(experiment, config, folder, probed)


def train_once(
    experiment: Experiment,
    config: TrainConfig,
    folder: Path,
    progress: Callable[[str, Progress], None] | None,
) -> None:
    """Train `config` into `folder`, or go on with the run that is there, or leave it where it is done."""
    found = list_checkpoints(checkpoint_folder(folder))
    if found and int(found[-1].name.removeprefix("step-")) >= config.steps and _same(config, folder):
        return
    faces = experiment.faces(config.data.attributes)
    show = None if progress is None else lambda report: progress(config.preset, report)
    result = train(config, folder, faces.train, faces.validation, experiment.options, show)
    if result.stopped is not None:
        raise result.stopped


def measure_once(
    experiment: Experiment, config: TrainConfig, folder: Path, probed: Sequence[str]
) -> Measured:
    """Measure the run in `folder`, unless just this was measured before."""
    attributes = list(config.data.attributes)
    everything = [*attributes, *(name for name in probed if name not in attributes)]
    faces = experiment.faces(everything)
    checkpoint = checkpoint_hash(folder)
    run = load_run(folder)
    provenance = Provenance(
        preset=config.preset,
        seed=config.seed,
        command=command(run.config, None if experiment.data is None else experiment.data.name),
        checkpoint=checkpoint,
        data=f"{faces.validation.name} {faces.validation.fingerprint[:12]}",
        faces_seen=run.faces_seen,
    )
    wanted = {
        "version": MEASURES_VERSION,
        "checkpoint": checkpoint,
        "data": [faces.train.fingerprint, faces.validation.fingerprint, faces.test.fingerprint],
        "instruments": experiment.instruments_hash,
        "effort": dataclasses.asdict(experiment.effort),
        "probed": everything,
    }
    store = experiment.out / "measures" / f"{folder.name}.json"
    if (numbers := _read_numbers(store, wanted)) is None:
        log.info("measuring %s", folder.name)
        model = TorchModel.of(run)
        numbers = measure_system(model, faces, experiment.instruments, experiment.effort, everything)
        plain = {name: dataclasses.asdict(number) for name, number in numbers.items()}
        write_text(store, json.dumps({"identity": wanted, "numbers": plain}, indent=1) + "\n")
    return Measured(provenance, numbers, folder)


def checkpoint_hash(folder: Path) -> str:
    """SHA-256 of the weights and configuration that a run would be measured or exported with."""
    found = list_checkpoints(checkpoint_folder(folder))
    if not found:
        raise CheckpointError(f"{folder} has no checkpoint yet.", "Train it first.")
    weights = (*found[-1].glob("networks.*"), *found[-1].glob("ema.*"))
    digest = hashlib.sha256()
    for path in (folder / "config.json", *sorted(weights)):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def folder_hash(*folders: Path | None) -> str:
    """SHA-256 of the weights in the folders of instruments; None counts as "none"."""
    digest = hashlib.sha256()
    for folder in folders:
        digest.update(b"none" if folder is None else b"some")
        for path in sorted(folder.glob("*.safetensors")) if folder is not None else ():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _same(config: TrainConfig, folder: Path) -> bool:
    """Whether the finished run has just this configuration; else `train` says what differs."""
    found = load_run(folder).config
    if config.precision == "auto":
        config = dataclasses.replace(config, precision=found.precision)
    return found == config


def _read_numbers(path: Path, wanted: dict[str, Any]) -> dict[str, Number] | None:
    """The numbers in `path`, if they were measured just as wanted."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        same = stored["identity"] == json.loads(json.dumps(wanted))
        return {name: Number(**n) for name, n in stored["numbers"].items()} if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
