"""What can be exported: the encoder and decoder of any kind of run, with all that a manifest says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from aif.runtime.bundle.manifest import AttributeInfo, HairInfo, Provenance
from aif.runtime.geometry.frame import Frame
from aif.train.shape.model import is_shape_run, load_shape_run
from aif.train.shape.shape_run import ShapeRun
from aif.train.training.run import TrainedRun, load_run

RESEARCH_LICENCE = "Research use only, as the terms of the training data ask; the code has its own licence."


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
        weights_licence=RESEARCH_LICENCE,
    )
