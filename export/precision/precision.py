"""FP16 and INT8 beside the FP32 graphs of a bundle, each behind its gate."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from aif.export.graphs.crops import CropSets, split_crops
from aif.export.graphs.stored import store_as_half, stored_weights, widen
from aif.export.precision.gate import LIMITS, Gate, Graphs
from aif.export.precision.half import halve_convolutions, to_half
from aif.export.precision.quantise import CONVOLUTIONS, METHOD, QUANTISED, Feeds, convolutions, quantise
from aif.runtime.bench.measure import Setup, describe_machine
from aif.runtime.bench.networks import OnnxNetworks, bench_networks
from aif.runtime.bundle.bundle import Bundle, write_bundle
from aif.runtime.bundle.manifest import GraphFile, GraphPair, Manifest, Variant
from aif.runtime.bundle.storage import open_store
from aif.runtime.errors import ExportError
from aif.runtime.faces.landmarks import LandmarkNet
from aif.runtime.networks.cpu import multiplies_int8
from aif.runtime.tensorrt.store import FOLDER, engines_kept
from aif.train.data.base import FaceDataset

if TYPE_CHECKING:
    from aif.train.evaluators.evaluator import Evaluator

log = logging.getLogger(__name__)

MOST_FLOAT = 4
"""Convolutions at the end of a graph that INT8 may leave in float before it is given up."""
SPEED_SECONDS, SPEED_ROUNDS = 0.2, 3
"""How long each network is timed for the speedup, and how often."""

_HALF = "float16 weights and arithmetic, norms in float32, float32 inputs and outputs"
_HALF_SHAPED = "float16 convolutions and what stands between them, all else in float32"


@dataclass(frozen=True)
class Made:
    """Graphs of one precision that have passed the gate."""

    graphs: Graphs
    figures: Mapping[str, float]
    method: str
    float_layers: tuple[str, ...] = ()


def load_evaluator(folder: Path | None) -> tuple[Evaluator | None, str | None]:
    """The evaluator in a folder and what a manifest calls it; None for None.

    Raises:
        CheckpointError: the folder holds none.
    """
    if folder is None:
        return None, None
    from aif.train.evaluators.evaluator import Evaluator

    return Evaluator.load(folder), folder.resolve().name


def add_precisions(
    manifest: Manifest,
    files: Mapping[str, bytes],
    wanted: Sequence[str],
    faces: FaceDataset,
    evaluator: Evaluator | None = None,
    evaluator_name: str | None = None,
) -> tuple[Manifest, dict[str, bytes]]:
    """A bundle's contents with graphs of further precisions.

    Args:
        manifest, files: with FP32 graphs; those of a wanted precision are made anew.
        wanted: of `aif.export.precision.choice.PRECISIONS`, without fp32.
        faces: at least 32 faces; half of them calibrate, the others are the gate's.
        evaluator: gives verdicts on decoded faces; None = no verdicts.
        evaluator_name: what the manifest calls it.

    Raises:
        ExportError: there are no FP32 graphs, too few faces, or graphs that do not pass the gate.
    """
    pair = manifest.graphs.get("fp32")
    if pair is None:
        raise ExportError("The bundle has no FP32 graphs, which others are made from.", "Export its run.")
    original = Graphs(files[pair.encoder.file], files[pair.decoder.file])
    finder = None
    if manifest.face_frame is not None and manifest.landmarks is not None:
        finder = LandmarkNet(files[manifest.landmarks.file])
    crops = split_crops(faces, manifest.image_size, manifest.face_frame, finder)
    names, shaped = (manifest.features, manifest.attribute_names), manifest.frame == "shape"
    gate = Gate(original, *names, crops.gate, evaluator)
    graphs, variants, contents = dict(manifest.graphs), dict(manifest.variants), dict(files)
    for precision in wanted:
        if precision == "fp16":
            made = _half(original, gate, shaped)
        else:
            made = _int8(original, gate, Gate(original, *names, crops.calibration), shaped)
        made = replace(made, graphs=_labelled(made.graphs, original, precision))
        entries = {}
        for part in ("encoder", "decoder"):
            data: bytes = getattr(made.graphs, part)
            entries[part] = GraphFile(
                file=f"{part}.{precision}.onnx", sha256=hashlib.sha256(data).hexdigest()
            )
            contents[entries[part].file] = data
        graphs[precision] = GraphPair(**entries)
        speedup = measure_speedup(original, made.graphs, manifest)
        variants[precision] = _variant(precision, made, crops, speedup, evaluator_name)
    fields = {**manifest.model_dump(), "graphs": graphs, "variants": variants}
    return Manifest.model_validate(fields), contents


def extend_bundle(
    path: Path,
    out: Path,
    wanted: Sequence[str],
    faces: FaceDataset,
    evaluator: Path | None = None,
) -> Bundle:
    """Write the bundle at `path` with further precisions to `out`, which may be the same place.

    Engines of graphs that are made anew, and come out differently, go.

    Raises:
        BundleError: `path` holds no sound bundle, or `out` cannot be written.
        CheckpointError: `evaluator`, a folder, holds none.
        ExportError: as `add_precisions`; nothing is written.
    """
    manifest = Bundle.open(path).manifest
    with open_store(path) as store:
        names = [name for name in store.names() if name != "manifest.json" and not name.startswith(FOLDER)]
        files = {name: store.read(name) for name in names}
    manifest, files = add_precisions(manifest, files, wanted, faces, *load_evaluator(evaluator))
    return write_bundle(out, manifest, files | engines_kept(path, manifest))


def measure_speedup(original: Graphs, made: Graphs, manifest: Manifest) -> float:
    """Time of FP32 over the other's for one face on one thread of the processor, encoder and decoder.

    Medians of single calls: other work on the machine disturbs them least.
    """
    setup = Setup("cpu", 1)
    rivals = {
        "aif": OnnxNetworks(original.encoder, original.decoder, manifest.features, setup),
        "made": OnnxNetworks(made.encoder, made.decoder, manifest.features, setup),
    }
    rows = bench_networks({setup: rivals}, manifest.image_size, (1,), SPEED_SECONDS, SPEED_ROUNDS)
    times = {name: sum(row.call.p50_ms for row in rows if row.name == name) for name in rivals}
    return float(f"{times['aif'] / times['made']:.3g}")


def _half(original: Graphs, gate: Gate, shaped: bool) -> Made:
    """Everything in float16, or, for models with shape, the convolutions.

    Raises:
        ExportError: a model with shape without convolutions, or graphs that do not pass the gate.
    """
    if shaped:
        _check_convolutions(original, "FP16")
    pair = []
    for graph in (original.encoder, original.decoder):
        made = halve_convolutions(widen(graph)) if shaped else to_half(widen(graph))
        pair.append(store_as_half(made, stored_weights(graph)))
    graphs = Graphs(*pair)
    figures = gate.figures(graphs)
    gate.check("fp16", graphs, figures)
    return Made(graphs, figures, _HALF_SHAPED if shaped else _HALF)


def _check_convolutions(graphs: Graphs, precision: str) -> None:
    """Raise ExportError where neither graph has a convolution."""
    if not any(map(convolutions, (graphs.encoder, graphs.decoder))):
        raise ExportError(
            f"The graphs have no convolutions, so {precision} would change nothing: all else stays in "
            "float32, its large weights stored as float16.",
            f"Export without {precision.lower()}.",
        )


def _int8(original: Graphs, gate: Gate, calibration: Gate, shaped: bool) -> Made:
    """Quantise; while a figure is above its limit, leave one more of the last convolutions in float.

    Raises:
        ExportError: a model with shape without convolutions, or graphs that do not pass the gate.
    """
    if shaped:
        _check_convolutions(original, "INT8")
    feeds, kinds = calibration.decoder_feeds(), CONVOLUTIONS if shaped else QUANTISED
    encoder, encoder_float, figures = _quantised(
        (original.encoder, calibration.faces.feeds(), kinds),
        lambda graph: gate.figures(Graphs(graph, original.decoder)),
        gate,
    )
    gate.check("int8", Graphs(encoder, original.decoder), figures)
    decoder, decoder_float, figures = _quantised(
        (original.decoder, feeds, kinds), lambda graph: gate.figures(Graphs(encoder, graph)), gate
    )
    graphs = Graphs(encoder, decoder)
    gate.check("int8", graphs, figures)
    kept = [*(f"encoder/{n}" for n in encoder_float), *(f"decoder/{n}" for n in decoder_float)]
    return Made(graphs, figures, METHOD, tuple(kept))


def _quantised(
    source: tuple[bytes, Feeds, Sequence[str]],
    measure: Callable[[bytes], dict[str, float]],
    gate: Gate,
) -> tuple[bytes, tuple[str, ...], dict[str, float]]:
    """A graph with as few of its last convolutions in float as pass the gate, or the last one tried.

    One without convolutions stays as it is. `source` is the graph, its inputs, and what to quantise.
    """
    graph, feeds, kinds = source
    layers = convolutions(graph)
    if not layers:
        return graph, (), measure(graph)
    plain = widen(graph)
    for count in range(min(MOST_FLOAT, len(layers)) + 1):
        kept = layers[len(layers) - count :]
        made = quantise(plain, feeds, kept, kinds)
        made = store_as_half(made, stored_weights(graph))
        figures = measure(made)
        failed = gate.failed("int8", figures)
        log.info("INT8 with %d layers in float: %s", count, figures)
        if not failed:
            break
    return made, kept, figures


def _labelled(made: Graphs, original: Graphs, precision: str) -> Graphs:
    """With the metadata of the FP32 graphs, and the precision, in each."""

    def label(data: bytes, source: bytes) -> bytes:
        model, known = onnx.load_from_string(data), onnx.load_from_string(source).metadata_props
        props = {entry.key: entry.value for entry in known} | {"aif_precision": precision}
        onnx.helper.set_model_props(model, props)
        labelled: bytes = model.SerializeToString()
        return labelled

    return Graphs(label(made.encoder, original.encoder), label(made.decoder, original.decoder))


def _variant(precision: str, made: Made, crops: CropSets, speedup: float, evaluator: str | None) -> Variant:
    warnings = []
    int8 = precision == "int8"
    if crops.gate_set.synthetic:
        what = "Calibrated and checked" if int8 else "Checked"
        warnings.append(f"{what} on synthetic faces; photographs may fare worse.")
    if int8 and not multiplies_int8():
        warnings.append("Measured on a processor without 8-bit dot products (VNNI), where INT8 is slow.")
    return Variant(
        method=made.method,
        float_layers=made.float_layers,
        calibrated_on=crops.calibration_set if int8 else None,
        gated_on=crops.gate_set,
        gate={name: float(f"{value:.3g}") for name, value in made.figures.items()},
        limits={name: LIMITS[precision][name] for name in made.figures},
        evaluator=evaluator,
        speedup=speedup,
        processor=str(describe_machine()["processor"]),
        warnings=tuple(warnings),
    )
