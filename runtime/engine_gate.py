"""The gate of every engine: what it answers on face crops, against the bundle's graphs in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from aif.runtime.errors import AifError
from aif.runtime.model import FaceModel

Float32Array = npt.NDArray[np.float32]

LIMITS: Mapping[str, Mapping[str, float]] = {
    "fp32": {"z": 0.001, "features": 0.001, "y_mean": 0.0005, "y_max": 0.005, "image": 0.001},
    "fp16": {"z": 0.005, "features": 0.005, "y_mean": 0.001, "y_max": 0.01, "image": 0.005},
}
"""What is allowed, by precision: of FP16 as much as its graphs may (docs/precision.md)."""


def engine_figures(known: FaceModel, found: FaceModel, crops_nchw: Float32Array) -> dict[str, float]:
    """How far one model strays from another; a value that is not finite is infinitely far.

    Args:
        known: the original, in ONNX Runtime.
        found: the engines; they are used as an editor uses them.
        crops_nchw: at least one face, float32 (N, 3, S, S) RGB in [0, 1].

    Returns:
        Relative errors of z, features (where there are any) and image; mean and greatest change of y. The
        images are those of each face as it is and with all of its attributes turned round.
    """
    before, after = known.encode(crops_nchw), found.encode(crops_nchw)
    turned = (before.y < 0.5).astype(np.float32)
    images = [np.concatenate(model.decode_both(code, before.y, turned)) for model, code in
              ((known, before), (found, after))]  # fmt: skip
    change = np.abs(after.y - before.y)
    figures = {"z": relative_error(after.z, before.z)}
    if before.features:
        pairs = [(after.features[name], wanted) for name, wanted in before.features.items()]
        figures["features"] = max(relative_error(*pair) for pair in pairs)
    figures |= {"y_mean": float(np.mean(change)), "y_max": float(np.max(change))}
    figures["image"] = relative_error(images[1], images[0])
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
