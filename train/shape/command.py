"""What `aif-train` asks of the presets of shape and appearance, `best` and `linear`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast, get_args

import torch

from aif.runtime.bundle.attributes import Part
from aif.runtime.errors import ConfigError, UnknownAttributeError
from aif.train.config import assign, read_settings
from aif.train.data.open import open_faces
from aif.train.shape.best.command import SIZE, train_best
from aif.train.shape.best.config import ShapeConfig
from aif.train.shape.best.training import ShapeOptions
from aif.train.shape.linear.fit import LinearConfig
from aif.train.shape.linear.training import train_baseline


@dataclass(frozen=True)
class ShapeTraining:
    """The command line's words."""

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
    regions: tuple[str, ...]
    """NAME=PART+PART: where the edits of an attribute act."""
    given: Mapping[str, Any]
    """Of steps, batch_size, learning_rate, image_size, width, precision and seed those that were given."""
    assignments: tuple[str, ...]
    """Any other setting, such as losses.kl=0.1."""
    accelerator: str
    """auto, cpu, cuda or mps."""
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


def parse_regions(texts: Sequence[str], attributes: Sequence[str]) -> dict[str, tuple[Part, ...]]:
    """Attribute to parts of the face, from texts like `Lipstick=mouth` and `Blush=cheeks+nose`.

    Raises:
        UnknownAttributeError: it is not among `attributes`.
        ConfigError: there is no such part; the message names them all.
    """
    regions: dict[str, tuple[Part, ...]] = {}
    for text in texts:
        name, _, words = (part.strip() for part in text.partition("="))
        if name not in attributes:
            raise UnknownAttributeError(name, attributes, "--attributes")
        parts = tuple(word.strip() for word in words.split("+"))
        if wrong := [part for part in parts if part not in get_args(Part)]:
            raise ConfigError(
                f"--region {text}: {wrong[0]!r} is no part of a face.",
                f"Parts: {', '.join(get_args(Part))}; several: {name}=mouth+jaw. Left out: all of the face.",
            )
        regions[name] = cast(tuple[Part, ...], parts)
    return regions


def _best(options: ShapeTraining, log: Callable[[str], None]) -> None:
    config, regions = _best_config(options), parse_regions(options.regions, options.attributes)
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
        regions,
    )
    print(f"Next: aif-export {options.out} -o {options.out.name}.aif")


def _best_config(options: ShapeTraining) -> ShapeConfig:
    """The settings that the command line asks for.

    Raises:
        ConfigError: one is unknown, or out of its range, or not to be chosen.
    """
    given = options.given
    if given.get("image_size", SIZE) != SIZE or "width" in given:
        raise ConfigError(
            f"The networks of preset best are of {SIZE} px and one width.",
            "Leave --image-size and --width out.",
        )
    if given.get("precision", "auto") != "auto":
        raise ConfigError("Preset best chooses its precision by the processor.", "Leave --precision out.")
    values = ShapeConfig().to_dict()
    if "steps" in given:
        values["effect_steps"] = given["steps"]
    values |= {name: given[name] for name in ("batch_size", "seed") if name in given}
    values["rates"]["networks"] = given.get("learning_rate", values["rates"]["networks"])
    return ShapeConfig.from_dict(assign(values, options.assignments))


def _linear(options: ShapeTraining, log: Callable[[str], None]) -> None:
    for name in ("steps", "batch_size", "learning_rate", "width"):
        if name in options.given:
            raise ConfigError(
                f"--{name.replace('_', '-')} means nothing to a model that is fitted in closed form.",
                "Leave it out.",
            )
    values = asdict(LinearConfig())
    values["seed"] = options.given.get("seed", values["seed"])
    config = read_settings(LinearConfig, assign(values, options.assignments))
    regions = parse_regions(options.regions, options.attributes)
    size = options.given.get("image_size", 128)
    if options.dry_run:
        print(json.dumps({"preset": "linear", "image_size": size, **asdict(config)}, indent=2))
        return
    faces = open_faces(options.data, "train", options.attributes, table=options.table, image_size=size)
    train_baseline(faces, options.data, options.out, size=size, config=config, regions=regions, log=log)
    print(f"Next: aif-export {options.out} -o {options.out.name}.aif")
