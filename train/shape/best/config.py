"""Settings of the trained shape-and-appearance model (preset `best`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from aif.train.algorithm.factorize import Game
from aif.train.objectives import Settings, require
from aif.train.shape.linear.fit import LinearConfig


@dataclass(frozen=True)
class Algorithm1(Settings):
    """Weights of the paper's losses, and what goes with them; each term is near 1 when training begins."""

    texture: float = 40.0
    """Weight of the squared error of log textures in L_rec."""
    points: float = 1.0
    """Weight of the squared error of landmarks in L_rec, in pixels of a 128 px crop."""
    features: float = 4.0
    """How many times the landmarks of lips and eyes count in L_rec."""
    alpha: float = 0.05
    """Weight of L_KL, averaged over the numbers of z."""
    rho: float = 0.1
    """Weight of L_class, summed over the attributes."""
    delta: float = 0.02
    """Weight of L_gan for encoder and decoder; 0 = no discriminator."""
    aux: float = 0.02
    """Weight of the encoder's term against the auxiliary network."""
    hidden: int = 256
    """Units of the auxiliary network's two hidden layers."""


@dataclass(frozen=True)
class Effect(Settings):
    """Weights of what edits are trained for, on composed crops."""

    size: int | None = 96
    """Side in pixels at which edits are composed; None = that of textures. Smaller is faster."""
    verdict: float = 1.0
    """Weight of what the edited attribute's verdict lacks to that of a typical face that has (or lacks) it,
    in shares of the distance between the two kinds of faces."""
    strength: float = 1.3
    """How far apart the values are between which edits are trained: 1.3 = from -0.15 to 1.15."""
    others: float = 0.15
    """Weight of the squared changes of the other attributes' verdicts, in the same unit, summed over them."""
    broad: tuple[str, ...] = ("Male", "Young")
    """Attributes that are made of others: the weight of changes of others is a quarter for them."""
    bones: float = 5.0
    """How many times mixing for the shape costs in edits of these: with the age of others come their jaws."""
    mixing: float = 0.015
    """Weight of the squared attribute values that an edit mixes in."""
    own: float = 0.15
    """Share of that weight for the edited attribute's own value."""
    mouth: float = 200.0
    """Weight of the square, in eye distances, of how much narrower an edit leaves a mouth than most without a
    smile, or wider than most with one."""
    rest: float = 0.03
    """Weight of the squared values that are mixed in without any edit."""
    mouth_along: float = 1.4
    """How far an edit of Smiling towards 0 shuts Mouth_Slightly_Open in training, four times of five; beyond
    1, as calibrated values go beyond 0."""
    without: tuple[str, ...] = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Eyeglasses")
    """Attributes not trained for effect: what they are about is not in the face's texture and shape."""


@dataclass(frozen=True)
class Rates(Settings):
    """Learning rates (Adam's)."""

    networks: float = 4e-4
    """Of encoder and decoder."""
    mixing: float = 1.5e-3
    """Of the network that mixes attribute values, in the third stage."""
    maps: float = 1e-3
    """Of the attributes' linear maps C_a of the texture, in log units."""
    linear: float = 3e-5
    """Of all other parts that the linear baseline begins with."""
    discriminator: float = 4e-4
    """Of the discriminators and the auxiliary network."""


@dataclass(frozen=True)
class ShapeConfig(Settings):
    """Everything that decides the outcome of a training; the defaults are what the embedded bundle has.

    Its three stages: Algorithm 1 on textures and landmarks; z cleaned of y with a frozen backbone; edits
    trained for effect with a frozen encoder. Without the first stage z is the baseline's, which is clean.
    """

    faces: int = 44_000
    """Training faces that are used, at the most; textures and crops of 44,000 take 4.3 GB on disk."""
    linear: LinearConfig = field(default_factory=lambda: LinearConfig(game_steps=5_000))
    """The baseline that the networks begin as, and the game that cleans z of y."""
    reconstruct_steps: int = 0
    """Steps of Algorithm 1; 0 = encoder and decoder are the linear baseline's."""
    effect_steps: int = 2_800
    """Steps of training edits for effect; 0 = none."""
    batch_size: int = 24
    """Faces of a step."""
    algorithm1: Algorithm1 = field(default_factory=Algorithm1)
    """Of the first stage."""
    game: Game = field(default_factory=lambda: Game(hidden=256))
    """Of the second stage."""
    game_faces: int = 30_000
    """Faces that the second stage uses, at the most."""
    effect: Effect = field(default_factory=Effect)
    """Of the third stage."""
    rates: Rates = field(default_factory=Rates)
    """Learning rates; they fall to a tenth along a cosine over each stage."""
    ema: float = 0.99
    """Decay of the moving average of the weights; what is exported is the average."""
    seed: int = 0
    """Seed of everything random."""

    def __post_init__(self) -> None:
        for name in ("reconstruct_steps", "effect_steps"):
            value = getattr(self, name)
            require(value >= 0, f"{name} cannot be negative, got {value}.")
        enough = self.steps >= 1 and self.batch_size >= 2
        require(enough, "A training needs at least one step, and batches at least two faces.")
        require(0 <= self.ema < 1, f"ema must lie in [0, 1), got {self.ema}.")

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return self.reconstruct_steps + self.effect_steps
