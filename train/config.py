"""The typed configuration of a training run: networks, objective, optimisation.

Every field has its unit and the meaning of None under it. A configuration is checked when it is made, and
errors are in plain English.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_type_hints

from pydantic import TypeAdapter, ValidationError

from aif.runtime.errors import ConfigError, nearest_names

Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
"""Arithmetic of the networks, in Lightning's names; auto: bf16-mixed where the machine is made for it."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True)
class NetworkConfig:
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
    y_to: tuple[Literal["encoder", "decoder", "discriminator"], ...] = ("decoder",)
    """What is conditioned on y. An encoder that is gets the label in training, its own prediction in use; a
    decoder that is not is a plain autoencoder's."""
    inject_y: bool = False
    """Whether y enters every stage of the decoder; False = only its input, as the authors do."""
    y_head: Literal["trunk", "own", "code"] = "trunk"
    """What y is read from: the trunk's features; a trunk of its own; or the posterior mean, untouched."""
    aux_hidden: int = 1000
    """Units of each of the auxiliary network's two hidden layers."""
    aux_dropout: float = 0.0
    """Dropout rate in the auxiliary network."""

    def __post_init__(self) -> None:
        _require(self.image_size in (64, 128, 256), f"image size {self.image_size} is not 64, 128 or 256")
        _require(
            self.width >= 4 and self.width % 4 == 0, f"width {self.width} is not a multiple of 4 from 4 up"
        )
        _require(self.latent_size >= 1, f"latent size {self.latent_size} is not at least 1")
        _require(self.aux_hidden >= 1, f"auxiliary units {self.aux_hidden} are not at least 1")
        _require(0 <= self.aux_dropout < 1, f"auxiliary dropout {self.aux_dropout} is not in [0, 1)")
        _require(
            not ("encoder" in self.y_to and self.y_head == "code"),
            "z cannot know a y that is read from z",
        )


@dataclass(frozen=True)
class ObjectiveConfig:
    """Weights and switches of the loss terms; names as in the paper (section 3, Algorithm 1)."""

    method: Literal["joint", "icgan"] = "joint"
    """joint: Algorithm 1; icgan: a conditional GAN first, then its inversion (`train/rivals/icgan.py`)."""
    gan_share: float = 0.5
    """Share of the steps that train the conditional GAN (icgan only)."""
    rec_loss: Literal["bce", "l1", "mse"] = "bce"
    """Reconstruction: binary cross-entropy of pixels, mean absolute or mean squared error."""
    reduction: Literal["authors", "mean", "elbo"] = "authors"
    """authors: L_rec summed / side^2, L_KL summed / latent size, GAN terms summed x 0.5 (decoder) and x 0.3
    (discriminator), all over the batch too; mean: means; elbo: L_rec and L_KL summed over a face, averaged
    over the batch, GAN terms averaged."""
    rec_weight: float = 1.0
    """Weight of L_rec."""
    rec_focus: float = 0.0
    """How much more an error counts between nose and mouth than at the crop's border; 0 = alike."""
    sampled: bool = True
    """Whether z is sampled from the posterior; False = its mean (a deterministic autoencoder)."""
    alpha: float = 0.2
    """Weight of L_KL; a beta-VAE's beta."""
    dip: Literal["mean", "sample"] = "mean"
    """Whose covariance is pressed towards the identity: posterior means' (DIP-VAE I) or samples' (II)."""
    dip_off: float = 0.0
    """Weight of the squared off-diagonal covariances (lambda_od); 0 = none."""
    dip_diagonal: float = 0.0
    """Weight of the squared distances of variances from 1 (lambda_d); 0 = none."""
    rho: float = 0.1
    """Weight of L_class."""
    delta: float = 0.1
    """Weight of L_gan in the encoder's and decoder's losses; 0 = none (but see `SettleConfig`)."""
    gan_loss: Literal["nonsaturating", "means"] = "nonsaturating"
    """What L_gan asks of decoded faces: to fool the discriminator, or that the mean of its features on faces
    from the prior be that on real ones (cVAE-GAN of Bao et al., 2017, section 3.2)."""
    matching: float = 0.0
    """Weight of half the squared distance of the discriminator's features on face and reconstruction (section
    3.3 there); needs delta above 0."""
    aux_weight: float = 1.0
    """Weight of the encoder's adversarial term; 0 = naive cVAE-GAN, no auxiliary network."""
    aux_target: Literal["ascend", "prior", "flip"] = "ascend"
    """What the encoder wants of A(z): -BCE unbounded (paper), the label's mean rate, or flipped labels."""
    aux_ramp_steps: int = 0
    """Steps over which aux_weight grows linearly from 0; 0 = full from the start."""
    aux_steps: int = 1
    """Updates of the auxiliary network in one training step."""
    aux_input: Literal["second", "sample", "mean"] = "second"
    """What A sees: a second sample of z (authors), the sample that is decoded (printed), or the posterior
    mean, standardised over the batch, so that nothing hides below the noise (what a probe reads)."""
    detach_y_trunk: bool = True
    """Whether the y head reads detached trunk features (authors)."""
    decoder_y: Literal["predicted", "label"] = "predicted"
    """What the decoder is conditioned on in training: the encoder's prediction (paper), or the label."""
    rec_reaches_y: bool = True
    """Whether reconstruction gradients reach the y head through the decoder (authors)."""
    class_on_reconstruction: bool = False
    """Whether the encoder is also trained to classify its reconstructions (the decoder never is)."""
    r1_weight: float = 0.0
    """Weight of the R1 gradient penalty on real faces (Mescheder et al., 2018); 0 = none."""
    r1_every: int = 16
    """Steps between penalties; the penalty is scaled up by as much."""

    def __post_init__(self) -> None:
        for name in (
            "rec_weight",
            "alpha",
            "rho",
            "delta",
            "rec_focus",
            "dip_off",
            "dip_diagonal",
            "matching",
            "aux_weight",
            "r1_weight",
        ):
            _require(getattr(self, name) >= 0, f"{name} {getattr(self, name)} is negative")
        _require(self.aux_steps >= 1 and self.r1_every >= 1, "aux_steps and r1_every must be at least 1")
        _require(self.aux_ramp_steps >= 0, f"aux_ramp_steps {self.aux_ramp_steps} is negative")
        _require(0 <= self.gan_share <= 1, f"gan_share {self.gan_share} is not in [0, 1]")
        _require(self.matching == 0 or self.delta > 0, "matching needs delta above 0")


@dataclass(frozen=True)
class OptimiserConfig:
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
    """Largest gradient norm of a player (encoder with decoder are one); None = unclipped."""
    ema_decay: float | None = None
    """Decay a step of the moving average of weights that is exported; None = export the last weights."""

    def __post_init__(self) -> None:
        _require(0 < self.learning_rate < 1e31, f"learning rate {self.learning_rate} is not above 0")
        _require(0 <= self.smoothing < 1, f"smoothing {self.smoothing} is not in [0, 1)")
        _require(0 <= self.decay_last <= 1, f"decay_last {self.decay_last} is not in [0, 1]")
        _require(self.batch_size >= 1, f"batch size {self.batch_size} is not at least 1")
        _require(self.clip is None or self.clip > 0, f"clip {self.clip} is not above 0")
        _require(
            self.ema_decay is None or 0 < self.ema_decay < 1, f"EMA decay {self.ema_decay} is not in (0, 1)"
        )


@dataclass(frozen=True)
class DataConfig:
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
        _require(bool(self.attributes), "at least one attribute is needed")
        _require(0 <= self.jitter <= 5, f"jitter {self.jitter} is not in [0, 5]")


@dataclass(frozen=True)
class SettleConfig:
    """The last part of a run: the backbone is frozen, z is cleaned of y, and the decoder trains on."""

    at: float = 1.0
    """Share of the steps after which the encoder's backbone is frozen; 1 = never (the paper)."""
    game_steps: int = 400
    """Steps of the game between the layer that makes z and a fresh auxiliary network."""
    game_weight: float = 0.1
    """Weight of the adversarial term in that game; what z loses is counted in shares of its variance."""
    game_match: float = 0.0
    """Weight there of how differently z is spread with and without each attribute, beside the adversary."""
    delta: float = 0.0
    """Weight of L_gan on reconstructions and edited faces from then on; 0 = no discriminator."""
    edit_class: float = 0.0
    """Weight of L_class on edited faces, as the discriminator predicts y (needs delta above 0)."""
    edit_keep: float = 0.0
    """Weight of the mean absolute change that an edit makes to the reconstruction (needs delta above 0)."""
    edit_rate: float = 0.1
    """Probability with which each attribute is set to its other value there (at least one is)."""

    def __post_init__(self) -> None:
        _require(0 <= self.at <= 1, f"settle.at {self.at} is not in [0, 1]")
        _require(0 <= self.edit_rate <= 1, f"edit_rate {self.edit_rate} is not in [0, 1]")
        for name in ("game_steps", "game_weight", "game_match", "delta", "edit_class", "edit_keep"):
            _require(getattr(self, name) >= 0, f"{name} {getattr(self, name)} is negative")
        needless = self.edit_class == self.edit_keep == 0
        _require(self.delta > 0 or needless, "edit_class and edit_keep need settle.delta above 0")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the outcome of a training run."""

    preset: str = "authors"
    """The preset that this configuration started from."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    data: DataConfig = field(default_factory=DataConfig)
    settle: SettleConfig = field(default_factory=SettleConfig)
    steps: int = 20_000
    """Training steps in all."""
    seed: int = 0
    """Seed of everything random."""
    precision: Precision = "32-true"
    """Arithmetic of the networks; a run's config.json never says auto, but what that came to."""

    def __post_init__(self) -> None:
        _require(self.steps >= 1, f"steps {self.steps} is not at least 1")
        _require(self.seed >= 0, f"seed {self.seed} is negative")
        ours = self.objective.method == "joint" and self.network.y_head == "trunk"
        _require(
            self.settle.at == 1 or (ours and self.network.y_to == ("decoder",)),
            "settle.at below 1 needs a y that is read from the trunk and goes to the decoder alone",
        )

    @property
    def freezes_at(self) -> int:
        """The first step at which the encoder's backbone is frozen; the number of steps where it never is."""
        return round(self.steps * self.settle.at)

    @property
    def critic_predicts_y(self) -> bool:
        """Whether the discriminator also predicts attributes."""
        return self.settle.edit_class > 0


def to_dict(config: TrainConfig) -> dict[str, Any]:
    """The configuration as plain JSON values."""
    plain: dict[str, Any] = dataclasses.asdict(config)
    return plain


def from_dict(values: dict[str, Any]) -> TrainConfig:
    """Rebuild a configuration from `to_dict`'s values.

    Raises:
        ConfigError: an unknown field, or a value that its field does not allow.
    """
    _check_names(TrainConfig, values)
    try:
        return TypeAdapter(TrainConfig).validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{place} = {first['input']!r}: {first['msg'].lower()}.") from error


def override(config: TrainConfig, assignments: Sequence[str]) -> TrainConfig:
    """Apply assignments such as `objective.aux_weight=0` or `data.attributes=["Male"]` (values as in JSON).

    Raises:
        ConfigError: no `=`, an unknown field (the nearest names are given), or a value that is not allowed.
    """
    values = to_dict(config)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"{assignment!r} is no assignment.", "Write it as objective.rho=0.5.")
        *groups, field_name = path.strip().split(".")
        if path.strip() == "preset":
            raise ConfigError("The preset cannot be overridden.", "Choose it with --preset.")
        place: Any = values
        for group in groups:
            place = place.get(group)
            if not isinstance(place, dict):
                known = [name for name, value in values.items() if isinstance(value, dict)]
                raise ConfigError(f"There is no group {group!r} of settings.", nearest_names(group, known))
        try:
            place[field_name] = json.loads(text)
        except ValueError:
            place[field_name] = text.strip()
    return from_dict(values)


def _check_names(kind: Any, values: dict[str, Any]) -> None:
    """Raise ConfigError for the first name that is no field, with the nearest ones."""
    fields = {item.name: item for item in dataclasses.fields(kind)}
    hints = get_type_hints(kind)
    for name, value in values.items():
        if name not in fields:
            raise ConfigError(f"{kind.__name__} has no field {name!r}.", nearest_names(name, fields))
        if dataclasses.is_dataclass(hints[name]) and isinstance(value, dict):
            _check_names(hints[name], value)
