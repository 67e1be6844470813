"""The identity network: embeds faces so that pictures of one person lie close.

Like the evaluator it is trained on real faces only and shares nothing with the editing networks. How far its
cosines can be trusted is measured on people whom it has never seen, and stored beside its weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aif.runtime.errors import DataError
from aif.train.data.base import FaceDataset
from aif.train.data.batch import Batch
from aif.train.evaluators.evaluator import (
    RESUME_FOLDER,
    CropNetwork,
    EvaluatorConfig,
    evaluator_network,
    half_precision,
    read_network,
    write_network,
)
from aif.train.evaluators.fitting import FitOptions, endless, fit
from aif.train.evaluators.verification import IntArray, Verification, verify


@dataclass(frozen=True)
class IdentityConfig(EvaluatorConfig):
    """How an identity network is trained: what an evaluator's training has, and the embedding."""

    faces: int = 300_000
    """Training length in faces seen, of people with at least two faces."""
    embedding: int = 128
    """Length of an embedding."""
    margin: float = 0.2
    """m of the CosFace loss: by how much the cosine to the own person has to lead the others."""
    scale: float = 32.0
    """s of the CosFace loss: the factor from cosines to logits."""


class IdentityNetwork(CropNetwork):
    """A trained face embedding of length `embedding`; `verification` are its own held-out figures."""

    def __init__(
        self,
        network: nn.Module,
        image_size: int,
        embedding: int,
        verification: Verification | None = None,
    ) -> None:
        super().__init__(network, image_size)
        self.embedding, self.verification = embedding, verification

    @classmethod
    def load(cls, path: Path) -> IdentityNetwork:
        """Open a folder written by `train_identity`; errors as `read_network`."""
        network, about = read_network(
            path,
            "identity",
            lambda about: evaluator_network(about["config"]["embedding"], about["config"]["width"]),
        )
        config = about["config"]
        return cls(network, config["image_size"], config["embedding"], Verification(**about["verification"]))

    def embed(self, crops_nchw: Tensor, batch_size: int = 256) -> Tensor:
        """Unit vectors: crops float (N, 3, S, S) RGB in [0, 1] -> float32 (N, D) on the CPU.

        The mean of the unit vectors of a face and of its mirror image, brought back to length 1.
        """
        pairs = self.both_ways(crops_nchw, batch_size)
        parts = [F.normalize(F.normalize(a) + F.normalize(b)).cpu() for a, b in pairs]
        return torch.cat([torch.zeros(0, self.embedding), *parts])


def cosface_loss(cosines: Tensor, people: Tensor, margin: float, scale: float) -> Tensor:
    """-mean log softmax of the own person, whose cosine is lowered by the margin first; all times the scale.

    cosines (N, P) between embeddings and the P training people's centres; people int64 (N,).
    Source: Wang et al. (2018), CosFace, equation 4.
    """
    own = F.one_hot(people, cosines.shape[1]).to(cosines)
    return F.cross_entropy(scale * (cosines - margin * own), people)


def known_identities(dataset: FaceDataset) -> IntArray:
    """The dataset's person numbers, int64 (len,). Raises DataError where it does not know them."""
    if dataset.identities is None:
        raise DataError(
            f"{dataset.name} does not say who is in its pictures.",
            "People are known from a column `identity` in labels.csv (packed faces), a column `identity` or "
            "`person` in the table of a folder, or CelebA's identity_CelebA.txt; drawn faces have none.",
        )
    return dataset.identities


def training_people(identities: npt.ArrayLike) -> IntArray:
    """Number the people who have at least two faces: (N,) person numbers -> int64 (N,), 0, 1, ..., others -1.

    Raises DataError where fewer than two people have two faces.
    """
    _, person, counts = np.unique(np.asarray(identities), return_inverse=True, return_counts=True)
    kept = counts >= 2
    if kept.sum() < 2:
        raise DataError(
            f"Only {int(kept.sum())} people have two faces or more; an identity network needs at least two."
        )
    return np.asarray(np.where(kept, kept.cumsum() - 1, -1)[person], dtype=np.int64)


class _Classes(nn.Module):
    """The network in training, with a centre for each training person: images -> cosines (N, P)."""

    def __init__(self, network: nn.Module, people: int, embedding: int) -> None:
        super().__init__()
        self.network = network
        self.centres = nn.Parameter(torch.randn(people, embedding))

    def forward(self, images: Tensor) -> Tensor:
        with half_precision(images.device):
            embeddings = self.network(images)
        return F.normalize(embeddings.float()) @ F.normalize(self.centres).T


def train_identity(
    train: Iterable[Batch],
    train_identities: npt.ArrayLike,
    val: Iterable[Batch],
    val_identities: npt.ArrayLike,
    out: Path,
    config: IdentityConfig | None = None,
    *,
    log: Callable[[str], None] = print,
    new: bool = False,
) -> IdentityNetwork:
    """Train an identity network; store it and its held-out verification figures in the folder `out`.

    An interrupted training goes on as that of an evaluator. Person numbers (len(dataset),) are looked up by
    the batches' `indices`; those of `train` and `val` are of other people. `new` and errors as there, and
    DataError where too few people have two faces, or someone is in both splits.
    """
    config = config or IdentityConfig()
    people = training_people(train_identities)
    _check_held_out(np.asarray(train_identities), np.asarray(val_identities))
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    network = evaluator_network(config.embedding, config.width)
    classes = _Classes(network, int(people.max()) + 1, config.embedding)

    def loss(batch: tuple[Tensor, Tensor], progress: float) -> tuple[Tensor, int]:
        images = config.training_images(batch[0], progress, generator)
        return cosface_loss(classes(images), batch[1], config.margin, config.scale), len(images)

    def batches(_: int) -> Iterator[tuple[Tensor, Tensor]]:
        return _known_faces(endless(train), torch.from_numpy(people))

    options = FitOptions("identity", config.faces, config.learning_rate, config.weight_decay)
    about: dict[str, Any] = {"config": asdict(config), "people": hashlib.sha256(people.tobytes()).hexdigest()}
    fit(classes, loss, batches, options, out / RESUME_FOLDER, about, log=log)
    trained = IdentityNetwork(network, config.image_size, config.embedding)
    verification = score_identity(trained, val, val_identities)
    about |= {"people": len(classes.centres), "verification": asdict(verification)}
    write_network(out, "identity", network, about, new)
    return IdentityNetwork(network, config.image_size, config.embedding, verification)


def score_identity(
    network: IdentityNetwork, batches: Iterable[Batch], identities: npt.ArrayLike
) -> Verification:
    """Verification figures on one pass over faces of people whom the network was not trained on."""
    parts, people = [], []
    for batch in batches:
        parts.append(network.embed(batch.images.float() / 255))
        people.append(np.asarray(identities)[batch.indices.numpy()])
    return verify(torch.cat(parts).numpy(), np.concatenate(people))


def _check_held_out(train: IntArray, val: IntArray) -> None:
    """Before hours of training: are there people to measure with, and has nobody been trained on?"""
    people, counts = np.unique(val, return_counts=True)
    if (counts >= 2).sum() < 4:
        raise DataError(
            f"Verification needs four held-out people with two faces, got {int((counts >= 2).sum())}."
        )
    both = int(np.isin(people, train).sum())
    if both:
        raise DataError(
            f"{both} people are both in the training and in the held-out faces.",
            "Split by person, not by picture.",
        )


def _known_faces(batches: Iterator[Batch], people: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Images and people of the faces that have a person number; batches with fewer than two are skipped."""
    skipped = 0
    for batch in batches:
        own = people[batch.indices]
        kept = own >= 0
        skipped = skipped + 1 if int(kept.sum()) < 2 else 0  # batch normalisation needs two
        if skipped > 1000:
            raise DataError(
                "The batches hold hardly a face to train on.",
                "Use faces of people with several pictures each.",
            )
        if not skipped:
            yield batch.images[kept], own[kept]
