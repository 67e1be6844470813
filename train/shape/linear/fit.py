"""Fit the linear baseline in closed form: components, erasure, regressions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aif.runtime.editing.shape.gain import EPSILON
from aif.runtime.geometry import points as dense
from aif.train.algorithm.factorize import Game, erasure, factorize
from aif.train.objectives import Settings, require
from aif.train.shape.faces.known import TONE_ATTRIBUTES
from aif.train.shape.faces.mean_shape import open_mouths
from aif.train.shape.faces.textures import Textures
from aif.train.shape.linear.effects import fit_detail, fit_maps, regress, regress_landmarks
from aif.train.shape.linear.networks import POSE_COMPONENTS, LinearDecoder, LinearEncoder, unfitted
from aif.train.shape.linear.predict import classify, held_out_auc, how_well

# Cheeks and bridge of the nose on the mean shape: x, y and radius in pixels of a 128 px texture.
TONE_PLACES = ((45, 79, 9), (83, 79, 9), (64, 71, 5))

FEATURES = 256
"""Random features, and units of each of the auxiliary network's hidden layers, where there is a game."""

# What lies around the face counts this much in the components of the texture: it varies six times as much.
AROUND = 0.15

# Components that vary less are not stretched to unit variance: of landmarks, in units of the crop's side, it
# is far below what can be seen, and float32 would add noise of the same size.
LEAST_DEVIATION = 4e-3


@dataclass(frozen=True)
class LinearConfig(Settings):
    """How the baseline is fitted."""

    shape_components: int = 40
    """Principal components of the landmarks."""
    texture_components: int = 96
    """Principal components of the log texture at half its side, of the face above all."""
    faces: int = 24_000
    """Training faces whose textures are used, at the most."""
    ridge: float = 1e-3
    """Penalty of squared coefficients of standardised regressors, relative to the number of faces."""
    game_steps: int = 0
    """Steps of Algorithm 1's game between what makes z and an auxiliary network, on stored components; 0 =
    only what is linear is erased."""
    game_weight: float = 1.0
    """Weight of the adversarial term in that game; what z loses is counted in shares of its variance."""
    detail: float = 3.0
    """What measured changes of the amplitude of fine detail are multiplied with: noisy labels shrink them."""
    seed: int = 0
    """Seed of the choice of faces."""

    def __post_init__(self) -> None:
        for name in ("shape_components", "texture_components", "faces"):
            value = getattr(self, name)
            require(value >= POSE_COMPONENTS, f"{name} must be at least {POSE_COMPONENTS}, not {value}.")
        for name in ("game_steps", "game_weight"):
            value = getattr(self, name)
            require(value >= 0, f"{name} cannot be negative, got {value}.")
        require(self.ridge > 0, f"The ridge penalty must be above 0, not {self.ridge}.")

    @property
    def features(self) -> int:
        """Random features that z is made of beside the components."""
        return FEATURES if self.game_steps else 0

    def networks(self, size: int, attributes: int) -> tuple[LinearEncoder, LinearDecoder]:
        """Encoder and decoder of textures of `size` px, not fitted."""
        return unfitted(size, self.shape_components, self.texture_components, attributes, self.features)


def fit_linear(
    faces: Textures, config: LinearConfig, log: Callable[[str], None] = print
) -> tuple[LinearEncoder, LinearDecoder]:
    """Fit the baseline to training faces; `log` gets a line for each step, and one for each attribute."""
    some = np.random.default_rng(config.seed).permutation(len(faces))[: config.faces]
    some.sort()
    points = torch.from_numpy(faces.points[some]).flatten(1)
    y = torch.from_numpy(faces.labels[some].astype(np.float32))
    people = faces.people_of(some)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder, decoder = config.networks(faces.size, y.shape[1])
    encoder.tone_weight.copy_(inner_face(faces.size // 2))
    with torch.no_grad():
        log(f"components of {len(some)} faces")
        _components(encoder.points, points, config.shape_components)
        batches = np.array_split(some, max(1, len(some) // 500))
        parts = [encoder.split(_images(faces, rows)) for rows in batches]
        coarse, tone = (torch.cat(each) for each in zip(*parts, strict=True))
        _components(encoder.texture, coarse, config.texture_components, _face(faces))
        _standardise(encoder.tone, tone)
        codes = torch.cat([encoder.points(points), encoder.texture(coarse), encoder.tone(tone)], dim=1)
    log("attributes")
    classify(encoder.y, codes, y)
    z = clean(encoder, codes, y, config, log)
    for line in how_well(faces.attributes, y, held_out_auc(codes, y, people, config.seed)):
        log(line)
    with torch.no_grad():
        log("landmarks and textures")
        regress_landmarks(decoder.points, (z, y), points, config.ridge, people)
        _fit_textures(decoder, faces, some, (z, y, coarse, tone), config.ridge)
        fit_detail(decoder, faces, some, config.detail, config.ridge)
    return encoder.eval().requires_grad_(False), decoder.eval().requires_grad_(False)


def clean(
    encoder: LinearEncoder, codes: Tensor, y: Tensor, config: LinearConfig, log: Callable[[str], None]
) -> Tensor:
    """Make z of components (N, C) so that it does not tell y (N, A); returns it, (N, Z)."""
    layer = encoder.z
    with torch.no_grad():
        known, predicted = encoder.features(codes), encoder.y(codes).sigmoid()
        layer.weight.copy_(torch.eye(*layer.weight.shape))
        layer.bias.zero_()
        if not (config.game_steps and config.game_weight):
            matrix, offset = erasure(codes, y)
            layer.weight[:, : codes.shape[1]] = matrix
            layer.bias.copy_(offset)
    # Without any weight it changes nothing.
    weight = config.game_weight if config.game_steps else 0
    factorize(layer, known, y, predicted, Game(config.game_steps, weight, FEATURES, seed=config.seed), log)
    with torch.no_grad():
        z: Tensor = layer(known)
    return z


def inner_face(size: int) -> Tensor:
    """Weights (1, 1, size, size), summing to 1, of cheeks and bridge of the nose: their mean is the skin's
    tone.

    Where beards grow, where make-up and shadows lie, the skin has another colour than its own.
    """
    mask = np.zeros((size, size), dtype=np.uint8)
    for x, y, radius in TONE_PLACES:
        centre, scale = (round(x * size / 128 * 16), round(y * size / 128 * 16)), size / 128 * 16
        cv2.circle(mask, centre, round(radius * scale), 1, -1, shift=4)
    weight = mask.astype(np.float32) / max(int(mask.sum()), 1)
    return torch.from_numpy(weight)[None, None]


def _images(faces: Textures, rows: npt.NDArray[np.int64]) -> Tensor:
    """Textures (n, 3, S, S) in [0, 1]."""
    return torch.from_numpy(faces.images[rows]).permute(0, 3, 1, 2).float() / 255


def _face(faces: Textures) -> Tensor:
    """What each number of a coarse texture counts in its components, (3 * (S/2)^2,)."""
    inside = torch.from_numpy(faces.frame.mask(faces.size // 2, dense.FACE_OVAL, blur=1.0))
    return (AROUND + (1 - AROUND) * inside).flatten().repeat(3)


def _components(layer: nn.Linear, data: Tensor, count: int, weights: Tensor | None = None) -> None:
    """Set `layer` to the standardised principal components of data (N, D), weighted by (D,)."""
    weights = torch.ones(data.shape[1]) if weights is None else weights
    mean = data.mean(0)
    torch.manual_seed(0)
    centred = (data - mean) * weights
    _, scale, axes = torch.svd_lowrank(centred, q=min(count + 10, *data.shape), niter=3)
    axes = axes[:, :count] / (scale[:count] / len(data) ** 0.5).clamp(min=LEAST_DEVIATION)
    axes = axes * weights[:, None]
    layer.weight.copy_(axes.T)
    layer.bias.copy_(-(mean @ axes))


def _standardise(layer: nn.Linear, data: Tensor) -> None:
    mean, deviation = data.mean(0), data.std(0).clamp(min=1e-6)
    layer.weight.copy_(torch.diag(1 / deviation))
    layer.bias.copy_(-mean / deviation)


def _fit_textures(
    decoder: LinearDecoder,
    faces: Textures,
    some: npt.NDArray[np.int64],
    known: tuple[Tensor, Tensor, Tensor, Tensor],
    ridge: float,
) -> None:
    """The texture's layers. The inside of the mouth is fitted on open mouths alone."""
    z, y, coarse, tone = known
    kept = torch.tensor([name in TONE_ATTRIBUTES for name in faces.attributes])
    regress(decoder.tone, torch.cat([z, y * kept], dim=1), tone, ridge)
    decoder.tone.weight[:, z.shape[1] :] *= kept
    size, opened = faces.size, torch.from_numpy(open_mouths(faces.points[some]))
    # z is uncorrelated with y, so both parts may be fitted on their own.
    decoder.mouth.copy_(torch.from_numpy(faces.frame.mask(size, dense.INNER_LIP, blur=0.7)))
    regress(decoder.coarse, z, coarse, ridge)
    at_mouth = F.avg_pool2d(decoder.mouth, 2).expand(-1, 3, -1, -1).flatten() > 0.02
    inside = nn.Linear(z.shape[1], int(at_mouth.sum()))
    regress(inside, z[opened], coarse[opened][:, at_mouth], ridge)
    decoder.coarse.weight[at_mouth] = inside.weight
    decoder.coarse.bias[at_mouth] = inside.bias

    def textures() -> Iterator[tuple[Tensor, Tensor]]:
        for part in torch.split(torch.arange(len(some)), 500):
            logs = (_images(faces, some[part.numpy()]) + EPSILON).log()
            yield logs - tone[part][:, :, None, None], decoder.person(z[part])

    fit_maps(decoder, y, opened, textures(), ridge, faces.people_of(some))
