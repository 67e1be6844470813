"""Settings of each training method, a class each: the paper's IFcVAE-GAN, then its rivals."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from aif.runtime.errors import ConfigError


class Settings:
    """Base of all groups of settings: no number is negative, and an unknown name is an error when one is
    read."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            require(not isinstance(value, int | float) or value >= 0, f"{field.name} {value} is negative")


def require(condition: bool, message: str) -> None:
    """Raise ConfigError with the message unless the condition holds."""
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True)
class IfcVaeGan(Settings):
    """Algorithm 1: weights of its terms, and what the paper leaves open (names as there, section 3)."""

    method: Literal["algorithm-1"] = "algorithm-1"
    rec_loss: Literal["bce", "l1", "mse"] = "bce"
    """L_rec: binary cross-entropy of pixels, mean absolute or mean squared error."""
    reduction: Literal["authors", "mean"] = "authors"
    """authors: L_rec summed / side^2, L_KL summed / latent size, GAN terms summed x 0.5 (decoder) and x 0.3
    (discriminator), all over the batch too; mean: means."""
    rec_weight: float = 1.0
    """Weight of L_rec."""
    rec_focus: float = 0.0
    """How much more an error counts between nose and mouth than at the crop's border; 0 = alike."""
    alpha: float = 0.2
    """Weight of L_KL."""
    rho: float = 0.1
    """Weight of L_class."""
    delta: float = 0.1
    """Weight of L_gan in the encoder's and decoder's losses; 0 = none (but see `FreezeConfig`)."""
    aux_weight: float = 1.0
    """Weight of the encoder's adversarial term; 0 = naive cVAE-GAN, no auxiliary network."""
    aux_target: Literal["ascend", "prior", "flip"] = "ascend"
    """Aim of the encoder for A(z): -BCE, unbounded (paper), each label's mean rate, or flipped labels."""
    aux_ramp_steps: int = 0
    """Steps over which aux_weight grows linearly from 0; 0 = full from the start."""
    aux_steps: int = 1
    """Updates of the auxiliary network in one training step."""
    aux_input: Literal["second", "sample", "mean"] = "second"
    """What A reads: a second sample of z (authors), the sample that is decoded (printed), or the posterior
    mean, standardised over the batch, so that nothing hides below the noise (what a probe reads)."""
    decoder_y: Literal["predicted", "label"] = "predicted"
    """What the decoder is conditioned on in training: the encoder's prediction (paper), or the label."""
    class_on_reconstruction: bool = False
    """Whether the encoder is also trained to classify its reconstructions (the decoder never is)."""
    r1_weight: float = 0.0
    """Weight of the R1 gradient penalty on real faces (Mescheder et al., 2018); 0 = none."""
    r1_every: int = 16
    """Steps between penalties; the penalty is scaled up by as much."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.aux_steps >= 1 and self.r1_every >= 1, "aux_steps and r1_every must be at least 1")

    def r1_at(self, step: int) -> float:
        """Weight of the R1 penalty in training step `step`."""
        return self.r1_weight * self.r1_every if step % self.r1_every == 0 else 0.0


@dataclass(frozen=True)
class CvaeGan(Settings):
    """cVAE-GAN (Bao et al., 2017): pairwise and mean feature matching, no adversary on z.

    Pixels lie in [0, 1] here and in [-1, 1] there, which makes a squared error four times as large there.
    """

    method: Literal["cvae-gan"] = "cvae-gan"
    rec_weight: float = 2.0
    """Weight of the squared error, summed over a face."""
    alpha: float = 3.0
    """Weight of L_KL, summed over a face's z (lambda_1)."""
    rho: float = 1.0
    """Weight of the classifier of y, which moves nothing else."""
    delta: float = 1e-3
    """Weight of the distance of feature means (section 3.2)."""
    matching: float = 1.0
    """Weight of the pairwise distance of features (section 3.3)."""


@dataclass(frozen=True)
class IcGan(Settings):
    """IcGAN (Perarnau et al., 2016): a conditional GAN, then independent encoders of z and y."""

    method: Literal["icgan"] = "icgan"
    gan_share: float = 0.5
    """Share of the steps that train the conditional GAN, in [0, 1]."""
    rho: float = 1.0
    """Weight of the classification loss beside the squared error of z."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.gan_share <= 1, f"gan_share {self.gan_share} is not in [0, 1]")


@dataclass(frozen=True)
class Fader(Settings):
    """Fader Networks (Lample et al., 2017): an autoencoder whose adversary predicts y from z."""

    method: Literal["fader"] = "fader"
    rec_weight: float = 4.0
    """Weight of the squared error; pixels lie in [0, 1] here and in [-1, 1] there."""
    rho: float = 1.0
    """Weight of the classifier of y, which moves nothing else."""
    aux_weight: float = 1e-4
    """Weight of the adversarial term, which asks for flipped labels (lambda_E)."""
    aux_ramp_steps: int = 0
    """Steps over which that weight grows linearly from 0; 0 = full from the start."""


@dataclass(frozen=True)
class Vae(Settings):
    """VAE (Kingma and Welling, 2014), beta-VAE (Higgins et al., 2017), DIP-VAE (Kumar et al., 2018)."""

    method: Literal["vae"] = "vae"
    beta: float = 1.0
    """Weight of L_KL; 1 = the evidence lower bound."""
    rho: float = 1.0
    """Weight of the linear classifier of y on the posterior mean, which moves nothing else."""
    dip: Literal["mean", "sample"] = "mean"
    """Whose covariance is pressed towards the identity: posterior means' (DIP-VAE I) or samples' (II)."""
    dip_off: float = 0.0
    """Weight of the squared off-diagonal covariances (lambda_od); 0 = none."""
    dip_diagonal: float = 0.0
    """Weight of the squared distances of variances from 1 (lambda_d); 0 = none."""


@dataclass(frozen=True)
class Classifier(Settings):
    """The encoder's trunk as an attribute classifier: what a network of this size predicts alone."""

    method: Literal["classifier"] = "classifier"


Objective = Annotated[IfcVaeGan | CvaeGan | IcGan | Fader | Vae | Classifier, Field(discriminator="method")]
"""The settings of one method, chosen by `method`."""

METHODS = tuple(kind.method for kind in (IfcVaeGan, CvaeGan, IcGan, Fader, Vae, Classifier))
