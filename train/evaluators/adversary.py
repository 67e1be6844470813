"""The adversary: a small network trained from scratch to tell one set of faces from another.

`aif.train.evaluation.realism` says what for, and chooses the sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import DataError
from aif.train.evaluators.evaluator import normalise
from aif.train.evaluators.fitting import FitOptions, fit
from aif.train.evaluators.verification import IntArray

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
PARTS, RESAMPLES = 3, 2_000


@dataclass(frozen=True)
class AdversaryConfig:
    """How the adversary is trained."""

    faces: int = 900
    """Faces a set at the most, half of them with the attribute."""
    image_size: int = 128
    """Side of the faces in pixels, as edited and as the adversary sees them."""
    width: int = 16
    """Channels of the adversary's first layer; each of its three blocks doubles them."""
    epochs: int = 5
    """Passes over the training part."""
    batch_size: int = 32
    """Faces a step."""
    learning_rate: float = 3e-3
    """Peak of the one-cycle schedule of AdamW."""
    seed: int = 0
    """Seed of faces, parts, weights and changes."""


@dataclass(frozen=True)
class Auc:
    """An area under the ROC curve: how often an edited face scores more than an untouched one, 0.5 = chance;
    its 95 % interval by the bootstrap over people; and how many faces were tested, both sets together.
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def adversary_network(width: int = 16) -> nn.Module:
    """A residual network (N, 3, S, S) -> logits (N, 1); 304,000 parameters at width 16.

    A 5x5 convolution of stride 2, three basic blocks, each of which halves the side and doubles the channels,
    the mean over the picture, one linear layer.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(3, width, 5, 2, 2, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    ]
    for before in (width, 2 * width, 4 * width):
        shortcut = nn.Sequential(nn.Conv2d(before, 2 * before, 1, 2, bias=False), nn.BatchNorm2d(2 * before))
        layers.append(BasicBlock(before, 2 * before, 2, shortcut))
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * width, 1)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def adversary_auc(
    sets: tuple[UInt8Array, UInt8Array],
    people: tuple[npt.ArrayLike, npt.ArrayLike],
    config: AdversaryConfig,
    log: Callable[[str], None] = print,
) -> Auc:
    """Train the adversary on two thirds of the people and test it on the last third.

    sets: untouched and edited faces, uint8 (N, S, S, 3) each; people: their person numbers, (N,) each.
    Raises DataError where someone is in both sets, or a set has too few people for three parts.
    """
    who = [np.asarray(each) for each in people]
    if np.intersect1d(who[0], who[1]).size:
        raise DataError("The same people are in both sets, so the adversary could go by who they are.")
    rng = np.random.default_rng([config.seed, 2])
    held = np.concatenate([_parts(each, rng) for each in who]) == PARTS - 1
    images = torch.from_numpy(np.concatenate(sets)).permute(0, 3, 1, 2)
    truth = np.repeat([False, True], [len(each) for each in sets])
    train = torch.from_numpy(np.flatnonzero(~held))
    network = _trained(images, torch.from_numpy(truth).float(), train, config, log)
    scores = _scores(network, images[torch.from_numpy(held)])
    rng = np.random.default_rng([config.seed, 3])
    return auc_interval(scores, truth[held], np.concatenate(who)[held], rng)


def auc_interval(
    scores: FloatArray, edited: BoolArray, people: npt.NDArray[np.integer], rng: np.random.Generator
) -> Auc:
    """The AUC of scores (N,), and its 95 % interval by the bootstrap over people (N,).

    edited: bool (N,), which of the scores are of edited faces.
    """
    low, high = scores[~edited], scores[edited]
    wins = (high[:, None] > low) + 0.5 * (high[:, None] == low)  # Mann and Whitney (1947)
    a, b = (_weights(people[mask], rng) for mask in (edited, ~edited))
    samples = np.einsum("rn,rn->r", a @ wins, b) / (a.sum(1) * b.sum(1))
    low_end, high_end = np.quantile(samples, [0.025, 0.975])
    return Auc(float(wins.mean()), float(low_end), float(high_end), len(scores))


def _parts(people: npt.NDArray[np.integer], rng: np.random.Generator) -> IntArray:
    """Which third each face is in, people kept together and thirds about as large: (N,), 0 to 2."""
    _, person, counts = np.unique(people, return_inverse=True, return_counts=True)
    order = rng.permutation(len(counts))
    middle = counts[order].cumsum() - counts[order] / 2
    part = np.empty(len(counts), dtype=np.int64)
    part[order] = np.minimum(PARTS * middle / len(people), PARTS - 1).astype(np.int64)
    if len(np.unique(part)) < PARTS:
        raise DataError(f"{len(counts)} people are too few for {PARTS} parts.")
    return np.asarray(part[person], dtype=np.int64)


def _trained(
    images: Tensor, truth: Tensor, train: Tensor, config: AdversaryConfig, log: Callable[[str], None]
) -> nn.Module:
    """A network trained on the faces `train` of images uint8 (N, 3, S, S); truth (N,) is 1 for edited."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = adversary_network(config.width)
    generator = torch.Generator().manual_seed(config.seed)
    steps = max(1, len(train) // config.batch_size)

    def batches(_: int) -> Iterator[Tensor]:
        while True:
            order = train[torch.randperm(len(train), generator=generator)]
            yield from torch.split(order[: steps * config.batch_size], config.batch_size)

    def loss(rows: Tensor, _: float) -> tuple[Tensor, int]:
        logits = network(normalise(_changed(images[rows].float() / 255, generator)))
        return F.binary_cross_entropy_with_logits(logits[:, 0], truth[rows]), 1

    options = FitOptions("adversary", config.epochs * steps, config.learning_rate, weight_decay=0.05)
    return fit(network, loss, batches, options, log=log).eval()


def _changed(images: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the faces mirrored, all with random brightness (to 0.1) and contrast (to 20 %)."""

    def uniform(spread: float) -> Tensor:
        return ((torch.rand(len(images), generator=generator) * 2 - 1) * spread)[:, None, None, None]

    mirrored = torch.where(uniform(1) > 0, images.flip(-1), images)
    return (mirrored - 0.45) * (1 + uniform(0.2)) + 0.45 + uniform(0.1)


@torch.no_grad()
def _scores(network: nn.Module, images: Tensor, batch_size: int = 64) -> FloatArray:
    """Mean logit of each face and its mirror image: uint8 (N, 3, S, S) -> (N,)."""
    found = []
    for part in torch.split(images, batch_size):
        faces = normalise(part.float() / 255)
        found.append((network(faces) + network(faces.flip(-1)))[:, 0] / 2)
    return np.asarray(torch.cat(found).numpy(), dtype=np.float64)


def _weights(people: npt.NDArray[np.integer], rng: np.random.Generator) -> FloatArray:
    """How often each face occurs when people are resampled with replacement: (RESAMPLES, N)."""
    unique, person = np.unique(people, return_inverse=True)
    counts = rng.multinomial(len(unique), np.full(len(unique), 1 / len(unique)), RESAMPLES)
    return np.asarray(counts[:, person], dtype=np.float64)
