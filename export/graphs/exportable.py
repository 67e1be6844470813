"""What can be exported: encoder and decoder of any kind of run, with all that a manifest says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from aif.runtime.bundle.manifest import AttributeInfo, HairInfo, Provenance
from aif.runtime.editing.shape.bare_skin import BareSkin
from aif.runtime.errors import ConfigError, UnknownAttributeError
from aif.runtime.geometry.frame import Frame
from aif.train.shape.model import is_shape_run, load_shape_run
from aif.train.shape.shape_run import ShapeRun
from aif.train.training.run import TrainedRun, load_run

_T = TypeVar("_T")


@dataclass(frozen=True)
class ExportableModel:
    """Encoder and decoder in eval mode on the CPU.

    Attributes:
        encoder: (image (N, 3, S, S)) or, with a frame, (texture, landmarks (N, 221, 2)) -> what has `mean`
            (N, Z) and `y` (N, A) in [0, 1].
        decoder: (z, y) -> image in [0, 1], or, with a frame, (texture, landmarks, detail).
        image_size, latent_size: S and Z.
        attributes: y's columns.
        frame: mean shape and triangles; None for models of the similarity crop.
        data_path: where the training faces lay; None = not known.
        skin: the skin of faces without beards, if an edit bares it.
        columns: (A, A') of the networks' own A' attributes those that are offered; None = all.
    """

    name: str
    encoder: nn.Module
    decoder: nn.Module
    image_size: int
    latent_size: int
    attributes: tuple[AttributeInfo, ...]
    provenance: Provenance
    frame: Frame | None = None
    hair: Mapping[str, HairInfo] = field(default_factory=dict)
    data_path: Path | None = None
    skin: BareSkin | None = None
    columns: Tensor | None = None

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Names of y's columns."""
        return tuple(attribute.name for attribute in self.attributes)


def open_exportable(folder: Path) -> ExportableModel:
    """The newest state of the run in a folder, of either kind (its moving average, if it has one).

    Raises:
        CheckpointError: there is no run, or no whole checkpoint, in the folder.
    """
    name = folder.resolve().name
    if is_shape_run(folder):
        shaped = load_shape_run(folder)
        return ExportableModel(
            name,
            shaped.encoder.eval(),
            shaped.decoder.eval(),
            shaped.image_size,
            shaped.latent_size,
            shaped.attributes,
            _provenance(shaped, shaped.preset, shaped.steps, shaped.seed),
            shaped.frame,
            shaped.hair,
            Path(shaped.data_path) if shaped.data_path else None,
            shaped.skin,
        )
    run = load_run(folder)
    config = run.config
    return ExportableModel(
        name,
        run.encoder,
        run.decoder,
        config.network.image_size,
        config.network.latent_size,
        tuple(AttributeInfo(name=each) for each in config.data.attributes),
        _provenance(run, config.preset, run.step, config.seed),
        data_path=Path(config.data.path) if config.data.path else None,
    )


def _provenance(run: ShapeRun | TrainedRun, preset: str, steps: int, seed: int) -> Provenance:
    return Provenance(
        dataset=run.data_name,
        dataset_fingerprint=run.data_fingerprint,
        preset=preset,
        steps=steps,
        faces_seen=run.faces_seen,
        seed=seed,
        weights_licence="Research use only, as the terms of the training data ask; "
        "the code has its own licence.",
    )


def without(model: ExportableModel, names: Sequence[str]) -> ExportableModel:
    """The model without these attributes: neither encoded, decoded nor offered.

    Raises:
        UnknownAttributeError: the model has no such attribute.
        ConfigError: none would be left.
    """
    for name in names:
        if name not in model.attribute_names:
            raise UnknownAttributeError(name, model.attribute_names, "this run")
    kept = [k for k, name in enumerate(model.attribute_names) if name not in names]
    if not kept:
        raise ConfigError("No attribute would be left.", "Leave out fewer.")
    if len(kept) == len(model.attributes):
        return model

    def left(known: Mapping[str, _T]) -> dict[str, _T]:
        return {name: each for name, each in known.items() if name not in names}

    infos = [
        info.model_copy(
            update={
                "takes_along": left(info.takes_along),
                "takes_along_off": left(info.takes_along_off),
                "excludes": tuple(name for name in info.excludes if name not in names),
            }
        )
        for info in (model.attributes[k] for k in kept)
    ]
    return replace(
        model,
        columns=torch.eye(len(model.attributes))[kept],
        attributes=tuple(infos),
        hair=left(model.hair),
        skin=model.skin if any(info.bares for info in infos) else None,
    )
