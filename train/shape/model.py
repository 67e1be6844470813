"""Open a model of shape and appearance, whichever kind it is: the linear baseline, or a trained one."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError

from aif.runtime.errors import BundleError, CheckpointError
from aif.train.shape.best.run import FILE, load_trained
from aif.train.shape.linear.files import SIDECAR, load_linear
from aif.train.shape.shape_run import ShapeRun


def is_shape_run(folder: Path) -> bool:
    """Whether a folder holds a model of this kind."""
    return (folder / SIDECAR).exists() or (folder / FILE).exists()


def load_shape_run(folder: Path) -> ShapeRun:
    """Open the folder of the linear baseline, or of a training.

    Raises:
        CheckpointError: it is missing, damaged or of a newer version.
    """
    load = load_linear if (folder / SIDECAR).exists() else load_trained
    try:
        return load(folder)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, BundleError) as error:
        raise CheckpointError(
            f"{folder} holds no readable model of shape and appearance ({error}).",
            "Train one: aif-train --preset linear",
        ) from error
