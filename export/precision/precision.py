"""FP16 and INT8 beside the FP32 graphs of a bundle, each behind its gate."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from aif.export.graphs.crops import CropSets, split_crops
from aif.export.graphs.faces import reader_of
from aif.export.graphs.files import Graphs, contents_of, sha256_of
from aif.export.graphs.stored import store_as_half, stored_weights, widen
from aif.export.precision.half import halve_convolutions, to_half
from aif.export.precision.quantise import CONVOLUTIONS, METHOD, QUANTISED, convolutions, quantise
from aif.runtime.bench.measure import Rounds, Setup, describe_machine
from aif.runtime.bench.networks import OnnxNetworks, bench_networks
from aif.runtime.bundle.bundle import Bundle, write_bundle
from aif.runtime.bundle.manifest import FileInfo, GraphPair, Manifest, Variant
from aif.runtime.errors import ExportError
from aif.runtime.model.gate import Gate, for_manifest, over_limits
from aif.runtime.networks.cpu import multiplies_int8
from aif.runtime.tensorrt.store import engines_kept
from aif.train.data.base import FaceDataset

log = logging.getLogger(__name__)

MOST_FLOAT = 4
"""Convolutions at the end of a graph that may stay in float before INT8 is given up."""

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


def add_precisions(
    manifest: Manifest, files: Mapping[str, bytes], wanted: Sequence[str], faces: FaceDataset
) -> tuple[Manifest, dict[str, bytes]]:
    """A bundle's contents with graphs of further precisions than FP32; those that it has are made anew.

    Args:
        faces: at least 32 faces; half of them calibrate, the others are the gate's.

    Raises:
        ExportError: there are no FP32 graphs, too few faces, or graphs that do not pass the gate.
    """
    pair = manifest.graphs.get("fp32")
    if pair is None:
        raise ExportError("The bundle has no FP32 graphs, which others are made from.", "Export its run.")
    original = Graphs(files[pair.encoder.file], files[pair.decoder.file])
    crops = split_crops(faces, reader_of(manifest, files))
    model = original.loaded(manifest)
    gate = Gate(model, crops.gate)
    shaped = manifest.frame == "shape"
    graphs, variants, contents = dict(manifest.graphs), dict(manifest.variants), dict(files)
    for precision in wanted:
        if shaped and not any(map(convolutions, original.parts().values())):
            raise ExportError(
                f"The graphs have no convolutions, so {precision.upper()} would change nothing: all else "
                "stays in float32, its large weights stored as float16.",
                f"Export without {precision}.",
            )
        if precision == "fp16":
            made = _half(original, gate, manifest)
        else:
            made = _int8(original, gate, Gate(model, crops.calibration), manifest)
        entries = {}
        for part, data in made.graphs.parts().items():
            name = f"{part}.{precision}.onnx"
            contents[name] = _labelled(data, original.parts()[part], precision)
            entries[part] = FileInfo(file=name, sha256=sha256_of(contents[name]))
        graphs[precision] = GraphPair(**entries)
        speedup = measure_speedup(original, made.graphs, manifest)
        variants[precision] = _variant(precision, made, crops, speedup)
    fields = {**manifest.model_dump(), "graphs": graphs, "variants": variants}
    return Manifest.model_validate(fields), contents


def extend_bundle(
    path: Path, out: Path, wanted: Sequence[str], faces: FaceDataset, new: bool = False
) -> Bundle:
    """Write the bundle at `path` with further precisions to `out`, which may be the same place.

    Engines of graphs that are made anew, and come out differently, go.

    Raises:
        TakenError: something has come to `out`, and it was to be `new`.
        BundleError: `path` holds no sound bundle, or `out` cannot be written.
        ExportError: as `add_precisions`; nothing is written.
    """
    manifest, files = contents_of(path)
    manifest, files = add_precisions(manifest, files, wanted, faces)
    return write_bundle(out, manifest, files | engines_kept(path, manifest), new)


def measure_speedup(original: Graphs, made: Graphs, manifest: Manifest) -> float:
    """Time of FP32 over the other's for one face on one thread of the processor, encoder and decoder.

    Medians of single calls: other work on the machine disturbs them least.
    """
    setup = Setup("cpu", 1)
    rivals = {
        name: OnnxNetworks.of_graphs(graphs.encoder, graphs.decoder, manifest.features, setup)
        for name, graphs in (("aif", original), ("made", made))
    }
    rows = bench_networks({setup: rivals}, manifest.image_size, (1,), Rounds(SPEED_ROUNDS, SPEED_SECONDS))
    times = {
        name: sum(row.stages["call"]["p50_ms"] for row in rows if row.labels["name"] == name)
        for name in rivals
    }
    return float(f"{times['aif'] / times['made']:.3g}")


def _half(original: Graphs, gate: Gate, manifest: Manifest) -> Made:
    """Everything in float16, or, for models with shape, the convolutions; an ExportError beyond the gate."""
    pair, shaped = {}, manifest.frame == "shape"
    for part, graph in original.parts().items():
        half = halve_convolutions(widen(graph)) if shaped else to_half(widen(graph))
        pair[part] = store_as_half(half, stored_weights(graph))
    graphs = Graphs(**pair)
    figures = gate.figures(graphs.loaded(manifest))
    gate.check("fp16", figures)
    return Made(graphs, figures, _HALF_SHAPED if shaped else _HALF)


def _int8(original: Graphs, gate: Gate, calibration: Gate, manifest: Manifest) -> Made:
    """The encoder quantised behind the gate, then the decoder; an ExportError beyond the gate.

    While a figure is above its limit, one more of the last convolutions is left in float.
    """
    kinds = CONVOLUTIONS if manifest.frame == "shape" else QUANTISED
    done, kept = original, list[str]()
    for part, feeds in (("encoder", calibration.faces.feeds()), ("decoder", calibration.decoder_feeds())):
        graph = original.parts()[part]
        layers = convolutions(graph)
        for count in range(min(MOST_FLOAT, len(layers)) + 1):
            in_float = layers[len(layers) - count :]
            made = quantise(widen(graph), feeds, in_float, kinds) if layers else graph
            tried = replace(done, **{part: store_as_half(made, stored_weights(graph))})
            figures = gate.figures(tried.loaded(manifest))
            log.info("INT8 with %d layers in float: %s", count, figures)
            if not over_limits("int8", figures):
                break
        gate.check("int8", figures)
        done = tried
        kept += [f"{part}/{name}" for name in in_float]
    return Made(done, figures, METHOD, tuple(kept))


def _labelled(graph: bytes, original: bytes, precision: str) -> bytes:
    """With the metadata of the FP32 graph, and the precision."""
    model = onnx.load_from_string(graph)
    known = {entry.key: entry.value for entry in onnx.load_from_string(original).metadata_props}
    onnx.helper.set_model_props(model, known | {"aif_precision": precision})
    data: bytes = model.SerializeToString()
    return data


def _variant(precision: str, made: Made, crops: CropSets, speedup: float) -> Variant:
    warnings = []
    int8 = precision == "int8"
    if crops.about(crops.gate).synthetic:
        what = "Calibrated and checked" if int8 else "Checked"
        warnings.append(f"{what} on synthetic faces; photographs may fare worse.")
    if int8 and not multiplies_int8():
        warnings.append("Measured on a processor without 8-bit dot products (VNNI), where INT8 is slow.")
    measured = for_manifest(precision, made.figures)
    return Variant(
        method=made.method,
        float_layers=made.float_layers,
        calibrated_on=crops.about(crops.calibration) if int8 else None,
        gated_on=crops.about(crops.gate),
        gate=measured["gate"],
        limits=measured["limits"],
        speedup=speedup,
        processor=str(describe_machine()["processor"]),
        warnings=tuple(warnings),
    )
