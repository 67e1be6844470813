"""Scene cuts by a small grey picture: cheap enough for every frame, and deaf to changes of light."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import UInt8Array

SMALL_SIDE = 32

# Two frames belong to different scenes when their small pictures correlate less than this and differ by more
# than this on average, in grey levels. Measured: a dancer in front of a wall stays above 0.85, a swift pan by
# a twentieth of the width a frame above 0.5, a lamp that is switched on above 0.95; unlike scenes lie below
# 0.3, and a cut to a closer shot of the same scene mostly below 0.55. The second limit is for dark and for
# plain frames, whose correlation is chance.
LEAST_CORRELATION, LEAST_DIFFERENCE = 0.55, 12.0


class SceneCut:
    """Says of each frame whether a new scene begins with it. Not for several threads at once."""

    def __init__(self) -> None:
        self._last: npt.NDArray[np.float32] | None = None

    def __call__(self, frame_hwc_bgr: UInt8Array) -> bool:
        """Whether a uint8 (H, W, 3) frame shows another scene than the frame before; False for the first."""
        small = small_grey(frame_hwc_bgr)
        last, self._last = self._last, small
        if last is None or float(np.abs(small - last).mean()) <= LEAST_DIFFERENCE:
            return False
        a, b = small - small.mean(), last - last.mean()
        spread = float(np.sqrt((a * a).sum() * (b * b).sum()))
        return spread == 0 or float((a * b).sum()) < LEAST_CORRELATION * spread

    def reset(self) -> None:
        """Forget the last frame."""
        self._last = None


def small_grey(frame_hwc_bgr: UInt8Array) -> npt.NDArray[np.float32]:
    """The frame as a float32 grey picture of `SMALL_SIDE` squared, in levels of 0 to 255.

    Large frames are thinned out first: the mean over what is left still smooths each field's noise.
    """
    height, width = frame_hwc_bgr.shape[:2]
    step = max(1, min(height, width) // (4 * SMALL_SIDE))
    thin = cv2.resize(frame_hwc_bgr, (width // step, height // step), interpolation=cv2.INTER_NEAREST)
    grey = cv2.cvtColor(thin, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (SMALL_SIDE, SMALL_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.float32)
