"""The typed configuration of a training run; checked when it is made, with errors in plain English."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from aif.runtime.errors import ConfigError, nearest_names
from aif.train.objectives import METHODS, IfcVaeGan, Objective, Settings, require

T = TypeVar("T")

Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
"""Arithmetic of the networks, in Lightning's names; auto: bf16-mixed where the machine is made for it."""


@dataclass(frozen=True)
class NetworkConfig(Settings):
    """Shape of the four networks."""

    kind: Literal["dcgan", "residual"] = "dcgan"
    """dcgan: the authors' plain convolutions; residual: residual blocks."""
    image_size: int = 64
    """Side of the face crop in pixels: 64, 128 or 256."""
    width: int = 64
    """Channels of the first layer; deeper layers have up to 8 times as many."""
    latent_size: int = 100
    """Length of the latent code z."""
    norm: Literal["batch", "none"] = "batch"
    """Normalisation in the decoder (and, when residual, the encoder). Batch norm folds away at export."""
    discriminator_norm: Literal["batch", "none"] = "none"
    """Normalisation in the discriminator; none in the paper, batch in IcGAN."""
    y_to: tuple[Literal["encoder", "decoder", "discriminator"], ...] = ("decoder",)
    """What is conditioned on y. An encoder that is gets the label in training, its own prediction in use; a
    decoder that is not is a plain autoencoder's."""
    inject_y: bool = False
    """Whether y enters every stage of the decoder; False = only its input, as the authors do."""
    y_head: Literal["trunk", "own", "code"] = "trunk"
    """What y is read from: the trunk's features; a trunk of its own; or the posterior mean, untouched."""
    detach_y: bool = True
    """Whether the y head reads detached trunk features (authors), so that L_class moves that head alone."""
    aux_hidden: int = 1000
    """Units of each of the auxiliary network's two hidden layers."""
    aux_dropout: float = 0.0
    """Dropout rate in the auxiliary network."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.image_size in (64, 128, 256), f"image size {self.image_size} is not 64, 128 or 256")
        require(
            self.width >= 4 and self.width % 4 == 0, f"width {self.width} is not a multiple of 4 from 4 up"
        )
        require(self.latent_size >= 1, f"latent size {self.latent_size} is not at least 1")
        require(self.aux_hidden >= 1, f"auxiliary units {self.aux_hidden} are not at least 1")
        require(self.aux_dropout < 1, f"auxiliary dropout {self.aux_dropout} is not in [0, 1)")
        circular = "encoder" in self.y_to and self.y_head == "code"
        require(not circular, "z cannot know a y that is read from z")


@dataclass(frozen=True)
class OptimiserConfig(Settings):
    """How the weights move."""

    name: Literal["rmsprop", "adam"] = "rmsprop"
    """rmsprop (paper) or adam (betas 0.5 and 0.999)."""
    learning_rate: float = 2e-4
    """Step size of all networks, held constant."""
    smoothing: float = 0.5
    """RMSprop's smoothing constant for the discriminator (the paper's "momentum"); the others have 0.99."""
    decay_last: float = 0.0
    """Share of the steps, at the end, over which the learning rate falls linearly to 0."""
    batch_size: int = 64
    """Faces a step, over all processes together."""
    clip: float | None = None
    """Largest gradient norm of an optimiser (encoder and decoder share one); None = unclipped."""
    ema_decay: float | None = None
    """Decay a step of the moving average of weights that is exported; None = export the last weights."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.learning_rate < 1e31, f"learning rate {self.learning_rate} is not above 0")
        require(self.smoothing < 1, f"smoothing {self.smoothing} is not in [0, 1)")
        require(self.decay_last <= 1, f"decay_last {self.decay_last} is not in [0, 1]")
        require(self.batch_size >= 1, f"batch size {self.batch_size} is not at least 1")
        require(self.clip is None or self.clip > 0, f"clip {self.clip} is not above 0")
        require(
            self.ema_decay is None or 0 < self.ema_decay < 1, f"EMA decay {self.ema_decay} is not in (0, 1)"
        )


@dataclass(frozen=True)
class DataConfig(Settings):
    """Which faces are seen, and how."""

    path: str | None = None
    """Folder of the data; None = synthetic faces."""
    crop: Literal["template", "authors"] = "template"
    """Crop of CelebA's official layout: to the landmark template, or the centre 178x178 as the authors."""
    attributes: tuple[str, ...] = ("Smiling",)
    """Columns of y, in this order."""
    flip: bool = False
    """Whether faces are mirrored at random."""
    jitter: float = 0.0
    """Strength of random similarity jitter: 1 = 4 degrees, 4 % scale, 2 % shift (standard deviations)."""
    balance: bool = False
    """Whether faces with rare attribute values are sampled more often."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.attributes), "at least one attribute is needed")
        require(self.jitter <= 5, f"jitter {self.jitter} is not in [0, 5]")


@dataclass(frozen=True)
class FreezeConfig(Settings):
    """The last part of a run: the encoder is frozen, z is cleaned of y, and the decoder is fine-tuned."""

    at: float = 1.0
    """Share of the steps after which the encoder is frozen; 1 = never (the paper)."""
    game_steps: int = 400
    """Steps of the game between the layer that makes z and a fresh auxiliary network."""
    game_weight: float = 0.1
    """Weight of the adversarial term in that game; what z loses is counted in shares of its variance."""
    delta: float = 0.0
    """Weight of L_gan on reconstructions and edited faces from then on; 0 = no discriminator."""
    edit_class: float = 0.0
    """Weight of L_class on edited faces, as the discriminator predicts y (needs delta above 0)."""
    edit_keep: float = 0.0
    """Weight of the mean absolute change that an edit makes to the reconstruction (needs delta above 0)."""
    edit_rate: float = 0.1
    """Probability with which each attribute is set to its other value there (at least one is)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.at <= 1, f"freeze.at {self.at} is not in [0, 1]")
        require(self.edit_rate <= 1, f"edit_rate {self.edit_rate} is not in [0, 1]")
        needless = self.edit_class == self.edit_keep == 0
        require(self.delta > 0 or needless, "edit_class and edit_keep need freeze.delta above 0")


@dataclass(frozen=True)
class TrainConfig(Settings):
    """Everything that decides the outcome of a training run."""

    preset: str = "authors"
    """The preset that this configuration started from."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    objective: Objective = field(default_factory=IfcVaeGan)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    data: DataConfig = field(default_factory=DataConfig)
    freeze: FreezeConfig = field(default_factory=FreezeConfig)
    steps: int = 20_000
    """Training steps in all."""
    seed: int = 0
    """Seed of everything random."""
    precision: Precision = "32-true"
    """Arithmetic of the networks; a run's config.json never says auto, but what that came to."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.steps >= 1, f"steps {self.steps} is not at least 1")
        plain = self.network.y_head == "trunk" and self.network.y_to == ("decoder",)
        require(
            self.freeze.at == 1 or (plain and self.objective.method == "algorithm-1"),
            "freeze.at below 1 needs Algorithm 1, with a y that the trunk predicts and the decoder reads",
        )

    @property
    def freezes_at(self) -> int:
        """The first step at which the encoder is frozen; the number of steps where it never is."""
        return round(self.steps * self.freeze.at)

    @property
    def discriminator_predicts_y(self) -> bool:
        """Whether the discriminator also predicts attributes."""
        return self.freeze.edit_class > 0


def to_dict(config: TrainConfig) -> dict[str, Any]:
    """The configuration as plain JSON values."""
    return dataclasses.asdict(config)


def from_dict(values: dict[str, Any]) -> TrainConfig:
    """Rebuild a configuration from `to_dict`'s values; errors as `read_settings`."""
    return read_settings(TrainConfig, values)


def read_settings(kind: type[T], values: dict[str, Any]) -> T:
    """Settings of a kind from plain JSON values.

    Raises:
        ConfigError: an unknown field, or a value that its field does not allow.
    """
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part not in METHODS)
        raise ConfigError(f"{place} = {first['input']!r}: {first['msg'].lower()}.") from error


def override(config: TrainConfig, assignments: Sequence[str]) -> TrainConfig:
    """Apply assignments as `assign` takes them; errors as there, and as `read_settings`."""
    for assignment in assignments:
        if (name := assignment.partition("=")[0].strip()) in ("preset", "objective.method"):
            raise ConfigError(f"{name} comes with the preset.", "Choose it with --preset.")
    return from_dict(assign(to_dict(config), assignments))


def assign(values: dict[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Settings after assignments such as `objective.rho=0.5` or `data.attributes=["Male"]` (as in JSON).

    Raises:
        ConfigError: no `=`, or an unknown field (the nearest names are given).
    """
    for assignment in assignments:
        path, equals, text = (part.strip() for part in assignment.partition("="))
        if not equals:
            raise ConfigError(f"{assignment!r} is no assignment.", "Write it as objective.rho=0.5.")
        *groups, name = path.split(".")
        place: Any = values
        for group in groups:
            known = [name for name, value in place.items() if isinstance(value, dict)]
            if group not in known:
                raise ConfigError(f"There is no setting {path!r}.", nearest_names(group, known))
            place = place[group]
        if name not in place:
            raise ConfigError(f"There is no setting {path!r}.", nearest_names(name, place))
        try:
            place[name] = json.loads(text)
        except ValueError:
            place[name] = text
    return values
