"""Which face is shown when: a pure function of (labels, seed, sample number)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MAX_OVERSAMPLING = 10.0
"""No face is shown more than this many times as often as the average face."""


def balanced_weights(labels: npt.NDArray[np.uint8], rounds: int = 100) -> npt.NDArray[np.float64]:
    """How often each face should be shown so that every attribute is present half of the time.

    Raking (iterative proportional fitting): attribute after attribute, the faces with it and those without it
    are each scaled to half of the total, again and again. Weights stay within `MAX_OVERSAMPLING` of the
    average, so a very rare attribute stays below one half. Attributes that all or no faces have change
    nothing. Labels uint8 (N, A) to float64 (N,) of mean 1.
    """
    present = labels.astype(bool)
    weights = np.ones(len(labels))
    for _ in range(rounds):
        before = weights
        for has in present.T:
            share = weights[has].sum() / weights.sum()
            if 0 < share < 1:
                weights = weights / np.where(has, share, 1 - share)
        for _ in range(20):  # clipping moves the mean, and the mean what is clipped
            weights = np.clip(weights / weights.mean(), 1 / MAX_OVERSAMPLING, MAX_OVERSAMPLING)
        if np.abs(weights - before).max() < 1e-6:
            break
    return weights


class SampleOrder:
    """The endless sequence of dataset indices; `order[g]` is the face shown as global sample number g.

    It runs in epochs of `len(labels)` samples, each a random permutation. Balanced, face i is shown floor or
    ceil of its weight times an epoch (systematic sampling of `balanced_weights`). An epoch depends on
    (seed, epoch number) alone.
    """

    def __init__(self, labels: npt.NDArray[np.uint8], seed: int, balance: bool) -> None:
        self._count, self._seed = len(labels), seed
        self._weights = balanced_weights(labels) if balance else None
        self._epochs: dict[int, npt.NDArray[np.int64]] = {}

    def epoch(self, number: int) -> npt.NDArray[np.int64]:
        """The indices of one epoch, int64 (N,)."""
        if number not in self._epochs:  # the one before is kept too: a batch may straddle two
            self._epochs = {**dict(list(self._epochs.items())[-1:]), number: self._shuffled(number)}
        return self._epochs[number]

    def _shuffled(self, number: int) -> npt.NDArray[np.int64]:
        rng = np.random.default_rng([self._seed, 1, number])
        order = rng.permutation(self._count).astype(np.int64)
        if self._weights is not None:
            ends = np.cumsum(self._weights[order])
            marks = (np.arange(self._count) + rng.random()) * ends[-1] / self._count
            order = rng.permutation(
                order[np.searchsorted(ends, marks, side="right").clip(max=self._count - 1)]
            )
        return order

    def __getitem__(self, sample: int) -> int:
        return int(self.epoch(sample // self._count)[sample % self._count])
