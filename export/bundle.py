"""A training run becomes a bundle: graphs, parity gate, manifest, the small networks, model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import FiniteFloat, TypeAdapter, ValidationError

from aif.export.graphs.crops import first_crops
from aif.export.graphs.exportable import ExportableModel
from aif.export.graphs.faces import FaceReader
from aif.export.graphs.files import companions, read_file, sha256_of
from aif.export.graphs.graphs import OPSET, export_graphs
from aif.export.graphs.parity import STORED, Parity, check_parity, stored_as_half
from aif.export.precision.precision import add_precisions
from aif.runtime.bundle.bundle import check_place, write_bundle
from aif.runtime.bundle.manifest import FileInfo, GraphPair, Manifest, Mode, ShapeInfo, Variant
from aif.runtime.errors import ConfigError, ExportError
from aif.runtime.faces.landmarks import LandmarkNet
from aif.train.data.base import FaceDataset


@dataclass(frozen=True)
class ExportOptions:
    """What goes into a bundle beside the networks."""

    without: tuple[str, ...] = ()
    """Attributes of the run that are left out."""
    name: str | None = None
    """Model name in the manifest; None = the run folder's name."""
    version: str = "1"
    """Model version in the manifest."""
    landmarks: Path | None = None
    """A network of dense landmarks (ONNX) to ship; None = the embedded bundle's, if it has one."""
    matte: Path | None = None
    """A network that finds the hair (ONNX) to ship; None = the embedded bundle's, if it has one."""
    detector: Path | None = None
    """A network that finds faces (ONNX) to ship; None = the embedded bundle's, if it has one."""
    card: Path | None = None
    """A model card (Markdown) to ship; None = none."""
    metrics: Mapping[str, float] | None = None
    """Measured figures for the manifest; None = none."""
    compositing: Mode | None = None
    """Default compositing mode; None = warp for models with shape, delta for others."""


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how closely the graphs follow the network."""

    bytes: int
    step: int
    parity: tuple[Parity, ...]
    variants: Mapping[str, Variant]


def export_bundle(
    model: ExportableModel,
    out: Path,
    crops: FaceDataset,
    options: ExportOptions,
    precisions: Sequence[str] = (),
    new: bool = False,
) -> ExportReport:
    """Export a model as a bundle at `out`.

    Large weights of models with shape are stored as float16, where the graphs still pass with that.

    Args:
        crops: at least 16 aligned faces, on which graphs and networks are compared; 32 for more precisions.
        precisions: what to make beside FP32.
        new: an earlier bundle that is there by then stays.

    Raises:
        ConfigError: the model cannot be composited as `options` say.
        ExportError: the graphs differ from the network by more than 1e-4 (docs/precision.md says what float16
            weights may cost), or those of a further precision do not pass its gate; a model with shape has no
            landmark network. Nothing is written.
        TakenError: something has come to `out`, and it was to be `new`.
        BundleError: `out` holds something that is not a bundle.
    """
    check_place(out)
    shaped = model.frame is not None
    modes: tuple[Mode, ...] = ("warp",) if shaped else ("delta", "replace")
    if options.compositing not in (None, *modes):
        fix = f"Choose {' or '.join(modes)}, or leave it out."
        raise ConfigError(f"This model cannot be composited by {options.compositing!r}.", fix)
    beside = companions(landmarks=options.landmarks, matte=options.matte, detector=options.detector)
    card = None if options.card is None else read_file(options.card)
    finder = None
    if shaped:
        if "landmarks" not in beside:
            raise ExportError(
                "A model with shape needs a network of dense landmarks in its bundle, and there is none.",
                "Name one: --landmarks FILE (aif fit landmarks makes it).",
            )
        finder = LandmarkNet(beside["landmarks"][1])
    without_files = Manifest(
        name=options.name or model.name,
        version=options.version,
        image_size=model.image_size,
        latent_size=model.latent_size,
        frame="shape" if shaped else "similarity",
        attributes=model.attributes,
        opset=OPSET,
        compositing=options.compositing or modes[0],
        hair=dict(model.hair),
        provenance=model.provenance.model_copy(update={"metrics": dict(options.metrics or {})}),
        shape=None if model.frame is None else ShapeInfo.of(model.frame),
    )
    graphs = export_graphs(model, without_files.model_dump_json())
    faces = first_crops(crops, FaceReader(model.image_size, model.frame, finder))
    parity = check_parity(model, graphs, faces)
    if shaped:
        graphs = stored_as_half(model, graphs, faces)
        parity = check_parity(model, graphs, faces, STORED)
    files = {f"{part}.onnx": data for part, data in graphs.parts().items()}
    pair = {part: FileInfo(file=f"{part}.onnx", sha256=sha256_of(d)) for part, d in graphs.parts().items()}
    fields: dict[str, object] = {
        "graphs": {"fp32": GraphPair(**pair)},
        "parity": {"fp32": {each.batch: each.worst for each in parity}},
    }
    for name, found in beside.items():
        fields[name], files[found[0].file] = found
    if model.skin is not None:
        skin = model.skin.stored()
        fields["skin"] = FileInfo(file="skin.npz", sha256=sha256_of(skin))
        files["skin.npz"] = skin
    if card is not None:
        files["MODEL_CARD.md"] = card
    manifest = Manifest.model_validate({**without_files.model_dump(), **fields})
    if precisions:
        manifest, files = add_precisions(manifest, files, precisions, crops)
    write_bundle(out, manifest, files, new)
    size = sum(len(data) for data in files.values())
    return ExportReport(size, model.provenance.steps, parity, manifest.variants)


def read_metrics(path: Path) -> dict[str, float]:
    """Figures for the manifest from a flat JSON object of name: number.

    Raises:
        ExportError: the file is no such object.
    """
    try:
        return TypeAdapter(dict[str, FiniteFloat]).validate_json(read_file(path))
    except ValidationError as error:
        raise ExportError(f"{path} is no JSON object of names and finite numbers.") from error
