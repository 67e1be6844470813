"""A bundle becomes a Triton model repository: encoder, decoder and an ensemble for each precision."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import text_format

from aif.export.graphs.files import sha256_of
from aif.export.triton.config import LABELS, Placement, ensemble_config, network_config
from aif.export.triton.served_pairs import ServedPair, find_engines
from aif.export.triton.values import INPUTS, OUTPUTS, values_graph
from aif.runtime.arrays import Float32Array
from aif.runtime.bundle.bundle import Bundle, put_in_place
from aif.runtime.bundle.manifest import Manifest
from aif.runtime.errors import ConfigError, ExportError
from aif.runtime.model.codes import FaceInputs
from aif.runtime.model.model import FaceModel
from aif.runtime.networks.network import without_batch
from aif.runtime.tensorrt.sidecar import PARTS

MOST_BATCH = 1024
"""The exported graphs are made for batches of 1 to this many."""


RECORD = "aif_repository.json"
"""Says what was exported, so that the next export knows its own work; Triton reads folders only."""


@dataclass(frozen=True)
class TritonOptions:
    """How a repository is to be served."""

    instances: int = 1
    """Instances of each network: on each GPU, or on the processor together."""
    device: Placement = "cpu"
    """Where the ONNX graphs run; engines always run on a GPU."""
    max_batch: int = 16
    """The largest batch that Triton puts together."""
    precisions: tuple[str, ...] = ()
    """Which of the bundle's precisions to serve, graphs and engines; () = all."""
    engines: bool = True
    """Serve the bundle's TensorRT engines as well, those that can be served."""
    threads: int | None = None
    """Threads of one instance on the processor; None = ONNX Runtime's choice, one a core."""
    name: str | None = None
    """What the models' names begin with; None = the bundle's name."""


@dataclass(frozen=True)
class TritonReport:
    """What was written: the folder, the models' names, the ensembles among them, and the size in bytes."""

    path: Path
    models: tuple[str, ...]
    ensembles: tuple[str, ...]
    bytes: int


def export_triton(
    bundle: Bundle, out: Path, options: TritonOptions | None = None, new: bool = False
) -> TritonReport:
    """Write a Triton model repository; what was exported to the same place before is replaced, if not `new`.

    docs/triton.md has the models and what they take and give.

    Raises:
        ConfigError: an option is out of range, or the bundle has no such precision.
        BundleError: the bundle has changed since it was opened, or its graphs are not what it says.
        TakenError: something is there that stays.
        ExportError: `out` holds something else, or cannot be written.
    """
    options = options or TritonOptions()
    manifest = bundle.manifest
    _check(options, manifest)
    precisions = tuple(dict.fromkeys(options.precisions)) or tuple(manifest.graphs)
    engines = find_engines(bundle, precisions) if options.engines else []
    # A name that is good as a folder's, in a URL and as a label of metrics.
    base = re.sub(r"[^A-Za-z0-9_-]+", "_", options.name or manifest.name).strip("_-") or "aif"
    model = FaceModel(bundle, "cpu", 1, precisions[0])
    samples = _samples(model)
    labels = "".join(f"{name}\n" for name in manifest.attribute_names).encode()
    files: dict[str, bytes] = {}

    def add(config: Any, contents: Mapping[str, bytes]) -> Any:
        files[f"{config.name}/config.pbtxt"] = text_format.MessageToString(config).encode()
        files.update({f"{config.name}/1/{name}": data for name, data in contents.items()})
        if any(each.label_filename for each in config.output):
            files[f"{config.name}/{LABELS}"] = labels
        return config

    # So small that one thread on the processor is best anywhere.
    taken, given = (dict.fromkeys(names, (len(manifest.attributes),)) for names in (INPUTS, OUTPUTS))
    values = network_config(f"{base}_values", taken, given, options.max_batch, options.instances, threads=1)
    add(values, {"model.onnx": values_graph(manifest)})
    ensembles = []
    for pair in [*(_graphs(bundle, each) for each in precisions), *engines]:
        name, on_ort = f"{base}_{pair.label}", pair.backend == "onnxruntime"
        parts = []
        for network, contents in ((model.encoder, pair.encoder), (model.decoder, pair.decoder)):
            config = network_config(
                f"{name}_{network.name}",
                without_batch(network.inputs),
                without_batch(network.outputs),
                min(options.max_batch, pair.max_batch),
                options.instances,
                pair.backend,
                options.device if on_ort else "gpu",
                options.threads if on_ort else None,
                file=next(iter(contents)),
                by_capability=pair.by_capability,
                tags={"bundle": manifest.name, "bundle_version": manifest.version, "precision": pair.label},
                warmup=True,
            )
            parts.append(add(config, contents))
            files |= {f"{config.name}/warmup/{each}.bin": samples[each].tobytes() for each in network.inputs}
        encoder, decoder = parts
        # Triton wants a version's folder also where nothing is in it, and object stores keep no empty ones.
        note = {"ensemble.txt": b"An ensemble has no file of its own; see config.pbtxt.\n"}
        add(ensemble_config(name, encoder, values, decoder, manifest), note)
        ensembles.append(name)
    path = _write(out.resolve(), files, manifest, new)
    models = tuple(sorted({file.partition("/")[0] for file in files}))
    return TritonReport(path, models, tuple(ensembles), sum(len(data) for data in files.values()))


def _graphs(bundle: Bundle, precision: str) -> ServedPair:
    """The ONNX graphs of one precision, in the form in which engines come."""
    encoder, decoder = ({"model.onnx": bundle.graph_bytes(precision, part)} for part in PARTS)
    return ServedPair(precision, "onnxruntime", encoder, decoder, max_batch=MOST_BATCH)


def _samples(model: FaceModel) -> dict[str, Float32Array]:
    """One of every tensor: what a plain grey picture (of the mean shape) gives, nobody's face."""
    frame = model.manifest.face_frame
    image = np.full((1, 3, model.image_size, model.image_size), 0.5, dtype=np.float32)
    faces = FaceInputs(image, None if frame is None else np.ascontiguousarray(frame.mean[None]))
    code = model.encode(faces.images, faces.landmarks)
    return {**faces.feeds(), "z": code.z, "y": code.y, **code.features}


def _check(options: TritonOptions, manifest: Manifest) -> None:
    for what, value, most in (
        ("--instances", options.instances, 64),
        ("--max-batch", options.max_batch, MOST_BATCH),
        ("--threads", 1 if options.threads is None else options.threads, 1024),
    ):
        if not 1 <= value <= most:
            raise ConfigError(f"{what} must be 1 to {most}, not {value}.")
    if options.device not in ("cpu", "gpu"):
        raise ConfigError(f"--device cannot be {options.device!r}.", "Known: cpu, gpu.")
    if options.threads is not None and options.device == "gpu":
        raise ConfigError("--threads is for the processor.", "Leave it out, or use --device cpu.")
    for precision in options.precisions:
        if precision not in manifest.graphs:
            raise ConfigError(
                f"The bundle {manifest.name} has no graphs of precision {precision!r}.",
                f"It has: {', '.join(manifest.graphs)}.",
            )


def _write(place: Path, files: Mapping[str, bytes], manifest: Manifest, new: bool) -> Path:
    """Write the files, and a record of them, beside the place and rename them."""
    if not new:
        _refuse_to_overwrite(place)
    record = {
        "schema_version": 1,
        "bundle": manifest.name,
        "bundle_version": manifest.version,
        "files": {name: sha256_of(data) for name, data in sorted(files.items())},
    }
    try:
        contents = {**files, RECORD: json.dumps(record, indent=2).encode() + b"\n"}
        put_in_place(place, contents, as_folder=True, new=new)
    except OSError as error:
        raise ExportError(
            f"Cannot write {place}: {error.strerror or error}.", "Choose a place you may write to."
        ) from error
    return place


def _refuse_to_overwrite(place: Path) -> None:
    """Raise unless `place` is free, empty, or holds an earlier export as it was written."""
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    wrong = "is no model repository of aif's"
    try:
        known = dict(json.loads((place / RECORD).read_bytes())["files"])
        others = [file for file in sorted(place.rglob("*")) if file.is_file() and file.name != RECORD]
        for file in others:
            name = file.relative_to(place).as_posix()
            if known.get(name) != sha256_of(file.read_bytes()):
                wrong = f"also holds {name}, which aif did not write, or which was changed since"
                break
        else:
            return
    except (OSError, ValueError, TypeError, KeyError):
        pass
    raise ConfigError(
        f"{place} exists and {wrong}; not overwritten.",
        "Choose another place with --out, or remove it first.",
    )
