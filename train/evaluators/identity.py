"""The identity network: embeds faces so that pictures of one person lie close, the judge of "identity kept".

Like the evaluator it is trained on real faces only and shares nothing with the editing networks. What its
cosines are worth is measured on people whom it has never seen, and stored beside its weights.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aif.runtime.errors import CheckpointError, ConfigError, DataError
from aif.runtime.files import replacing, write_text
from aif.train.data.base import FaceDataset
from aif.train.data.loader import Batch
from aif.train.evaluators.evaluator import (
    endless,
    evaluator_network,
    half_precision,
    jitter,
    normalise,
    one_cycle,
    resize_area,
)
from aif.train.evaluators.quality import Mean
from aif.train.training.checkpoint import (
    list_checkpoints,
    load_checkpoint,
    optimiser_tensors,
    restore_optimiser,
    save_checkpoint,
)

IntArray = npt.NDArray[np.int64]
WEIGHTS_FILE, SIDECAR_FILE, RESUME_FOLDER = "identity.safetensors", "identity.json", "resume"
FOLDS, PAIR_LIMIT = 10, 50_000


@dataclass(frozen=True)
class IdentityConfig:
    """How an identity network is trained."""

    image_size: int = 64
    """Side of the input in pixels; crops of other sizes are resized by area."""
    width: int = 32
    """Channels of the first of four stages; each later one has twice as many."""
    faces: int = 300_000
    """Training length in faces seen, of people with at least two faces."""
    warm_size: int = 40
    """Side in pixels during the first part of training, which costs less and learns the coarse shape."""
    warm_share: float = 0.6
    """Share of the training that works at `warm_size`, 0 for none."""
    embedding: int = 128
    """Length of an embedding."""
    margin: float = 0.2
    """m of the CosFace loss: by how much the cosine to the own person has to lead the others."""
    scale: float = 32.0
    """s of the CosFace loss: the factor from cosines to logits."""
    learning_rate: float = 2e-3
    """Peak of the one-cycle schedule of AdamW."""
    weight_decay: float = 0.05
    """AdamW's decoupled weight decay."""
    seed: int = 0
    """Seed of weights and augmentation."""

    def __post_init__(self) -> None:
        if self.image_size < 16 or self.warm_size < 16:
            raise ConfigError(
                f"Identity sizes must be at least 16 px, got {self.image_size}, {self.warm_size}."
            )
        if self.width < 1:
            raise ConfigError(f"The identity network's width must be at least 1, got {self.width}.")
        if self.faces < 1:
            raise ConfigError(f"The identity network must see at least one face, got faces={self.faces}.")
        if self.embedding < 2:
            raise ConfigError(f"An embedding needs at least 2 numbers, got embedding={self.embedding}.")
        for name, value, allowed, words in (
            ("warm_share", self.warm_share, 0 <= self.warm_share <= 1, "lie in [0, 1]"),
            ("margin", self.margin, 0 <= self.margin < 1, "lie in [0, 1)"),
            ("scale", self.scale, 0 < self.scale < float("inf"), "be above 0"),
            ("learning_rate", self.learning_rate, 0 < self.learning_rate < float("inf"), "be above 0"),
            ("weight_decay", self.weight_decay, 0 <= self.weight_decay < float("inf"), "be at least 0"),
        ):
            if not allowed:
                raise ConfigError(f"{name} must {words}, got {value}.")


@dataclass(frozen=True)
class Verification:
    """How well cosines tell whether two pictures of people never seen before show one person.

    Attributes:
        accuracy: share of right verdicts on as many same as different pairs, in [0, 1]: mean over folds of
            people, each judged with the threshold that is best on the other folds.
        standard_error: of that mean, from the spread between the folds.
        auc: area under the ROC curve, 0.5 = nothing is told, 1 = everything.
        pairs: how many pairs, half of them of one person.
        people, faces: how many the pairs were drawn from.
        same, different: mean cosine of pairs of one person, and of two people.
    """

    accuracy: float
    standard_error: float
    auc: float
    pairs: int
    people: int
    faces: int
    same: float
    different: float


class IdentityNetwork:
    """A trained face embedding; see `train_identity` and `IdentityNetwork.load`.

    Attributes:
        image_size: side of its input in pixels.
        embedding: length D of an embedding.
        network: normalised images (N, 3, S, S) -> (N, D), not yet of unit length.
    """

    def __init__(
        self,
        network: nn.Module,
        image_size: int,
        embedding: int,
        verification: Verification | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device).eval()
        self.image_size, self.embedding = image_size, embedding
        self._verification = verification

    @classmethod
    def load(cls, path: Path, device: torch.device | str = "cpu") -> IdentityNetwork:
        """Open a folder written by `train_identity`.

        Raises:
            CheckpointError: a file is missing, damaged or does not fit the others.
        """
        try:
            sidecar = json.loads((path / SIDECAR_FILE).read_text(encoding="utf-8"))
            config = IdentityConfig(**sidecar["config"])
            verification = Verification(**sidecar["verification"])
            network = evaluator_network(config.embedding, config.width)
            network.load_state_dict(load_file(path / WEIGHTS_FILE))
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            RuntimeError,
            SafetensorError,
            ConfigError,
        ) as error:
            raise CheckpointError(
                f"{path} holds no readable identity network ({error}).",
                "Train one with `aif fit identity`.",
            ) from error
        return cls(network, config.image_size, config.embedding, verification, device)

    @property
    def verification(self) -> Verification:
        """Its own held-out figures, stored beside its weights.

        Raises:
            DataError: it was made without any.
        """
        if self._verification is None:
            raise DataError(
                "This identity network was not judged on held-out people.", "Judge it with score_identity."
            )
        return self._verification

    @torch.no_grad()
    def embed(self, crops_nchw: Tensor, batch_size: int = 256) -> Tensor:
        """Unit vectors: crops float (N, 3, S, S) RGB in [0, 1] -> float32 (N, D) on the CPU.

        The mean of the unit vectors of a face and of its mirror image, brought back to length 1.

        Raises:
            ValueError: another shape, or no floating-point numbers.
        """
        if crops_nchw.ndim != 4 or crops_nchw.shape[1] != 3 or not crops_nchw.is_floating_point():
            raise ValueError(
                f"crops must be float (N, 3, S, S) in [0, 1], got {crops_nchw.dtype} "
                f"{tuple(crops_nchw.shape)}"
            )
        parts = [torch.zeros(0, self.embedding)]
        for start in range(0, len(crops_nchw), batch_size):
            crops = crops_nchw[start : start + batch_size]
            images = normalise(resize_area(crops.to(self.device).float(), self.image_size))
            with half_precision(self.device):
                plain, mirrored = self.network(images), self.network(images.flip(-1))
            both = F.normalize(plain.float()) + F.normalize(mirrored.float())
            parts.append(F.normalize(both).cpu())
        return torch.cat(parts)


def cosface_loss(cosines: Tensor, people: Tensor, margin: float, scale: float) -> Tensor:
    """-mean log softmax of the own person, whose cosine is lowered by the margin first; all times the scale.

    Args:
        cosines: (N, P) between embeddings and the P training people's centres.
        people: int64 (N,), each face's person.
        margin, scale: m and s.

    Source: Wang et al. (2018), CosFace, equation 4.
    """
    own = F.one_hot(people, cosines.shape[1]).to(cosines)
    return F.cross_entropy(scale * (cosines - margin * own), people)


def known_identities(dataset: FaceDataset) -> IntArray:
    """The dataset's person numbers, int64 (len,).

    Raises:
        DataError: it does not know who is in its pictures; says which layouts do.
    """
    if dataset.identities is None:
        raise DataError(
            f"{dataset.name} does not say who is in its pictures.",
            "People are known from a column `identity` in labels.csv (packed faces), a column `identity` or "
            "`person` in the table of a folder, or CelebA's identity_CelebA.txt; drawn faces have none.",
        )
    return dataset.identities


def training_people(identities: npt.ArrayLike) -> IntArray:
    """Number the people who have at least two faces: (N,) person numbers -> int64 (N,), 0, 1, ..., others -1.

    Raises:
        DataError: fewer than two people have two faces.
    """
    _, person, counts = np.unique(np.asarray(identities), return_inverse=True, return_counts=True)
    kept = counts >= 2
    if kept.sum() < 2:
        raise DataError(
            f"Only {int(kept.sum())} people have two faces or more; an identity network needs at least two."
        )
    return np.asarray(np.where(kept, kept.cumsum() - 1, -1)[person], dtype=np.int64)


def train_identity(
    train: Iterable[Batch],
    train_identities: npt.ArrayLike,
    val: Iterable[Batch],
    val_identities: npt.ArrayLike,
    out: Path,
    config: IdentityConfig | None = None,
    *,
    device: torch.device | str = "cpu",
    checkpoint_every: int = 20_000,
    log: Callable[[str], None] = print,
) -> IdentityNetwork:
    """Train an identity network; store it and its held-out verification figures in the folder `out`.

    An interrupted training goes on from its last checkpoint when called again with the same configuration
    and people (weights, optimizer and schedule; the order of the data starts anew).

    Args:
        train: batches of faces, gone through again and again until `config.faces` are seen.
        train_identities: (len(dataset),) person numbers, looked up by the batches' `indices`.
        val: one pass over faces of other people.
        val_identities: their person numbers, likewise.
        out: folder for identity.safetensors and identity.json.
        checkpoint_every: faces between two checkpoints.

    Raises:
        DataError: there is no batch, too few people have two faces, someone is in both splits, or indices and
            identities do not fit.
        CheckpointError: `out` holds a checkpoint of another configuration.
    """
    config = config or IdentityConfig()
    people = training_people(train_identities)
    _check_held_out(np.asarray(train_identities), np.asarray(val_identities))
    out.mkdir(parents=True, exist_ok=True)
    device = torch.device(device)
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    network = evaluator_network(config.embedding, config.width).to(device)
    centres = nn.Parameter(torch.randn(int(people.max()) + 1, config.embedding, device=device))
    optimizer = torch.optim.AdamW(
        [*network.parameters(), centres], config.learning_rate, weight_decay=config.weight_decay
    )
    training = json.dumps([asdict(config), hashlib.sha256(people.tobytes()).hexdigest()])
    steps, seen = _resume(out / RESUME_FOLDER, network, centres, optimizer, training)
    next_checkpoint = seen + checkpoint_every
    stream = _known_faces(endless(train), torch.from_numpy(people))
    while seen < config.faces:
        pictures, own = next(stream)
        progress = seen / config.faces
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * one_cycle(progress)
        size = config.warm_size if progress < config.warm_share else config.image_size
        images = normalise(jitter(pictures.to(device).float() / 255, size, generator))
        with half_precision(device):
            embeddings = network(images)
        cosines = F.normalize(embeddings.float()) @ F.normalize(centres).T
        loss = cosface_loss(cosines, own.to(device), config.margin, config.scale)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        steps, seen = steps + 1, seen + len(images)
        if seen >= next_checkpoint:
            next_checkpoint += checkpoint_every
            groups = {
                "network": network.state_dict(),
                "centres": {"centres": centres},
                "optimizer": optimiser_tensors(optimizer),
            }
            save_checkpoint(out / RESUME_FOLDER, steps, groups, {"seen": seen, "training": training}, keep=1)
            log(f"identity: {seen} of {config.faces} faces, loss {loss.item():.4f}, size {size}")
    trained = IdentityNetwork(network, config.image_size, config.embedding, device=device)
    verification = score_identity(trained, val, val_identities)
    sidecar = {
        "config": asdict(config),
        "people": len(centres),
        "verification": asdict(verification),
    }
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with replacing(out / WEIGHTS_FILE) as part:
        save_file(weights, part)
    write_text(out / SIDECAR_FILE, json.dumps(sidecar, indent=1))
    shutil.rmtree(out / RESUME_FOLDER, ignore_errors=True)
    return IdentityNetwork(network, config.image_size, config.embedding, verification, device)


def score_identity(
    network: IdentityNetwork, batches: Iterable[Batch], identities: npt.ArrayLike
) -> Verification:
    """Verification figures on one pass over faces of people whom the network was not trained on.

    Raises:
        DataError: there is no face, identities do not fit, or fewer than four people have two faces.
    """
    known = np.asarray(identities)
    parts, people = [], []
    for batch in batches:
        parts.append(network.embed(batch.images.float() / 255))
        people.append(_looked_up(torch.from_numpy(known), batch))
    if not parts:
        raise DataError("There is no held-out face to judge the identity network on.")
    return verify(torch.cat(parts).numpy(), torch.cat(people).numpy())


def verify(
    embeddings: npt.ArrayLike, identities: npt.ArrayLike, *, limit: int = PAIR_LIMIT, seed: int = 0
) -> Verification:
    """Judge embeddings by pairs of faces: all pairs of one person, and as many random pairs of two people.

    People with at least two faces are dealt into ten folds (fewer where there are not twenty such people),
    and both faces of a pair lie in one fold. The verdict on a fold is "same" from the cosine upwards that
    gives the most right verdicts on all other folds.

    Args:
        embeddings: (N, D) unit vectors.
        identities: (N,) person numbers.
        limit: pairs of one person at the most; beyond it, a random choice.
        seed: of folds and pairs.

    Raises:
        DataError: fewer than four people have two faces, or the embeddings are not finite.
        ValueError: shapes do not fit.

    Source: Huang et al. (2007), Labeled Faces in the Wild, the protocol for View 2.
    """
    from torchmetrics.functional.classification import binary_auroc

    vectors, people = np.asarray(embeddings, dtype=np.float64), np.asarray(identities)
    if vectors.ndim != 2 or people.shape != (len(vectors),):
        raise ValueError(
            f"embeddings must be (N, D) and identities (N,), got {vectors.shape} and {people.shape}"
        )
    if not np.isfinite(vectors).all():
        raise DataError("The embeddings hold values that are not finite; the network has diverged.")
    a, b, fold = _pairs(people, limit, np.random.default_rng(seed))
    same = people[a] == people[b]
    cosines = np.einsum("nd,nd->n", vectors[a], vectors[b])
    accuracies = []
    for number in range(int(fold.max()) + 1):
        held = fold == number
        verdicts = cosines[held] >= best_threshold(cosines[~held], same[~held])
        accuracies.append(float((verdicts == same[held]).mean()))
    auc = binary_auroc(torch.from_numpy((1 + cosines.clip(-1, 1)) / 2), torch.from_numpy(same).long())
    _, counts = np.unique(people, return_counts=True)
    return Verification(
        accuracy=float(np.mean(accuracies)),
        standard_error=float(np.std(accuracies, ddof=1)) / len(accuracies) ** 0.5,
        auc=float(auc),
        pairs=len(same),
        people=int((counts >= 2).sum()),
        faces=int(counts[counts >= 2].sum()),
        same=float(cosines[same].mean()),
        different=float(cosines[~same].mean()),
    )


def best_threshold(cosines: npt.NDArray[np.float64], same: npt.NDArray[np.bool_]) -> float:
    """The cosine from which "same" gives the most right verdicts: midway between two, or -+infinity."""
    order = np.argsort(-cosines, kind="stable")
    falling = cosines[order]
    right = np.concatenate([[0], np.where(same[order], 1, -1).cumsum()])  # with the k highest called same
    right[1:-1][falling[1:] == falling[:-1]] = -len(cosines) - 1  # equal cosines cannot be told apart
    k = int(right.argmax())
    if k in (0, len(cosines)):
        return float("inf") if k == 0 else float("-inf")
    return float((falling[k - 1] + falling[k]) / 2)


@dataclass(frozen=True)
class IdentityScore:
    """How much of the person is left in edited pictures: mean cosines, each over n faces.

    Attributes:
        edited: between a face and its edited picture.
        reconstruction: between a face and its reconstruction without an edit.
        other: between a face and another one of the same set.
    """

    edited: Mean
    reconstruction: Mean
    other: Mean

    @property
    def kept(self) -> float:
        """(edited - other) / (1 - other): 1 = the same picture, 0 = another person; NaN where other is 1."""
        room = 1 - self.other.mean
        return (self.edited.mean - self.other.mean) / room if room > 1e-6 else float("nan")


def identity_kept(
    network: IdentityNetwork,
    original: Tensor,
    edited: Tensor,
    reconstruction: Tensor,
    *,
    identities: npt.ArrayLike | None = None,
    seed: int = 0,
) -> IdentityScore:
    """Compare edited faces with the originals, beside the reconstructions and other people's faces.

    Args:
        network: the judge.
        original, edited, reconstruction: float (N, 3, S, S) RGB in [0, 1], face by face; sizes may differ.
        identities: (N,) person numbers of the originals, so that "other" is another person and not merely
            another picture; None takes each face for a person.
        seed: of who is compared with whom.

    Raises:
        DataError: no face has another person's to be compared with.
        ValueError: shapes do not fit.
    """
    if not len(original) == len(edited) == len(reconstruction):
        raise ValueError(
            f"originals, edits and reconstructions differ in number: {len(original)}, {len(edited)}, "
            f"{len(reconstruction)}"
        )
    people = np.arange(len(original)) if identities is None else np.asarray(identities)
    if people.shape != (len(original),):
        raise ValueError(f"identities must be ({len(original)},), got {people.shape}")
    partner = derangement(people, seed)
    own, changed, rebuilt = (network.embed(pictures) for pictures in (original, edited, reconstruction))
    return IdentityScore(
        *(Mean.of((own * other).sum(1).numpy()) for other in (changed, rebuilt, own[partner]))
    )


def derangement(identities: npt.ArrayLike, seed: int = 0) -> IntArray:
    """A random partner of another person for each face, each face once: int64 (N,) positions.

    Faces are lined up person by person, in random order, and compared with the line moved on by the largest
    number of faces that a person has.

    Raises:
        DataError: fewer than two faces, or more than half of them are of one person.
    """
    people = np.asarray(identities)
    rng = np.random.default_rng(seed)
    _, person, counts = np.unique(people, return_inverse=True, return_counts=True)
    largest = int(counts.max(initial=0))
    if len(people) < 2 or 2 * largest > len(people):
        raise DataError(
            f"Of {len(people)} faces {largest} are of one person; comparing with other people needs at least "
            "as many faces of others."
        )
    order = np.lexsort((rng.random(len(people)), rng.permutation(len(counts))[person]))
    partner = np.empty(len(people), dtype=np.int64)
    partner[order] = np.roll(order, largest)
    return partner


def _pairs(people: IntArray, limit: int, rng: np.random.Generator) -> tuple[IntArray, IntArray, IntArray]:
    """Both faces of each pair, and the pair's fold; each fold holds as many same as different pairs."""
    _, person, counts = np.unique(people, return_inverse=True, return_counts=True)
    chosen = rng.permutation(np.flatnonzero(counts >= 2))
    folds = min(FOLDS, len(chosen) // 2)
    if folds < 2:
        raise DataError(f"Verification needs at least four people with two faces, got {len(chosen)}.")
    faces, first = np.argsort(person, kind="stable"), counts.cumsum() - counts
    found: list[tuple[IntArray, IntArray, IntArray]] = []
    for fold in range(folds):
        who = chosen[fold::folds]
        own = np.concatenate([faces[first[p] : first[p] + counts[p]] for p in who])
        size = counts[who]
        ends, shares = size.cumsum(), (size * (size - 1) // 2).cumsum()
        wanted = min(int(shares[-1]), max(1, limit // folds))
        # Pair number k within a person is (i, j) with k = i (i - 1) / 2 + j and j < i.
        number = rng.choice(shares[-1], wanted, replace=False)
        p = np.searchsorted(shares, number, side="right")
        k = number - (shares - size * (size - 1) // 2)[p]
        i = ((1 + np.sqrt(1 + 8 * k)) // 2).astype(np.int64)
        j, start = k - i * (i - 1) // 2, (ends - size)[p]
        found.append((own[start + i], own[start + j], np.full(wanted, fold)))
        # A face of another person: count the others' faces, and step over the own person's.
        one = rng.integers(len(own), size=wanted)
        p = np.searchsorted(ends, one, side="right")
        other = rng.integers(len(own) - size[p])
        other += np.where(other >= (ends - size)[p], size[p], 0)
        found.append((own[one], own[other], np.full(wanted, fold)))
    a, b, fold_of = (np.concatenate(column) for column in zip(*found, strict=True))
    return a, b, fold_of


def _check_held_out(train: IntArray, val: IntArray) -> None:
    """Before hours of training: are there people to judge with, and has nobody been trained on?"""
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


def _looked_up(table: Tensor, batch: Batch) -> Tensor:
    indices = batch.indices.cpu()
    if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= len(table)):
        raise DataError(
            f"A batch holds face {int(indices.max())}, but only {len(table)} identities are given."
        )
    return table[indices]


def _known_faces(batches: Iterator[object], people: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Images and people of the faces that have a person number; batches with fewer than two are skipped."""
    skipped = 0
    for batch in cast("Iterator[Batch]", batches):
        own = _looked_up(people, batch)
        kept = own >= 0
        if int(kept.sum()) < 2:  # batch normalisation needs two
            skipped += 1
            if skipped > 1000:
                raise DataError("The batches hold hardly a face to train on.", "Use larger batches.")
            continue
        skipped = 0
        yield batch.images[kept], own[kept]


def _resume(
    folder: Path, network: nn.Module, centres: nn.Parameter, optimizer: torch.optim.Optimizer, training: str
) -> tuple[int, int]:
    """Load the newest checkpoint where there is one; steps and faces seen so far."""
    checkpoints = list_checkpoints(folder)
    if not checkpoints:
        return 0, 0
    groups, info = load_checkpoint(checkpoints[-1])
    if info.get("training") != training:
        raise CheckpointError(
            f"{folder} is of another configuration.", "Delete it, or choose another folder."
        )
    network.load_state_dict(groups["network"])
    with torch.no_grad():
        centres.copy_(groups["centres"]["centres"])
    restore_optimiser(optimizer, groups["optimizer"])
    return int(info["step"]), int(info["seen"])
