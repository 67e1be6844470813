"""How well embeddings tell apart people whom the network has never seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torchmetrics.functional.classification import binary_auroc

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
    """Measure embeddings (N, D), unit vectors, of people (N,) by pairs of faces.

    All pairs of one person (`limit` at the most), and as many random pairs of two people. People with at
    least two faces are split into ten folds (fewer where there are not twenty such people), and both faces
    of a pair lie in one fold. Raises DataError where fewer than four people have two faces, or the embeddings
    are not finite.

    Source: Huang et al. (2007), Labeled Faces in the Wild, the protocol for View 2.
    """
    vectors, people = np.asarray(embeddings, dtype=np.float64), np.asarray(identities)
    if not np.isfinite(vectors).all():
        raise DataError("The embeddings hold values that are not finite; the network has diverged.")
    names, counts = np.unique(people, return_counts=True)
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(names[counts >= 2])
    count = min(FOLDS, len(chosen) // 2)
    if count < 2:
        raise DataError(f"Verification needs four held-out people with two faces, got {len(chosen)}.")
    folds = []
    for number in range(count):
        rows = np.flatnonzero(np.isin(people, chosen[number::count]))
        a, b = (rows[side] for side in np.triu_indices(len(rows), 1))
        same = people[a] == people[b]
        most = min(int(same.sum()), max(1, limit // count), int((~same).sum()))
        pairs = np.concatenate(
            [rng.permutation(np.flatnonzero(same == value))[:most] for value in (True, False)]
        )
        folds.append((np.einsum("nd,nd->n", vectors[a[pairs]], vectors[b[pairs]]), same[pairs]))
    accuracies = []
    for number, (cosines, same) in enumerate(folds):
        others = [fold for k, fold in enumerate(folds) if k != number]
        threshold = best_threshold(*(np.concatenate(parts) for parts in zip(*others, strict=True)))
        accuracies.append(float(((cosines >= threshold) == same).mean()))
    cosines, same = (np.concatenate(parts) for parts in zip(*folds, strict=True))
    auc = binary_auroc(torch.from_numpy((1 + cosines.clip(-1, 1)) / 2), torch.from_numpy(same).long())
    return Verification(
        accuracy=float(np.mean(accuracies)),
        standard_error=float(np.std(accuracies, ddof=1)) / len(accuracies) ** 0.5,
        auc=float(auc),
        pairs=len(same),
        people=len(chosen),
        faces=int(counts[counts >= 2].sum()),
        same=float(cosines[same].mean()),
        different=float(cosines[~same].mean()),
    )


def best_threshold(cosines: npt.NDArray[np.float64], same: npt.NDArray[np.bool_]) -> float:
    """The cosine from which "same" gives the most right decisions: midway between two, or -+infinity."""
    order = np.argsort(-cosines, kind="stable")
    falling = cosines[order]
    right = np.concatenate([[0], np.where(same[order], 1, -1).cumsum()])  # with the k highest called same
    right[1:-1][falling[1:] == falling[:-1]] = -len(cosines) - 1  # equal cosines cannot be told apart
    k = int(right.argmax())
    if k in (0, len(cosines)):
        return float("inf") if k == 0 else float("-inf")
    return float((falling[k - 1] + falling[k]) / 2)
