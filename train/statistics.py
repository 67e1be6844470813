"""Shares and means with their uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pydantic.dataclasses
from pydantic import computed_field

Z = 1.959964
"""Half the width of a 95 % interval in standard deviations of a normal distribution."""


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share: (low, high) within [0, 1]; (0, 1) where nothing was counted.

    Source: Wilson (1927); the interval of Brown, Cai and DasGupta (2001), section 3.1.1.
    """
    if n == 0:
        return 0.0, 1.0
    share, spread = successes / n, Z * Z / n
    centre = share + spread / 2
    reach = Z * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    # The ends are exact where everything or nothing succeeded; rounding must not move them.
    low = 0.0 if successes == 0 else (centre - reach) / (1 + spread)
    high = 1.0 if successes == n else (centre + reach) / (1 + spread)
    return low, high


@pydantic.dataclasses.dataclass(frozen=True)
class Share:
    """`successes` out of `n`."""

    successes: int
    n: int

    @classmethod
    def of(cls, hits: npt.ArrayLike) -> Share:
        """Count the true entries of a boolean array."""
        values = np.asarray(hits, dtype=bool)
        return cls(int(values.sum()), int(values.size))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def rate(self) -> float:
        """successes / n in [0, 1]; NaN where nothing was counted."""
        return self.successes / self.n if self.n else math.nan

    @computed_field  # type: ignore[prop-decorator]
    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % Wilson interval."""
        return wilson_interval(self.successes, self.n)

    def __str__(self) -> str:
        return f"{self.percent()} n={self.n}" if self.n else "none"

    def percent(self, nothing: str = "none") -> str:
        """ "97.1% [95.0, 98.3]"; `nothing` where nothing was counted."""
        low, high = self.interval
        return f"{100 * self.rate:.1f}% [{100 * low:.1f}, {100 * high:.1f}]" if self.n else nothing


@dataclass(frozen=True)
class Mean:
    """A mean over n faces (NaN without any) and its 95 % interval by the normal approximation.

    low, high: mean -+ 1.96 s / sqrt(n) with the sample's standard deviation s; NaN for fewer than two faces.
    """

    mean: float
    n: int
    low: float
    high: float

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Mean:
        """Summarise (N,) values."""
        row = np.asarray(values, dtype=np.float64)
        if len(row) < 2:
            return cls(float(row[0]) if len(row) else math.nan, len(row), math.nan, math.nan)
        mean, reach = float(row.mean()), Z * float(row.std(ddof=1)) / math.sqrt(len(row))
        return cls(mean, len(row), mean - reach, mean + reach)


def majority_rate(labels: npt.ArrayLike) -> float:
    """Share of the commoner value among 0/1 labels: the accuracy of always naming it; NaN without labels."""
    values = np.asarray(labels, dtype=bool)
    positive = float(values.mean()) if values.size else math.nan
    return max(positive, 1 - positive)


def balanced_accuracy(predicted: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Mean of the accuracies among positives and negatives; of one of them where the other is missing."""
    found, label = np.asarray(predicted, dtype=bool), np.asarray(labels, dtype=bool)
    sides = [float((found[mask] == label[mask]).mean()) for mask in (label, ~label) if mask.any()]
    return sum(sides) / len(sides) if sides else math.nan


def entropy_bits(positive_share: float) -> float:
    """Entropy in bits of a binary variable that is 1 with the given probability."""
    return -sum(p * math.log2(p) for p in (positive_share, 1 - positive_share) if p > 0)
