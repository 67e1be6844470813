"""What can be exported: the encoder and decoder of any kind of run, with all that a manifest says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from aif.runtime.bundle.manifest import AttributeInfo, HairInfo
from aif.runtime.geometry.frame import Frame
from aif.train.shape.model import is_shape_run, load_shape_run
from aif.train.training.run import load_run


@dataclass(frozen=True)
class ExportableModel:
    """Encoder and decoder in eval mode on the CPU.

    Attributes:
        encoder: (image (N, 3, S, S)) or, with a frame, (texture, landmarks (N, 221, 2)) -> what has `mean`
            (N, Z) and `y` (N, A) in [0, 1].
        decoder: (z, y) -> image in [0, 1], or, with a frame, (texture, landmarks).
        frame: mean shape and triangles; None for models of the similarity crop.
        attributes: y's columns.
        image_size, latent_size: S and Z.
        name: of the run's folder.
        preset, steps, faces_seen, seed, data_name, data_fingerprint: where the weights came from.
        data_path: where the training faces lay; None = not known.
        hair: colours of hair by attribute.
    """

    encoder: nn.Module
    decoder: nn.Module
    frame: Frame | None
    attributes: tuple[AttributeInfo, ...]
    image_size: int
    latent_size: int
    name: str
    preset: str
    steps: int
    faces_seen: int
    seed: int
    data_name: str
    data_fingerprint: str
    data_path: Path | None = None
    hair: Mapping[str, HairInfo] = field(default_factory=dict)

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
            encoder=shaped.encoder.eval(),
            decoder=shaped.decoder.eval(),
            frame=shaped.frame,
            attributes=shaped.attributes,
            image_size=shaped.image_size,
            latent_size=shaped.latent_size,
            name=name,
            preset=shaped.preset,
            steps=shaped.steps,
            faces_seen=shaped.faces_seen,
            seed=shaped.seed,
            data_name=shaped.data_name,
            data_fingerprint=shaped.data_fingerprint,
            hair=shaped.hair,
        )
    run = load_run(folder)
    config = run.config
    return ExportableModel(
        encoder=run.encoder,
        decoder=run.decoder,
        frame=None,
        attributes=tuple(AttributeInfo(name=each) for each in config.data.attributes),
        image_size=config.network.image_size,
        latent_size=config.network.latent_size,
        name=name,
        preset=config.preset,
        steps=run.step,
        faces_seen=run.faces_seen,
        seed=config.seed,
        data_name=run.data_name,
        data_fingerprint=run.data_fingerprint,
        data_path=Path(config.data.path) if config.data.path else None,
    )
