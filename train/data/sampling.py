"""Which face is shown when: a pure function of (labels, seed, sample number)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MAX_OVERSAMPLING = 10.0
"""No face is shown more than this many times as often as the average face."""


def balanced_weights(
    labels: npt.NDArray[np.uint8], most: float = MAX_OVERSAMPLING, rounds: int = 100
) -> npt.NDArray[np.float64]:
    """How often each face should be shown so that every attribute is present half of the time.

    Raking (iterative proportional fitting): attribute after attribute, the faces with it and the faces
    without it are each scaled to half of the total, again and again until all attributes hold at once.
    Weights are kept within [1/most, most] of the average, so a very rare attribute stays below one half
    rather than showing the same few faces for ever. Attributes that all or no faces have change nothing.

    Args:
        labels: uint8 (N, A), 0 or 1.

    Returns:
        float64 (N,), mean 1.
    """
    present = labels.astype(bool)
    weights = np.ones(len(labels))
    useful = [a for a in range(labels.shape[1]) if present[:, a].any() and not present[:, a].all()]
    for _ in range(rounds if useful else 0):
        before = weights.copy()
        for a in useful:
            share = weights[present[:, a]].sum() / weights.sum()
            weights = np.where(present[:, a], weights / share, weights / (1.0 - share))
        weights = _bounded(weights, most)
        if np.abs(weights - before).max() < 1e-6:
            break
    return weights


def _bounded(weights: npt.NDArray[np.float64], most: float) -> npt.NDArray[np.float64]:
    """Scale, then clip to [1/most, most], so that the mean is 1 afterwards (by bisection of the scale)."""
    low, high = 0.0, most / float(weights.min())
    for _ in range(40):
        middle = (low + high) / 2
        small = np.clip(middle * weights, 1.0 / most, most).mean() < 1.0
        low, high = (middle, high) if small else (low, middle)
    return np.clip(high * weights, 1.0 / most, most)


class SampleOrder:
    """The endless sequence of dataset indices; `order[g]` is the face shown as global sample number g.

    It runs in epochs of `len(labels)` samples. Unbalanced, an epoch is a random permutation, so that every
    face is shown once. Balanced, face i is shown floor or ceil of its weight times an epoch (systematic
    sampling of `balanced_weights` from a random starting point, in random order). Each epoch depends on
    (seed, epoch number) alone.
    """

    def __init__(self, labels: npt.NDArray[np.uint8], seed: int, balance: bool) -> None:
        self._count = len(labels)
        self._seed = seed
        self._weights = balanced_weights(labels) if balance else None
        self._epochs: dict[int, npt.NDArray[np.int64]] = {}

    def epoch(self, number: int) -> npt.NDArray[np.int64]:
        """The indices of one epoch, int64 (N,)."""
        if number not in self._epochs:
            while len(self._epochs) >= 2:  # a batch may straddle two epochs
                del self._epochs[next(iter(self._epochs))]
            rng = np.random.default_rng([self._seed, 1, number])
            order = rng.permutation(self._count).astype(np.int64)
            if self._weights is not None:
                ends = np.cumsum(self._weights[order])
                ends *= self._count / ends[-1]
                marks = np.arange(self._count) + rng.random()
                order = order[np.minimum(np.searchsorted(ends, marks, side="right"), self._count - 1)]
                order = rng.permutation(order)
            self._epochs[number] = order
        return self._epochs[number]

    def __getitem__(self, sample: int) -> int:
        return int(self.epoch(sample // self._count)[sample % self._count])
