"""The gate of every engine: what it answers on face crops, against the bundle's graphs in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array
from aif.runtime.errors import AifError
from aif.runtime.model.model import FaceModel

LIMITS: Mapping[str, Mapping[str, float]] = {
    "fp32": {
        "z": 0.001,
        "features": 0.001,
        "y_mean": 0.0005,
        "y_max": 0.005,
        "image": 0.001,
        "landmarks": 0.0001,
    },
    "fp16": {
        "z": 0.005,
        "features": 0.005,
        "y_mean": 0.001,
        "y_max": 0.01,
        "image": 0.005,
        "landmarks": 0.0005,
    },
}
"""What is allowed, by precision: of FP16 as much as its graphs may (docs/precision.md)."""


def engine_figures(
    known: FaceModel, found: FaceModel, crops_nchw: Float32Array, landmarks: Float32Array | None = None
) -> dict[str, float]:
    """How far one model strays from another; a value that is not finite is infinitely far.

    Args:
        known: the original, in ONNX Runtime.
        found: the engines; they are used as an editor uses them.
        crops_nchw: at least one face, float32 (N, 3, S, S) RGB in [0, 1].
        landmarks: float32 (N, 221, 2) in units of the crop's side, for models with shape.

    Returns:
        Relative errors of z, features (where there are any) and image; mean and greatest change of y;
        greatest distance of landmarks (where there are any) in units of the crop's side. Images and landmarks
        are those of each face as it is and with all of its attributes turned round.
    """
    before, after = known.encode(crops_nchw, landmarks), found.encode(crops_nchw, landmarks)
    turned = (before.y < 0.5).astype(np.float32)
    sides = known.decode_both(before, before.y, turned), found.decode_both(after, before.y, turned)
    pairs = list(zip(*sides, strict=True))
    change = np.abs(after.y - before.y)
    figures = {"z": relative_error(after.z, before.z)}
    if before.features:
        further = [(after.features[name], wanted) for name, wanted in before.features.items()]
        figures["features"] = max(relative_error(*pair) for pair in further)
    figures |= {"y_mean": float(np.mean(change)), "y_max": float(np.max(change))}
    images = [np.concatenate([each.image for each in side]) for side in sides]
    figures["image"] = relative_error(images[1], images[0])
    points = [
        (had.landmarks, wanted.landmarks)
        for wanted, had in pairs
        if wanted.landmarks is not None and had.landmarks is not None
    ]
    if points:
        figures["landmarks"] = max(greatest_distance(*pair) for pair in points)
    return {name: value if np.isfinite(value) else float("inf") for name, value in figures.items()}


def check_engine(precision: str, figures: Mapping[str, float], faces: int) -> None:
    """Let engines with these figures pass or not.

    Raises:
        AifError: a figure is above its limit.
    """
    limits = LIMITS[precision]
    failed = [name for name, value in figures.items() if not value <= limits[name]]
    if failed:
        said = ", ".join(f"{name} {figures[name]:.2g} (allowed {limits[name]:g})" for name in failed)
        raise AifError(
            f"The {precision} engines stray too far from ONNX Runtime on {faces} faces: {said}.",
            "Nothing was written. Build them in fp32, or update TensorRT.",
        )


def relative_error(found: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> float:
    """|| found - wanted || / || wanted ||; infinite where a found value is not finite."""
    a, b = np.asarray(found, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
    if not np.isfinite(a).all():
        return float("inf")
    return float(np.linalg.norm(a - b)) / max(float(np.linalg.norm(b)), 1e-12)


def greatest_distance(found: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> float:
    """Greatest distance of points (..., 2) from where they should be; infinite where one is not finite."""
    a, b = np.asarray(found, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
    return float(np.linalg.norm(a - b, axis=-1).max()) if np.isfinite(a).all() else float("inf")
