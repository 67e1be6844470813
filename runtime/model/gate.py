"""The gate of every precision and every engine: how far its networks stray from the bundle's FP32 graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from aif.runtime.arrays import Float32Array
from aif.runtime.errors import ExportError
from aif.runtime.model.autoencoder import Autoencoder
from aif.runtime.model.codes import Decoded, Encoding, FaceInputs

_FIGURES = {
    "z": (0.001, 0.005, 0.10),
    "features": (0.001, 0.005, 0.10),
    "y_mean": (0.0005, 0.001, 0.01),
    "y_max": (0.005, 0.01, 0.15),
    "image": (0.001, 0.005, 0.05),
    "landmarks": (0.0001, 0.0005, 0.004),
    "detail": (0.001, 0.005, 0.05),
}
LIMITS: Mapping[str, Mapping[str, float]] = {
    precision: {name: limits[k] for name, limits in _FIGURES.items()}
    for k, precision in enumerate(("fp32", "fp16", "int8"))
}
"""What is allowed, by precision and figure; docs/precision.md says why. FP32 is for engines."""


@dataclass(frozen=True)
class Answers:
    """What a model says of N faces, decoded as they are and then with one attribute of each flipped (2N)."""

    encoding: Encoding
    decoded: Decoded


class Gate:
    """Compares models with the original on one set of faces.

    Attributes:
        known: what the original says of them.
    """

    def __init__(self, original: Autoencoder, faces: FaceInputs) -> None:
        """Run the original on at least one face."""
        self.faces, self.known = faces, _answers(original, faces)

    def figures(self, model: Autoencoder) -> dict[str, float]:
        """How far a model strays; its decoder gets the z of its own encoder and the y of the original."""
        return figures(_answers(model, self.faces, self.known.encoding.y), self.known)

    def check(self, precision: str, made: Mapping[str, float], what: str = "graphs") -> None:
        """Raise ExportError unless `what` has figures within the limits."""
        allowed = LIMITS[precision]
        wrong = [f"{n} {made[n]:.2g} (allowed {allowed[n]:g})" for n in over_limits(precision, made)]
        if wrong:
            raise ExportError(
                f"The {precision} {what} stray too far from the FP32 graphs on {len(self.faces)} faces: "
                f"{', '.join(wrong)}.",
                f"Nothing was written. Do without these {what}.",
            )

    def decoder_feeds(self) -> dict[str, Float32Array]:
        """What the original's encoder gives the decoder: every second face with one attribute flipped."""
        known = self.known.encoding
        y = np.where(np.arange(len(known))[:, None] % 2, flipped(known.y), known.y)
        return {"z": known.z, "y": y, **known.features}


def flipped(y: Float32Array) -> Float32Array:
    """y (N, A) with one attribute of each face, the next one from face to face, set to its other side."""
    edited = y.copy()
    rows = np.arange(len(y))
    columns = rows % y.shape[1]
    edited[rows, columns] = (y[rows, columns] < 0.5).astype(np.float32)
    return edited


def _answers(model: Autoencoder, faces: FaceInputs, y: Float32Array | None = None) -> Answers:
    """The decoder gets the z of its own encoder, and `y` where given."""
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
    code, of = found.encoding, known.encoding
    change = np.abs(code.y - of.y)
    made = {"z": _relative_error(code.z, of.z)}
    if of.features:
        errors = [_relative_error(code.features[name], wanted) for name, wanted in of.features.items()]
        made["features"] = float(np.max(errors))  # NaN wins
    made |= {"y_mean": float(np.mean(change)), "y_max": float(np.max(change))}
    made["image"] = _relative_error(found.decoded.image, known.decoded.image)
    if found.decoded.landmarks is not None and known.decoded.landmarks is not None:
        moved = np.linalg.norm(found.decoded.landmarks - known.decoded.landmarks, axis=-1)
        made["landmarks"] = float(np.max(moved))
    if found.decoded.detail is not None and known.decoded.detail is not None:
        made["detail"] = float(np.max(np.abs(found.decoded.detail - known.decoded.detail)))
    return {name: value if np.isfinite(value) else float("inf") for name, value in made.items()}


def over_limits(precision: str, made: Mapping[str, float]) -> tuple[str, ...]:
    """The names of figures that are above their limits."""
    return tuple(name for name, value in made.items() if not value <= LIMITS[precision][name])


def for_manifest(precision: str, made: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """`gate` and `limits` as manifests and sidecars keep them: figures with three digits."""
    return {
        "gate": {name: float(f"{value:.3g}") for name, value in made.items()},
        "limits": {name: LIMITS[precision][name] for name in made},
    }


def _relative_error(found: Float32Array, wanted: Float32Array) -> float:
    """|| found - wanted || / || wanted ||"""
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    return float(np.linalg.norm(a - b)) / max(float(np.linalg.norm(b)), 1e-12)
