"""Colour and exposure of a crop, brought into what the networks were trained on, and back again.

For models of whole crops alone: those with shape take the skin's tone into account themselves. A network
that saw well exposed faces misreads an underexposed or tinted one, and decodes its edit too bright or in the
wrong colours. Each channel's mean and contrast are therefore moved to the nearest end of the range in which
94 of 100 training faces lie, and the decodings are moved back. Crops within it stay as they are, bit for bit.
Measured in docs/composition.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aif.runtime.arrays import Float32Array
from aif.runtime.editing.similarity.composite import face_mask
from aif.runtime.model.model import Encoding, FaceModel

# Percentiles 3 and 97 of 3,000 training faces (red, green, blue; 0 to 1), weighted with the crop's mask.
MEAN_RANGE = ((0.346, 0.243, 0.184), (0.775, 0.638, 0.577))
CONTRAST_RANGE = ((0.143, 0.128, 0.116), (0.357, 0.307, 0.307))

# Contrast is changed by no more than these factors: beyond, it is mostly noise.
LEAST_GAIN, MOST_GAIN = 0.5, 4.0


@dataclass(frozen=True)
class Exposure:
    """How N crops are levelled: gain x crop + offset, each float32 (N, 3, 1, 1)."""

    gain: Float32Array
    offset: Float32Array

    @classmethod
    def of(cls, crops_nchw: Float32Array) -> Exposure:
        """What the crops need, float32 (N, 3, S, S) RGB in [0, 1]; gain 1 and offset 0 for usual ones."""
        weight = face_mask(crops_nchw.shape[-1])
        weight = weight / weight.sum()
        mean = np.einsum("nchw,hw->nc", crops_nchw, weight)
        centred = crops_nchw - mean[:, :, None, None]
        contrast = np.sqrt(np.einsum("nchw,hw->nc", centred * centred, weight))
        wanted = np.clip(contrast, *np.array(CONTRAST_RANGE))
        usual = wanted == contrast
        gain = np.where(usual, 1, np.clip(wanted / np.maximum(contrast, 1e-6), LEAST_GAIN, MOST_GAIN))
        wanted_mean = np.clip(mean, *np.array(MEAN_RANGE))
        offset = np.where(usual & (wanted_mean == mean), 0, wanted_mean - gain * mean)
        return cls(*(np.asarray(each[:, :, None, None], dtype=np.float32) for each in (gain, offset)))

    def level(self, crops_nchw: Float32Array) -> Float32Array:
        """The crops as the networks should see them."""
        return np.asarray((crops_nchw * self.gain + self.offset).clip(0, 1), dtype=np.float32)

    def undo(self, images_nchw: Float32Array) -> Float32Array:
        """Pictures of levelled faces (N, 3, S, S) in the colours and exposure of their photo."""
        return np.asarray(((images_nchw - self.offset) / self.gain).clip(0, 1), dtype=np.float32)


def decode_both(
    model: FaceModel, encoding: Encoding, exposure: Exposure, source: Float32Array, target: Float32Array
) -> tuple[Float32Array, Float32Array]:
    """The decodings with the source's and with the target's values (N, A), in the photo's exposure.

    Equal values give equal pictures, and an edit of nothing changes nothing. Float32 (N, 3, S, S) in [0, 1].
    """
    before, after = model.decode_both(encoding, source, target)
    return exposure.undo(before.image), exposure.undo(after.image)
