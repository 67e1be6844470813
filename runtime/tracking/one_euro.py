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
    `derivative_cutoff`: cutoff in hertz of the speed's own filter. `derivative`, an attribute: the low-passed
    change per second, of the values' shape.
    """

    def __init__(self, min_cutoff: float, beta: float, derivative_cutoff: float) -> None:
        self._min_cutoff, self._beta, self._derivative_cutoff = min_cutoff, beta, derivative_cutoff
        self.reset()

    def reset(self) -> None:
        """Forget the past; the next value is taken as it is."""
        self._time: float | None = None

    def __call__(self, value: Float64Array, time_s: float, unit: float = 1.0) -> Float64Array:
        """Filter the next value: (..., D) points of D coordinates, finite, measured at `time_s` seconds.

        A time that is not later gives the last result again. `unit` is the length that counts as 1 for the
        speed, so that one setting serves signals of every size.
        """
        if self._time is None:
            self._time, self._value, self.derivative = time_s, value, np.zeros_like(value)
        step = time_s - self._time
        if step > 0:
            keep = smoothing(self._derivative_cutoff, step)
            self.derivative = self.derivative + keep * ((value - self._value) / step - self.derivative)
            cutoff = self._min_cutoff + self._beta * point_rms(self.derivative) / unit
            self._value = self._value + smoothing(cutoff, step) * (value - self._value)
            self._time = time_s
        return self._value


def smoothing(cutoff: float, step: float) -> float:
    """The paper's alpha, in (0, 1]: the share of the new value after `step` seconds at `cutoff` hertz."""
    turn = 2 * math.pi * cutoff * step
    return turn / (1 + turn)


def point_rms(vectors: npt.ArrayLike) -> float:
    """Root mean square length of the vectors along the last axis: (..., D)."""
    return math.sqrt(float((np.asarray(vectors, dtype=np.float64) ** 2).sum(axis=-1).mean()))
