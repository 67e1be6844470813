"""Beards that go: the photo's skin takes the place of the hair.

    K = m + B c,  c = argmin sum_i w_i (x_i - m_i - (B c)_i)^2 + v |c|^2    the skin's colours under the beard
    a             where the photo x differs from K as hair does
    photo' = photo * exp(a (K - blur(x)))                                    and fine detail of the cheek's

m and B are mean and scaled principal components of faces without beards (`aif.train.shape.faces.bare_skin`),
in log colours at a low resolution. c is fitted to what is seen of the face: all but the beard's area counts,
and in that what is brighter than K, for a beard mostly darkens (weights w, as of an expectile). An average
gain would leave a shadow of every beard that is darker than most.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, f32
from aif.runtime.editing.shape.gain import EPSILON, gain_mask, is_grey, lips_mask
from aif.runtime.editing.shape.hairs import beard_area
from aif.runtime.editing.shape.pores import FINE, blurred_beside
from aif.runtime.editing.shape.region import smoothstep
from aif.runtime.errors import BundleError
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.frame import Frame

# Side of the skin's low resolution.
SIDE = 32

# Where a beard may grow, a pixel counts by these shares: at first; brighter than the skin that is found so
# far, and darker, of which more than the last, in log units, pulls no harder.
FIRST, BRIGHTER, DARKER, PULL = 0.18, 0.58, 0.025, 0.1

# Elsewhere a pixel counts in full while it differs by less than the first, in log units, and hardly from the
# second on: glasses, a fringe.
OTHER, HARDLY = (0.3, 0.6), 0.05

ROUNDS = 4

# What is beyond the face's rim is blurred by so many low-resolution pixels.
RIM = 1.5

# A low-resolution pixel is one where a beard may grow from this share on.
HAIRY = 0.15

# Skin is hair where it is darker than it should be by more than this, or less colourful by this share; from
# the second on in full.
DARK, PALE = (0.02, 0.14), (0.3, 0.7)

# Shares of the beard's area that are like hair: up to the first those are shadows, from the second on there
# is a beard.
SHADOWS = (0.14, 0.3)

# Under a beard the skin is no brighter than all but this share of the face.
BRIGHT = 0.1

# So far around the lower end of the nose shaving begins, in units of the crop's side.
NOSTRILS = 0.008

# How soft the edges of hair are, in pixels of a 128 px texture, and those of what has single hairs, which is
# full of them where 1 / SPARSE of it is hair.
SOFT, AROUND, SPARSE = 1.2, 3.0, 1.6

# Colours of skin that are less than this, squared, tell nothing.
GREY = 0.02


class Shaved(NamedTuple):
    """What shaving a face does: float32 (S, S, 3) gain in log units where `hair` (S, S), 0 to 1, is 1, and
    (S, S), 0 to 1, where fine detail is that of hair."""

    gain: Float32Array
    hair: Float32Array
    strands: Float32Array


@dataclass(frozen=True)
class BareSkin:
    """Faces without beards, in log colours of P pixels of a texture of `SIDE` px.

    Attributes:
        where: bool (SIDE, SIDE), the P pixels.
        mean: float32 (P, 3) RGB.
        components: float32 (P, 3, K), scaled by their standard deviations.
        noise: the variance of a pixel that they do not explain.
    """

    where: npt.NDArray[np.bool_]
    mean: Float32Array
    components: Float32Array
    noise: float

    @classmethod
    def read(cls, data: bytes) -> BareSkin:
        """From what `stored` gave. Raises BundleError: it is something else."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                where, mean, components, noise = (
                    file[name] for name in ("where", "mean", "components", "noise")
                )
            skin = cls(where.astype(bool), f32(mean), f32(components), float(noise))
            fits = where.shape == (SIDE, SIDE) and mean.shape == (where.sum(), 3) == components.shape[:2]
            if not (
                fits and components.size and all(map(np.all, map(np.isfinite, (mean, components, noise))))
            ):
                raise ValueError("its arrays do not fit each other, or are not finite")
            return skin
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            OSError,
            EOFError,
            zipfile.BadZipFile,
        ) as error:
            raise BundleError(f"skin.npz cannot be read ({error}).", "Export the bundle anew.") from error

    def stored(self) -> bytes:
        """As bytes of an .npz file."""
        file, half = io.BytesIO(), (self.mean.astype(np.float16), self.components.astype(np.float16))
        np.savez(file, where=self.where, mean=half[0], components=half[1], noise=np.float32(self.noise))
        return file.getvalue()

    def under(self, texture_hwc: Float32Array, frame: Frame) -> Float32Array:
        """The log colours that the skin would have without a beard, float32 (SIDE, SIDE, 3), of a texture
        (S, S, 3) in [0, 1]; beyond the face as at its rim."""
        found = low_logs(texture_hwc)
        beard = cv2.resize(beard_area(frame, len(texture_hwc)), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        bearded = (beard > HAIRY)[self.where]
        wanted = found[self.where] - self.mean
        flat, weights = self.components.reshape(-1, self.components.shape[2]), np.where(bearded, FIRST, 1)
        for _ in range(ROUNDS):
            weighted = flat * np.repeat(weights, 3)[:, None].astype(np.float32)
            gram = weighted.T @ flat + np.float32(self.noise) * np.eye(flat.shape[1], dtype=np.float32)
            fitted = (flat @ np.linalg.solve(gram, weighted.T @ wanted.reshape(-1))).reshape(-1, 3)
            rest = (wanted - fitted).mean(axis=1)
            trusted = np.maximum(1 - smoothstep(np.abs(rest), *OTHER), HARDLY)
            darker = DARKER * np.minimum(PULL / np.maximum(-rest, 1e-6), 1)
            weights = np.where(bearded, np.where(rest > 0, BRIGHTER, darker), trusted)
        found[self.where] = self.mean + fitted
        # Beyond the face as at its rim.
        inside = f32(self.where)
        share = np.maximum(cv2.GaussianBlur(inside, (0, 0), RIM), 1e-6)[:, :, None]
        rim = cv2.GaussianBlur(found * inside[:, :, None], (0, 0), RIM) / share
        return f32(np.where(self.where[:, :, None], found, rim))

    def shave(self, texture_chw: Float32Array, frame: Frame) -> Shaved:
        """What it takes to shave a face of texture (3, S, S) RGB in [0, 1]."""
        texture, size = np.ascontiguousarray(texture_chw.transpose(1, 2, 0)), texture_chw.shape[-1]
        logs, lips = np.log(texture + np.float32(EPSILON)), lips_mask(frame, size)
        face = gain_mask(frame, size)
        area = beard_area(frame, size) * _height(frame, size, face)
        skin = (face > 0.8) & (area < 0.1)
        bare = f32(cv2.resize(self.under(texture, frame), (size, size), interpolation=cv2.INTER_CUBIC))
        if is_grey(texture_chw):
            bare[:] = bare.mean(axis=2, keepdims=True)
        brightest = np.quantile(logs.mean(axis=2)[skin], 1 - BRIGHT).astype(np.float32)
        bare -= np.maximum(bare.mean(axis=2, keepdims=True) - brightest, 0)
        gain = bare - blurred_beside(logs, lips, FINE * size / 128)
        hair = f32(cv2.GaussianBlur(_like_hair(gain, bare), (0, 0), SOFT * size / 128))
        beard = smoothstep((hair * area).sum(keepdims=True).reshape(1) / area.sum(), *SHADOWS)
        hair = f32(beard * hair * area)
        around = f32(cv2.GaussianBlur(hair, (0, 0), AROUND * size / 128))
        return Shaved(f32(gain), hair, f32(np.minimum(SPARSE * around, area)))


def low_logs(texture_hwc: Float32Array) -> Float32Array:
    """Log colours of a texture (S, S, 3) in [0, 1] at the low resolution, float32 (SIDE, SIDE, 3)."""
    small = cv2.resize(texture_hwc, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return f32(np.log(small + np.float32(EPSILON)))


def _height(frame: Frame, size: int, face_hw: Float32Array) -> Float32Array:
    """How much is shaved at each height of a face (S, S), 0 to 1: from below the nostrils, which are dark,
    too; and at the chin on to the outline, for at the sides of the face the background would be lit."""
    rows = np.arange(size, dtype=np.float32)[:, None] / np.float32(size)
    mouth, chin = frame.mean[dense.OUTER_LIP, 1].max(), frame.mean[dense.FACE_OVAL, 1].max()
    nose = float(frame.mean[dense.NOSE, 1].max())
    below = smoothstep(rows, nose - NOSTRILS, nose + NOSTRILS)
    return below * np.maximum(face_hw, smoothstep(rows, float(mouth), float(mouth + chin) / 2))


def _like_hair(gain_hwc: Float32Array, bare_hwc: Float32Array) -> Float32Array:
    """How far each pixel is like hair, 0 to 1, where the bare skin's log colours (S, S, 3) would take that
    gain: darker, or grey."""
    colour = bare_hwc - bare_hwc.mean(axis=2, keepdims=True)
    lost = gain_hwc - gain_hwc.mean(axis=2, keepdims=True)
    pale = (lost * colour).sum(axis=2) / np.maximum((colour * colour).sum(axis=2), GREY)
    return np.maximum(smoothstep(gain_hwc.mean(axis=2), *DARK), smoothstep(pale, *PALE))
