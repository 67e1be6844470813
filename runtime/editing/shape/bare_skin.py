"""Skin without beards and folds: what it would look like where a photo does not show it; and folds of age.

    K = m + B c,    c = argmin sum_i w_i (x_i - m_i - (B c)_i)^2 + v |c|^2

m and B are mean and scaled principal components of faces without beards (`aif.train.shape.faces.bare_skin`),
in log colours at a low resolution. c is fitted to what is seen of the face: all but doubtful skin counts, and
of that mostly what is brighter than K, for hair and folds darken (weights w, as of an expectile).
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, f32
from aif.runtime.editing.shape.gain import EPSILON, is_grey
from aif.runtime.editing.shape.region import smoothstep
from aif.runtime.errors import BundleError

# Side of the skin's low resolution.
SIDE = 32

# Skin that is not doubtful counts in full while it differs by less than the first, in log units, and hardly
# from the second on: glasses, a fringe.
OTHER, HARDLY = (0.3, 0.6), 0.05

# Doubtful skin that is darker by more than this pulls no harder.
PULL = 0.1

ROUNDS = 3

# What is beyond the face's rim is blurred by so many low-resolution pixels.
RIM = 1.5

# A low-resolution pixel is doubtful from this share on.
DOUBTFUL = 0.15


class Doubt(NamedTuple):
    """How much doubtful pixels count: at first; brighter than the skin that is found so far, and darker."""

    first: float
    brighter: float
    darker: float


@dataclass(frozen=True)
class BareSkin:
    """Faces without beards, in log colours of P pixels of a texture of `SIDE` px.

    Attributes:
        where: bool (SIDE, SIDE), the P pixels.
        mean: float32 (P, 3) RGB.
        components: float32 (P, 3, K), scaled by their standard deviations.
        noise: the variance of a pixel that they do not explain.
        folds: float32 (S, S) in the texture frame: how much deeper than young people's the folds of those are
            in whom age is plain to see, in log units, at least 0 (`aif.train.shape.faces.age_folds`); None
            where it is not known.
    """

    where: npt.NDArray[np.bool_]
    mean: Float32Array
    components: Float32Array
    noise: float
    folds: Float32Array | None = None

    @classmethod
    def read(cls, data: bytes) -> BareSkin:
        """From what `stored` gave. Raises BundleError: it is something else."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                where, mean, components, noise = (
                    file[name] for name in ("where", "mean", "components", "noise")
                )
                folds = f32(file["folds"]) if "folds" in file else None
            skin = cls(where.astype(bool), f32(mean), f32(components), float(noise), folds)
            fits = where.shape == (SIDE, SIDE) and mean.shape == (where.sum(), 3) == components.shape[:2]
            if folds is not None:
                fits &= folds.ndim == 2 and folds.shape[0] == folds.shape[1] > 0 and folds.min() >= 0
            numbers = (mean, components, noise, *([] if folds is None else [folds]))
            if not (fits and components.size and all(np.isfinite(each).all() for each in numbers)):
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
        arrays: dict[str, Any] = {"where": self.where, "noise": np.float32(self.noise)}
        for name in ("mean", "components", "folds"):
            if (array := getattr(self, name)) is not None:
                arrays[name] = array.astype(np.float16)
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()

    def under(self, texture_hwc: Float32Array, doubtful: Float32Array, doubt: Doubt) -> Float32Array:
        """The log colours of bare skin, float32 (S, S, 3), where a texture (S, S, 3) in [0, 1] is doubtful,
        (S, S) in [0, 1]; elsewhere about its own, and beyond the face as at its rim."""
        found, size = low_logs(texture_hwc), len(texture_hwc)
        small = cv2.resize(doubtful, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        there = (small > DOUBTFUL)[self.where]
        wanted = found[self.where] - self.mean
        flat, weights = self.components.reshape(-1, self.components.shape[2]), np.where(there, doubt.first, 1)
        for _ in range(ROUNDS):
            weighted = flat * np.repeat(weights, 3)[:, None].astype(np.float32)
            gram = weighted.T @ flat + np.float32(self.noise) * np.eye(flat.shape[1], dtype=np.float32)
            fitted = (flat @ np.linalg.solve(gram, weighted.T @ wanted.reshape(-1))).reshape(-1, 3)
            rest = (wanted - fitted).mean(axis=1)
            trusted = np.maximum(1 - smoothstep(np.abs(rest), *OTHER), HARDLY)
            darker = doubt.darker * np.minimum(PULL / np.maximum(-rest, 1e-6), 1)
            weights = np.where(there, np.where(rest > 0, doubt.brighter, darker), trusted)
        found[self.where] = self.mean + fitted
        # Beyond the face as at its rim.
        inside = f32(self.where)
        share = np.maximum(cv2.GaussianBlur(inside, (0, 0), RIM), 1e-6)[:, :, None]
        rim = cv2.GaussianBlur(found * inside[:, :, None], (0, 0), RIM) / share
        bare = f32(np.where(self.where[:, :, None], found, rim))
        if is_grey(texture_hwc.transpose(2, 0, 1)):
            bare[:] = bare.mean(axis=2, keepdims=True)
        return f32(cv2.resize(bare, (size, size), interpolation=cv2.INTER_CUBIC))


def low_logs(texture_hwc: Float32Array) -> Float32Array:
    """Log colours of a texture (S, S, 3) in [0, 1] at the low resolution, float32 (SIDE, SIDE, 3)."""
    small = cv2.resize(texture_hwc, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return f32(np.log(small + np.float32(EPSILON)))
