"""How well embeddings tell apart people whom the network has never seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from aif.runtime.errors import DataError

IntArray = npt.NDArray[np.int64]
FOLDS, PAIR_LIMIT = 10, 50_000


@dataclass(frozen=True)
class Verification:
    """How well cosines tell whether two pictures of people never seen before show one person.

    Attributes:
        accuracy: share of right decisions on as many same as different pairs, in [0, 1]: mean over folds of
            people, each with the threshold that is best on the other folds.
        standard_error: of that mean, from the spread between the folds.
        auc: area under the ROC curve, 0.5 = chance.
        pairs: how many pairs, half of them of one person.
        people, faces: how many the pairs were taken from.
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


def verify(
    embeddings: npt.ArrayLike, identities: npt.ArrayLike, *, limit: int = PAIR_LIMIT, seed: int = 0
) -> Verification:
    """Measure embeddings by pairs of faces: all pairs of one person, and as many random pairs of two people.

    People with at least two faces are split into ten folds (fewer where there are not twenty such people),
    and both faces of a pair lie in one fold.

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
    for held in (fold == number for number in range(int(fold.max()) + 1)):
        called = cosines[held] >= best_threshold(cosines[~held], same[~held])
        accuracies.append(float((called == same[held]).mean()))
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


def _pairs(people: IntArray, limit: int, rng: np.random.Generator) -> tuple[IntArray, IntArray, IntArray]:
    """Both faces of each pair, and the pair's fold; each fold holds as many same as different pairs."""
    names, counts = np.unique(people, return_counts=True)
    chosen = rng.permutation(names[counts >= 2])
    folds = min(FOLDS, len(chosen) // 2)
    if folds < 2:
        raise DataError(f"Verification needs at least four people with two faces, got {len(chosen)}.")
    columns = []
    for fold in range(folds):
        faces = [np.flatnonzero(people == name) for name in chosen[fold::folds]]
        own = np.concatenate(faces)
        same = np.concatenate([f[np.stack(np.triu_indices(len(f), 1), 1)] for f in faces])
        same = rng.permutation(same)[: max(1, limit // folds)]
        # A face of another person: count the others' faces, and step over the own person's.
        sizes = np.array([len(f) for f in faces])
        one = rng.integers(len(own), size=len(same))
        person = np.searchsorted(sizes.cumsum(), one, side="right")
        other = rng.integers(len(own) - sizes[person])
        other += np.where(other >= (sizes.cumsum() - sizes)[person], sizes[person], 0)
        different = np.stack([own[one], own[other]], axis=1)
        columns += [np.column_stack([pairs, np.full(len(pairs), fold)]) for pairs in (same, different)]
    a, b, fold_of = np.concatenate(columns).T
    return a, b, fold_of
