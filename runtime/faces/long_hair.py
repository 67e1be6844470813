"""Long hair: beside and below what the matte network sees, it is followed by its own colours."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, f32

# Shares of the view's side: hair and surroundings are learnt from below the first; the network's matte is
# taken but for so much at the edges; and below the chin hair may be more than it says.
LEARNT, EDGE, CHIN = 0.31, 0.1, 0.72

# There it may be so where the matte is beyond the first, wholly from the second on: necks have none.
DOUBTED, POSSIBLE = 0.004, 0.02

# Matte of what is surely hair, and surely none.
HAIR, OTHER = 0.85, 0.05

# Fewest pixels of hair, and of what is around it, to learn from.
FEWEST = 32

# Least matte, averaged along the edge of what is taken: below, no hair goes on.
LEAST = 0.01

# Squared distance from the hair's own colours (in standard deviations) up to which a pixel may be hair, and
# over which that ends; squares of the least deviations of red, blue and (at half weight) light.
NEAR, FAR = 5.0, 4.0
LEAST_VARIANCE = np.diag([0.02**2, 0.02**2, 0.05**2])

# Likelihood of hair up to which it is none, and by which less than 1 it is all hair.
UNSURE = 0.15

# Shares of what is around the hair that its colours take for hair: up to the first they are believed, from
# the second on not at all.
TELLS, TELLS_NOT = 0.1, 0.35

# Hair hangs: a pixel may go on from that above it, and, for so much less, from those beside it.
ABOVE = np.array([[1], [1], [0]], dtype=np.uint8)
BESIDE, ASIDE = np.ones((1, 3), dtype=np.uint8), 0.04

# The colours are classified by ridge regression on random Fourier features (Rahimi and Recht, 2007).
FEATURES, REGULAR = 64, 1e-3
BoolArray = npt.NDArray[np.bool_]
_generator = np.random.default_rng(0)
_FREQUENCIES = f32(0.7 * _generator.normal(size=(7, FEATURES)))
_PHASES = f32(_generator.uniform(0, 2 * np.pi, FEATURES))


def goes_on(matte: Float32Array) -> bool:
    """Whether hair in a view's matte (S, S) reaches its edge, at the bottom or, below the brows, beside."""
    size, edge = len(matte), round(EDGE * len(matte))
    inner, strip = slice(edge, size - edge), slice(edge, edge + size // 16)
    sides = (np.flip(matte[size // 3 :]).T, matte[size // 3 :].T, np.flip(matte)[:, inner])
    return max(float(side[strip].mean()) for side in sides) > LEAST


def followed(far_chw: Float32Array, matte: Float32Array) -> tuple[Float32Array, float]:
    """The matte of a view and of what lies around and below it, and how far to believe that.

    Args:
        far_chw: float32 (3, S, S) RGB in [0, 1]: at half the scale, the view in the middle of its upper half.
        matte: float32 (S, S) in [0, 1], the network's, of the view.

    Returns:
        float32 (2 S, 2 S) in [0, 1], at the view's scale; and a share in [0, 1].
    """
    size = len(matte)
    half, edge = size // 2, round(EDGE * size)
    small = np.asarray(cv2.resize(matte, (half, half), interpolation=cv2.INTER_AREA))
    left, first = size // 4, round(LEARNT * half)
    seen = np.s_[: half - edge // 2, left + edge // 2 : left + half - edge // 2]
    learnt = np.s_[first : half - edge // 2, left + edge // 2 : left + half - edge // 2]
    known = np.full((size, size), np.nan, dtype=np.float32)
    known[:half, left : left + half] = small
    hair, other = known[learnt] > HAIR, known[learnt] < OTHER
    out, share = np.zeros((size, size), dtype=np.float32), 0.0
    out[seen] = known[seen]
    if min(hair.sum(), other.sum()) > FEWEST:
        likely = _likely(far_chw.transpose(1, 2, 0), learnt, hair, other)
        around = other & (np.arange(len(other)) > len(other) // 2)[:, None]
        taken = float(likely[learnt][around].mean()) if around.any() else 0.0
        share = float(np.clip((TELLS_NOT - taken) / (TELLS_NOT - TELLS), 0, 1))
        likely[: round(CHIN * half), seen[1]] = 0
        likely[seen] *= np.clip((known[seen] - DOUBTED) / (POSSIBLE - DOUBTED), 0, 1)
        for _ in range(size):
            grown = np.maximum(cv2.dilate(out, ABOVE), cv2.dilate(out, BESIDE) - np.float32(ASIDE))
            grown = np.maximum(out, np.minimum(likely, grown))
            if np.abs(grown - out).max() < 1 / 255:
                break
            out = grown
    wide = f32(cv2.resize(out, (2 * size, 2 * size), interpolation=cv2.INTER_LINEAR))
    inside, chin = wide[: size - edge, half + edge : half + size - edge], round(CHIN * size)
    inside[:chin] = matte[:chin, edge:-edge]
    np.maximum(inside, matte[: size - edge, edge:-edge], out=inside)
    return wide, share


def _likely(
    rgb: Float32Array, learnt: tuple[slice, slice], hair: BoolArray, other: BoolArray
) -> Float32Array:
    """How likely each pixel (H, W) is hair: more like it than what is around it, and like it at all."""
    logs = np.log(rgb + np.float32(0.05))
    near, far = (cv2.GaussianBlur(logs, (0, 0), sigma) for sigma in (0.7, 2.0))
    light = logs.mean(axis=2)
    rough = np.sqrt(cv2.GaussianBlur((light - far.mean(axis=2)) ** 2, (0, 0), 1.0) + np.float32(1e-6))
    found = np.dstack([near, far, 3 * rough])
    known = hair | other
    own, y = found[learnt][known], hair[known]
    waves = np.cos((found - own.mean(axis=0)) / (own.std(axis=0) + 1e-3) @ _FREQUENCIES + _PHASES)
    seen = waves[learnt][known]
    weighted = (seen * np.where(y, 0.5 / y.mean(), 0.5 / (1 - y.mean()))[:, None]).T
    normal = weighted @ seen + REGULAR * len(seen) * np.eye(FEATURES)
    score = waves @ f32(np.linalg.solve(normal, weighted @ np.where(y, 1.0, -1.0)))
    tint = np.dstack([near[..., 0] - near[..., 1], near[..., 2] - near[..., 1], near[..., 1] / 2])
    own = tint[learnt][hair]
    away = tint - np.median(own, axis=0)
    inverse = np.linalg.inv(np.cov(own.T) + LEAST_VARIANCE)
    square = np.einsum("hwi,ij,hwj->hw", away, inverse, away)
    alike = np.exp(-np.maximum(square - NEAR, 0) / FAR)
    likely = f32(np.minimum(np.clip(0.5 + score, 0, 1), alike))
    closed = cv2.morphologyEx(likely, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    return f32(np.clip((cv2.GaussianBlur(closed, (0, 0), 0.7) - UNSURE) / (1 - 2 * UNSURE), 0, 1))
