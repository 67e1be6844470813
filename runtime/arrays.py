"""Array types."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]


def f32(array: npt.NDArray[Any]) -> Float32Array:
    """What OpenCV returns, known to be float32; copied only where it is not."""
    return np.asarray(array, dtype=np.float32)
