"""A training run becomes a bundle: graphs, parity gate, manifest, landmark network, model card."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aif.export.graphs import OPSET, export_graphs
from aif.export.parity import Parity, check_parity
from aif.export.precision import add_precisions, load_evaluator
from aif.runtime.bundle import EMBEDDED_BUNDLE, Bundle, write_bundle
from aif.runtime.errors import ExportError
from aif.runtime.manifest import (
    AttributeInfo,
    GraphFile,
    GraphPair,
    LandmarkInfo,
    Manifest,
    Mode,
    Provenance,
    SourceValues,
    Variant,
)
from aif.runtime.sessions import Session
from aif.train.data.base import FaceDataset
from aif.train.data.loader import evaluation_batches
from aif.train.run import TrainedRun, load_run

RESEARCH_LICENCE = "Research use only, as the terms of the training data ask; the code has its own licence."


@dataclass(frozen=True)
class ExportOptions:
    """What goes into a bundle beside the networks."""

    name: str | None = None
    """Model name in the manifest; None = the run folder's name."""
    version: str = "1"
    """Model version in the manifest."""
    landmarks: Path | None = None
    """A landmark network (ONNX) to ship; None = the one of the embedded bundle, if there is one."""
    card: Path | None = None
    """A model card (Markdown) to ship; None = none."""
    metrics: Mapping[str, float] | None = None
    """Measured figures for the manifest; None = none."""
    compositing: Mode = "hybrid"
    """Default compositing mode."""
    source_values: SourceValues = "predicted"
    """Which y the decoder gets for attributes that nobody asked for."""
    minimum: float = -1.0
    """Lower end of every attribute's usable range."""
    maximum: float = 2.0
    """Upper end of every attribute's usable range."""
    weights_licence: str = RESEARCH_LICENCE
    """Licence of the weights."""
    precisions: tuple[str, ...] = ()
    """What to make beside FP32: of `aif.export.choice.PRECISIONS`."""
    evaluator: Path | None = None
    """Folder of an evaluator, whose verdicts the gate of each precision compares; None = no verdicts."""


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how closely the graphs follow the network."""

    path: Path
    bytes: int
    step: int
    parity: tuple[Parity, ...]
    variants: Mapping[str, Variant]


def export_bundle(
    run_folder: Path, out: Path, crops: FaceDataset, options: ExportOptions | None = None
) -> ExportReport:
    """Export the newest checkpoint of a run (its moving average, if it has one) as a bundle at `out`.

    Args:
        run_folder: what `aif-train --out` wrote.
        out: a folder, or a file name for a zip.
        crops: at least 16 faces, on which graphs and networks are compared; 32 for further precisions.
        options: see `ExportOptions`.

    Raises:
        CheckpointError: no usable checkpoint.
        ExportError: the graphs differ from the network by more than 1e-4, or those of a further precision do
            not pass its gate; nothing is written.
        BundleError: `out` holds something that is not a bundle.
    """
    options = options or ExportOptions()
    landmarks = _landmarks(options.landmarks)
    card = None if options.card is None else _bytes(options.card)
    run = load_run(run_folder)
    names = tuple(f"feature_{k}" for k in range(len(run.config.network.handed)))
    lone = _manifest(run, run_folder, options, features=names, graphs={}, landmarks=None, parity={})
    graphs = export_graphs(run, lone.model_dump_json())
    parity = check_parity(run, graphs, parity_crops(crops, run.config.network.image_size))
    files = {"encoder.onnx": graphs.encoder, "decoder.onnx": graphs.decoder}
    pair = GraphPair(
        encoder=GraphFile(file="encoder.onnx", sha256=_sha256(graphs.encoder)),
        decoder=GraphFile(file="decoder.onnx", sha256=_sha256(graphs.decoder)),
    )
    if landmarks is not None:
        files["landmarks.onnx"] = landmarks[1]
    if card is not None:
        files["MODEL_CARD.md"] = card
    manifest = _manifest(
        run,
        run_folder,
        options,
        features=graphs.features,
        graphs={"fp32": pair},
        landmarks=None if landmarks is None else landmarks[0],
        parity={"fp32": {p.batch: p.worst for p in parity}},
    )
    if options.precisions:
        judge, judge_name = load_evaluator(options.evaluator)
        manifest, files = add_precisions(manifest, files, options.precisions, crops, judge, judge_name)
    bundle = write_bundle(out, manifest, files)
    size = sum(len(data) for data in files.values())
    return ExportReport(bundle.path, size, run.step, tuple(parity), manifest.variants)


def parity_crops(faces: FaceDataset, size: int) -> npt.NDArray[np.float32]:
    """The first 16 faces of a dataset as float32 (16, 3, size, size) in [0, 1]."""
    batch = next(iter(evaluation_batches(faces, size, 16, list(range(min(16, len(faces)))))))
    return np.asarray(batch.images.numpy(), dtype=np.float32) / np.float32(255)


def _manifest(
    run: TrainedRun,
    folder: Path,
    options: ExportOptions,
    features: tuple[str, ...],
    graphs: dict[str, GraphPair],
    landmarks: LandmarkInfo | None,
    parity: dict[str, dict[int, float]],
) -> Manifest:
    config = run.config
    return Manifest(
        name=options.name or folder.resolve().name,
        version=options.version,
        image_size=config.network.image_size,
        latent_size=config.network.latent_size,
        attributes=tuple(
            AttributeInfo(name=name, minimum=options.minimum, maximum=options.maximum)
            for name in config.data.attributes
        ),
        features=features,
        graphs=graphs,
        landmarks=landmarks,
        opset=OPSET,
        compositing=options.compositing,
        source_values=options.source_values,
        passes_through=config.network.context,
        provenance=Provenance(
            dataset=run.data_name,
            dataset_fingerprint=run.data_fingerprint,
            preset=config.preset,
            steps=run.step,
            faces_seen=run.faces_seen,
            seed=config.seed,
            weights_licence=options.weights_licence,
            metrics=dict(options.metrics or {}),
        ),
        parity=parity,
    )


def _landmarks(path: Path | None) -> tuple[LandmarkInfo, bytes] | None:
    """The landmark network from a file, else from the embedded bundle, else None."""
    if path is not None:
        data = _bytes(path)
        size = Session(data, "cpu", 1, "landmark network").inputs.get("image", (None,) * 4)[2]
        if size is None:
            raise ExportError(
                f"{path} has no input `image` of a fixed size.", "Make it with aif fit landmarks."
            )
        return LandmarkInfo(file="landmarks.onnx", sha256=_sha256(data), input_size=size), data
    if not EMBEDDED_BUNDLE.exists():
        return None
    embedded = Bundle.open()
    known = embedded.manifest.landmarks
    if known is None:
        return None
    info = LandmarkInfo(file="landmarks.onnx", sha256=known.sha256, input_size=known.input_size)
    return info, embedded.landmarks_bytes()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path} cannot be read ({error.strerror}).") from error


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_metrics(path: Path) -> dict[str, float]:
    """Figures for the manifest from a flat JSON object of name: number.

    Raises:
        ExportError: the file is no such object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        figures = {str(name): float(value) for name, value in values.items()}
        if not all(map(math.isfinite, figures.values())):
            raise ValueError("a figure is not finite")
        return figures
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ExportError(f"{path} is no JSON object of names and numbers ({error}).") from error
