"""The One-Euro filter: calm when a signal rests, quick when it moves, driven by real timestamps.

Source: Casiez, Roussel and Vogel, "1 euro filter: a simple speed-based low-pass filter for noisy input in
interactive systems", CHI 2012, section 3 and algorithm 1. A low-pass filter of first order whose cutoff
frequency rises with the signal's speed:

    cutoff = min_cutoff + beta x |speed|        alpha = 1 / (1 + 1 / (2 pi x cutoff x step))
    value' = alpha x value + (1 - alpha) x previous value'

The speed is the change since the last filtered value, itself low-passed with a fixed cutoff. Here the step is
the time between timestamps, and the speed that of the array as a whole (root mean square over its points).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float64Array


class OneEuroFilter:
    """A filter of arrays of one shape. Not for several threads at once.

    `min_cutoff`: cutoff in hertz at rest; `beta`: what it gains for each unit of length per second;
    `derivative_cutoff`: cutoff in hertz of the speed's own filter.
    """

    def __init__(self, min_cutoff: float = 1.0, beta: float = 0.0, derivative_cutoff: float = 1.0) -> None:
        """Raise ValueError unless the cutoffs are positive, beta is not negative, and all are finite."""
        positive = min_cutoff > 0 and derivative_cutoff > 0 and beta >= 0
        if not (positive and all(map(math.isfinite, (min_cutoff, beta, derivative_cutoff)))):
            raise ValueError(
                "cutoffs must be positive and beta not negative, all finite, "
                f"not {min_cutoff}, {derivative_cutoff} and {beta}"
            )
        self.min_cutoff, self.beta, self.derivative_cutoff = min_cutoff, beta, derivative_cutoff
        self.reset()

    def reset(self) -> None:
        """Forget the past; the next value is taken as it is."""
        self._time: float | None = None
        self._value = np.zeros(0)
        self._derivative = np.zeros(0)

    @property
    def derivative(self) -> Float64Array:
        """The low-passed change per second, of the values' shape; empty before the first value."""
        return self._derivative.copy()

    def __call__(self, value: npt.ArrayLike, time_s: float, unit: float = 1.0) -> Float64Array:
        """Filter the next value: float64 of its shape.

        A timestamp that comes twice gives the last result again; one before the last one begins anew.

        Args:
            value: (..., D) points of D coordinates, or a single number; the same shape each time.
            time_s: when it was measured, in seconds.
            unit: the length that counts as 1 for the speed, so that one setting serves signals of every size.

        Raises:
            ValueError: value, time or unit is not finite, the unit not positive, or the shape has changed.
        """
        x = np.asarray(value, dtype=np.float64)
        if not (np.isfinite(x).all() and math.isfinite(time_s) and math.isfinite(unit) and unit > 0):
            raise ValueError("values, their time and the unit must be finite, and the unit positive")
        if self._time is None or time_s < self._time:
            self._time, self._value, self._derivative = time_s, x.copy(), np.zeros_like(x)
            return x.copy()
        if x.shape != self._value.shape:
            raise ValueError(f"values were {self._value.shape} so far, this one is {x.shape}; reset() first")
        step = time_s - self._time
        if step > 0:
            keep = smoothing(self.derivative_cutoff, step)
            self._derivative += keep * ((x - self._value) / step - self._derivative)
            cutoff = self.min_cutoff + self.beta * point_rms(self._derivative) / unit
            self._value = self._value + smoothing(cutoff, step) * (x - self._value)
            self._time = time_s
        return self._value.copy()


def smoothing(cutoff: float, step: float) -> float:
    """The paper's alpha, in (0, 1]: the share of the new value after `step` seconds at `cutoff` hertz."""
    turn = 2 * math.pi * cutoff * step
    return turn / (1 + turn)


def point_rms(vectors: npt.ArrayLike) -> float:
    """Root mean square length of the vectors along the last axis: (..., D), or a single number."""
    v = np.atleast_1d(np.asarray(vectors, dtype=np.float64))
    return math.sqrt(float((v**2).sum(axis=-1).mean())) if v.size else 0.0
