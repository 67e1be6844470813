"""The gate of every precision and every engine: how far its networks stray from the bundle's FP32 graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array
from aif.runtime.model.autoencoder import Autoencoder
from aif.runtime.model.codes import Decoded, Encoding, FaceInputs

LIMITS: Mapping[str, Mapping[str, float]] = {
    "fp32": {
        "z": 0.001,
        "features": 0.001,
        "y_mean": 0.0005,
        "y_max": 0.005,
        "image": 0.001,
        "landmarks": 0.0001,
        "detail": 0.001,
    },
    "fp16": {
        "z": 0.005,
        "features": 0.005,
        "y_mean": 0.001,
        "y_max": 0.01,
        "image": 0.005,
        "landmarks": 0.0005,
        "detail": 0.005,
    },
    "int8": {
        "z": 0.10,
        "features": 0.10,
        "y_mean": 0.01,
        "y_max": 0.15,
        "image": 0.05,
        "landmarks": 0.004,
        "detail": 0.05,
    },
}
"""What is allowed, by precision and figure; docs/precision.md says why. FP32 is for engines."""


@dataclass(frozen=True)
class Answers:
    """What a model says of N faces, decoded as they are and with one attribute of each flipped.

    Attributes:
        decoded: 2N faces: all as they are, then all edited.
    """

    encoding: Encoding
    decoded: Decoded


def flipped(y: Float32Array) -> Float32Array:
    """y (N, A) with one attribute of each face, the next one from face to face, set to its other side."""
    edited = y.copy()
    rows = np.arange(len(y))
    columns = rows % y.shape[1]
    edited[rows, columns] = (y[rows, columns] < 0.5).astype(np.float32)
    return edited


def answers(model: Autoencoder, faces: FaceInputs, y: Float32Array | None = None) -> Answers:
    """Run a model on at least one face; the decoder gets the z of its own encoder, and `y` where given."""
    encoding = model.encode(faces.images, faces.landmarks)
    values = encoding.y if y is None else y
    both = np.concatenate([values, flipped(values)])
    return Answers(encoding, model.decode(encoding.repeat(2), both))


def figures(found: Answers, known: Answers) -> dict[str, float]:
    """How far answers stray from those of the original; a value that is not finite is infinitely far.

    Returns:
        Relative errors of z, features (where there are any) and image; mean and greatest change of y;
        greatest distance of landmarks (where there are any) in units of the crop's side, and of detail.
    """
    change = np.abs(found.encoding.y - known.encoding.y)
    made = {"z": relative_error(found.encoding.z, known.encoding.z)}
    features = known.encoding.features
    if features:
        made["features"] = max(relative_error(found.encoding.features[n], f) for n, f in features.items())
    made |= {"y_mean": float(np.mean(change)), "y_max": float(np.max(change))}
    made["image"] = relative_error(found.decoded.image, known.decoded.image)
    if found.decoded.landmarks is not None and known.decoded.landmarks is not None:
        moved = np.linalg.norm(found.decoded.landmarks - known.decoded.landmarks, axis=-1)
        made["landmarks"] = float(np.max(moved))
    if found.decoded.detail is not None and known.decoded.detail is not None:
        made["detail"] = float(np.max(np.abs(found.decoded.detail - known.decoded.detail)))
    return {name: value if np.isfinite(value) else float("inf") for name, value in made.items()}


def over_limits(precision: str, made: Mapping[str, float]) -> tuple[str, ...]:
    """The names of figures that are above their limits."""
    return tuple(name for name, value in made.items() if not value <= LIMITS[precision][name])


def complaint(precision: str, made: Mapping[str, float]) -> str | None:
    """The figures that are above their limits, as words; None where all pass."""
    names = over_limits(precision, made)
    return ", ".join(f"{n} {made[n]:.2g} (allowed {LIMITS[precision][n]:g})" for n in names) or None


def for_manifest(precision: str, made: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """`gate` and `limits` as manifests and sidecars keep them: figures with three digits."""
    return {
        "gate": {name: float(f"{value:.3g}") for name, value in made.items()},
        "limits": {name: LIMITS[precision][name] for name in made},
    }


def relative_error(found: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> float:
    """|| found - wanted || / || wanted ||; infinite where a found value is not finite."""
    a, b = np.asarray(found, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
    if not np.isfinite(a).all():
        return float("inf")
    return float(np.linalg.norm(a - b)) / max(float(np.linalg.norm(b)), 1e-12)
