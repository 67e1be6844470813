"""How much training an experiment is given, and what a preset becomes under it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from aif.runtime.errors import ConfigError, nearest_names
from aif.train.config import Precision, TrainConfig
from aif.train.objectives import Fader, IfcVaeGan
from aif.train.presets import get_preset

PRECISIONS: tuple[str, ...] = get_args(Precision)


@dataclass(frozen=True)
class Budget:
    """The same for all systems of an experiment; None leaves a preset's own value."""

    faces_seen: int | None = None
    """Length of each training in faces."""
    width: int | None = None
    """Channels of the first layer."""
    image_size: int | None = None
    """Side of the face crop in pixels."""
    precision: Precision | None = None
    """Arithmetic of the networks."""
    seeds: tuple[int, ...] = (0,)
    """Of the systems with and without L_aux, one training each, whose spread is reported; of all others, the
    first."""

    def __post_init__(self) -> None:
        if self.faces_seen is not None and self.faces_seen < 1:
            raise ConfigError(f"A budget of {self.faces_seen} faces trains nothing.")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ConfigError("Seeds are at least one, and all different.")

    def __str__(self) -> str:
        parts = [
            "the preset's own length" if self.faces_seen is None else f"{self.faces_seen:,} faces seen",
            "the preset's own width" if self.width is None else f"{self.width} channels in the first layer",
            "64 px" if self.image_size is None else f"{self.image_size} px",
            "the preset's own precision" if self.precision is None else self.precision,
            "one seed a system"
            if len(self.seeds) == 1
            else f"{len(self.seeds)} seeds with and without L_aux",
        ]
        return ", ".join(parts)


def make_budget(
    faces_seen: int | None, width: int | None, image_size: int | None, precision: str | None, seeds: str
) -> Budget:
    """A budget from the words of a command line.

    Raises:
        ConfigError: seeds are no numbers, or the precision is unknown.
    """
    if precision not in (None, *PRECISIONS):
        raise ConfigError(f"There is no precision {precision!r}.", nearest_names(str(precision), PRECISIONS))
    try:
        numbers = tuple(int(word) for word in seeds.split(","))
    except ValueError as error:
        raise ConfigError(f"Seeds are whole numbers, not {seeds!r}.", "Write --seeds 0,1,2.") from error
    return Budget(faces_seen, width, image_size, cast(Precision | None, precision), numbers)


def configure(
    preset: str, budget: Budget, seed: int, attributes: Sequence[str], data: Path | None
) -> TrainConfig:
    """The preset under the budget; ramps shrink with the number of steps.

    Raises:
        ConfigError: there is no such preset, or a value is out of range.
    """
    config = get_preset(preset)
    network, objective, steps = config.network, config.objective, config.steps
    if budget.faces_seen is not None:
        steps = max(1, round(budget.faces_seen / config.optimiser.batch_size))
    if isinstance(objective, IfcVaeGan | Fader):
        ramp = round(objective.aux_ramp_steps * steps / config.steps)
        objective = dataclasses.replace(objective, aux_ramp_steps=ramp)
    place = None if data is None else str(data)
    return dataclasses.replace(
        config,
        network=dataclasses.replace(
            network, width=budget.width or network.width, image_size=budget.image_size or network.image_size
        ),
        objective=objective,
        data=dataclasses.replace(  # the same pictures for all
            config.data, path=place, crop="template", attributes=tuple(attributes)
        ),
        steps=steps,
        seed=seed,
        precision=budget.precision or config.precision,
    )


def command(config: TrainConfig, data: str | None) -> str:
    """The `aif-train` command that trains this configuration (its folder is left to the reader)."""
    words = ["aif-train", *(["--data", data] if data else []), "--preset", config.preset]
    words += ["--attributes", ",".join(config.data.attributes), "--steps", str(config.steps)]
    words += ["--seed", str(config.seed), "--precision", config.precision]
    words += ["--width", str(config.network.width), "--image-size", str(config.network.image_size)]
    now, own = config.objective, get_preset(config.preset).objective
    if isinstance(now, IfcVaeGan | Fader) and now != own:
        words += ["-c", f"objective.aux_ramp_steps={now.aux_ramp_steps}"]
    return " ".join([*words, "--out", f"runs/{config.preset}-{config.seed}"])
