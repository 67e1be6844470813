"""Counted shares with their uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share: (low, high) within [0, 1]; (0, 1) where nothing was counted.

    Raises:
        ValueError: successes are not between 0 and n, or confidence is not strictly between 0 and 1.

    Source: Wilson (1927); the interval of Brown, Cai and DasGupta (2001), section 3.1.1.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie between 0 and n = {n}, got {successes}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie strictly between 0 and 1, got {confidence}")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, spread = successes / n, z * z / n
    centre = share + spread / 2
    reach = z * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    # The ends are exact where everything or nothing succeeded; rounding must not move them.
    low = 0.0 if successes == 0 else (centre - reach) / (1 + spread)
    high = 1.0 if successes == n else (centre + reach) / (1 + spread)
    return max(0.0, low), min(1.0, high)


@dataclass(frozen=True)
class Share:
    """`successes` out of `n`."""

    successes: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.successes <= self.n:
            raise ValueError(f"successes must lie between 0 and n = {self.n}, got {self.successes}")

    @classmethod
    def of(cls, hits: npt.ArrayLike) -> Share:
        """Count the true entries of a boolean array."""
        values = np.asarray(hits, dtype=bool)
        return cls(int(values.sum()), int(values.size))

    @property
    def rate(self) -> float:
        """successes / n in [0, 1]; NaN where nothing was counted."""
        return self.successes / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % Wilson interval."""
        return wilson_interval(self.successes, self.n)

    def __str__(self) -> str:
        if not self.n:
            return "none"
        low, high = self.interval
        return f"{100 * self.rate:.1f}% [{100 * low:.1f}, {100 * high:.1f}] n={self.n}"


def majority_rate(labels: npt.ArrayLike) -> float:
    """Share of the commoner value among 0/1 labels: the accuracy of always naming it; NaN without labels."""
    values = np.asarray(labels, dtype=bool)
    if values.size == 0:
        return math.nan
    positive = float(values.mean())
    return max(positive, 1 - positive)


def balanced_accuracy(verdicts: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Mean of the accuracies among positives and among negatives; of one of them where the other is missing.

    Raises:
        ValueError: the shapes differ.
    """
    verdict, label = np.asarray(verdicts, dtype=bool), np.asarray(labels, dtype=bool)
    if verdict.shape != label.shape:
        raise ValueError(f"verdicts {verdict.shape} and labels {label.shape} differ in shape")
    sides = [float((verdict[mask] == label[mask]).mean()) for mask in (label, ~label) if mask.any()]
    return sum(sides) / len(sides) if sides else math.nan


def entropy_bits(positive_share: float) -> float:
    """Entropy in bits of a binary variable that is 1 with the given probability."""
    return -sum(p * math.log2(p) for p in (positive_share, 1 - positive_share) if p > 0)


def without_nan(value: object) -> object:
    """The same nested lists, tuples and dictionaries with None in place of numbers that JSON has not."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
