"""What `aif-train` asks of the presets of shape and appearance, `best` and `linear`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError

from aif.runtime.errors import ConfigError
from aif.train.data.open import open_faces
from aif.train.shape.best.command import SIZE, train_best
from aif.train.shape.best.config import ShapeConfig
from aif.train.shape.best.training import ShapeOptions
from aif.train.shape.linear.fit import LinearConfig
from aif.train.shape.linear.training import train_baseline


@dataclass(frozen=True)
class ShapeTraining:
    """The command line's words; None leaves the preset's own value."""

    preset: str
    """best or linear."""
    out: Path
    """Folder of the run; a run there is resumed."""
    data: Path | None
    """Labelled faces with dense landmarks; None = synthetic."""
    table: Path | None
    """The CSV of labels, where it is not beside the images."""
    attributes: tuple[str, ...]
    """Columns of y, in this order."""
    steps: int | None
    """Training steps in all."""
    batch_size: int | None
    """Faces a step."""
    learning_rate: float | None
    """Step size of all networks."""
    image_size: int | None
    """Side of the face crop in pixels."""
    width: int | None
    """Channels of the first layer."""
    precision: str | None
    """auto, 32-true, bf16-mixed or 16-mixed."""
    seed: int | None
    """Seed of everything random."""
    assignments: tuple[str, ...]
    """Any other setting, such as losses.kl=0.1."""
    accelerator: str
    """auto, cpu, cuda or mps."""
    workers: int | None
    """Processes that decode images; None = one a core."""
    checkpoint_every: int
    """Steps between checkpoints."""
    log_every: int
    """Steps between log lines."""
    sample_every: int
    """Steps between pictures of edits."""
    dry_run: bool
    """Whether to print the resolved settings and stop."""


def train_shape_command(options: ShapeTraining, log: Callable[[str], None] = print) -> None:
    """Train a model of shape and appearance, or go on with one; `log` gets lines while it is under way.

    Raises:
        ConfigError: a setting is out of range, or one that the preset does not have.
        DataError: the data cannot be read.
    """
    if options.preset == "linear":
        _linear(options, log)
    else:
        _best(options, log)


def _best(options: ShapeTraining, log: Callable[[str], None]) -> None:
    config = _best_config(options)
    if options.dry_run:
        print(json.dumps({"preset": "best", **config.to_dict()}, indent=2))
        return
    train_best(
        open_faces(options.data, "train", options.attributes, table=options.table, image_size=SIZE),
        open_faces(options.data, "val", options.attributes, table=options.table, image_size=SIZE),
        options.data,
        options.out,
        config,
        ShapeOptions(
            device="cuda" if options.accelerator != "cpu" and torch.cuda.is_available() else "cpu",
            log_every=options.log_every,
            checkpoint_every=options.checkpoint_every,
            sample_every=options.sample_every,
        ),
        log,
    )
    print(f"Next: aif-export {options.out} -o {options.out.name}.aif")


def _best_config(options: ShapeTraining) -> ShapeConfig:
    """The settings that the command line asks for.

    Raises:
        ConfigError: one is unknown, or out of its range, or not to be chosen.
    """
    if options.image_size not in (None, SIZE) or options.width is not None:
        raise ConfigError(
            f"The networks of preset best are of {SIZE} px and one width.",
            "Leave --image-size and --width out.",
        )
    if options.precision not in (None, "auto"):
        raise ConfigError("Preset best chooses its precision by the processor.", "Leave --precision out.")
    values = ShapeConfig().to_dict()
    texts = [*options.assignments]
    if options.steps is not None:
        # Algorithm 1 and the edits share the steps as they do by default.
        first = round(
            options.steps
            * values["reconstruct_steps"]
            / (values["reconstruct_steps"] + values["effect_steps"])
        )
        texts += [f"reconstruct_steps={first}", f"effect_steps={options.steps - first}"]
    for option, number in (("batch_size", options.batch_size), ("seed", options.seed)):
        if number is not None:
            texts.append(f"{option}={number}")
    if options.learning_rate is not None:
        texts.append(f"rates.networks={options.learning_rate}")
    for text in texts:
        name, value = _assigned(text)
        *groups, last = name.split(".")
        place: dict[str, Any] = values
        for group in groups:
            inner = place.get(group)
            place = inner if isinstance(inner, dict) else {}
        if last not in place:
            raise ConfigError(f"Preset best has no setting {name!r}.", "--dry-run prints all of them.")
        place[last] = value
    return ShapeConfig.from_dict(values)


def _linear(options: ShapeTraining, log: Callable[[str], None]) -> None:
    given = {
        "--steps": options.steps,
        "--batch-size": options.batch_size,
        "--learning-rate": options.learning_rate,
        "--width": options.width,
    }
    for name, value in given.items():
        if value is not None:
            raise ConfigError(
                f"{name} means nothing to a model that is fitted in closed form.", "Leave it out."
            )
    values = dict(_assigned(text) for text in options.assignments)
    if options.seed is not None:
        values["seed"] = options.seed
    for name in values:
        if name not in {field.name for field in fields(LinearConfig)}:
            raise ConfigError(f"Preset linear has no setting {name!r}.", "--dry-run prints all of them.")
    try:
        config = TypeAdapter(LinearConfig).validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from error
    size = options.image_size or 128
    if options.dry_run:
        print(json.dumps({"preset": "linear", "image_size": size, **asdict(config)}, indent=2))
        return
    faces = open_faces(options.data, "train", options.attributes, table=options.table, image_size=size)
    train_baseline(faces, options.data, options.out, size=size, config=config, log=log)
    print(f"Next: aif-export {options.out} -o {options.out.name}.aif")


def _assigned(text: str) -> tuple[str, object]:
    """Name and value of an assignment such as faces=5000, the value as in JSON."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"{text!r} is no assignment.", "Write it as faces=5000.")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value.strip()
