"""Open a model of shape and appearance, whichever kind it is: the linear baseline, or a trained one."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError

from aif.runtime.errors import CheckpointError
from aif.train.shape.best.run import FILE, load_trained
from aif.train.shape.linear.files import SIDECAR, load_linear
from aif.train.shape.shape_run import ShapeRun, load_attributes


def is_shape_run(folder: Path) -> bool:
    """Whether a folder holds a model of this kind."""
    return (folder / SIDECAR).exists() or (folder / FILE).exists()


def load_shape_run(folder: Path) -> ShapeRun:
    """Open the folder of the linear baseline, or of a training.

    Raises:
        CheckpointError: it is missing, damaged or of a newer version.
    """
    try:
        if (folder / SIDECAR).exists():
            return load_linear(folder)
        return _trained(folder)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        SafetensorError,
        ValidationError,
    ) as error:
        raise CheckpointError(
            f"{folder} holds no readable model of shape and appearance ({error}).",
            "Train one: aif-train --preset linear",
        ) from error


def _trained(folder: Path) -> ShapeRun:
    run = load_trained(folder)
    attributes, hair = load_attributes(folder)
    return ShapeRun(
        encoder=run.encoder,
        decoder=run.decoder,
        frame=run.frame,
        attributes=attributes,
        image_size=run.size,
        latent_size=int(run.encoder.mean.out_features),
        preset="best",
        steps=run.step,
        faces_seen=run.faces_seen,
        seed=run.config.seed,
        data_name=str(run.data["name"]),
        data_fingerprint=str(run.data.get("fingerprint", "")),
        hair=hair,
        data_path=run.data.get("path"),
    )
