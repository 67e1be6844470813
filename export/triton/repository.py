"""A bundle becomes a Triton model repository: encoder, decoder and an ensemble for each precision."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aif.export.triton.config import (
    LABELS,
    Part,
    Placement,
    Step,
    as_text,
    ensemble_config,
    part_config,
)
from aif.export.triton.served_pairs import ServedPair, find_engines
from aif.export.triton.values import INPUTS, OUTPUTS, values_graph
from aif.export.triton.write import write_repository
from aif.runtime.arrays import Float32Array
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.bundle.manifest import Manifest
from aif.runtime.errors import ConfigError
from aif.runtime.model.codes import FaceInputs
from aif.runtime.model.model import FaceModel
from aif.runtime.networks.network import without_batch
from aif.runtime.tensorrt.sidecar import PARTS

MOST_BATCH = 1024
"""The exported graphs are made for batches of 1 to this many."""


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

    For a bundle named `smile` in FP32 there are `smile_fp32_encoder` and `smile_fp32_decoder`, as in the
    bundle; `smile_values`, which puts the values that the caller wants into the predicted y; and the ensemble
    `smile_fp32`: `image` and `y_target` in; `edited_image`, `y` and `reconstruction` out. With shape,
    `landmarks` go in beside the texture, and `edited_landmarks`, `edited_detail`, `reconstruction_landmarks`
    and `reconstruction_detail` come out.

    Raises:
        ConfigError: an option is out of range, or the bundle has no such precision.
        BundleError: the bundle has changed since it was opened, or its graphs are not what it says.
        TakenError: something is there that stays.
        ExportError: `out` holds something else, or cannot be written.
    """
    options = options or TritonOptions()
    _check(options)
    manifest = bundle.manifest
    precisions = _precisions(manifest, options.precisions)
    engines = find_engines(bundle, precisions) if options.engines else []
    base = _base_name(options.name or manifest.name)
    model = FaceModel(bundle, "cpu", 1, precisions[0])
    samples = _samples(model)
    labels = "".join(f"{name}\n" for name in manifest.attribute_names).encode()
    values = _values_part(f"{base}_values", manifest, options)
    files = _model_files(values, {"model.onnx": values_graph(manifest)})
    ensembles = []
    for pair in [*(_graphs(bundle, each) for each in precisions), *engines]:
        batch = min(options.max_batch, pair.max_batch)
        name = f"{base}_{pair.label}"
        parts: dict[str, Part] = {}
        for network, contents in ((model.encoder, pair.encoder), (model.decoder, pair.decoder)):
            part = Part(
                f"{name}_{network.name}",
                pair.backend,
                without_batch(network.inputs),
                without_batch(network.outputs),
                max_batch=batch,
                placement="gpu" if pair.backend == "tensorrt" else options.device,
                instances=options.instances,
                threads=options.threads if pair.backend == "onnxruntime" else None,
                warmup=True,
                file=next(iter(contents)),
                files_by_capability=pair.by_capability,
                tags={"bundle": manifest.name, "bundle_version": manifest.version, "precision": pair.label},
                labelled="y" if network.name == "encoder" else None,
            )
            files |= _model_files(part, contents)
            files |= {f"{part.name}/warmup/{each}.bin": samples[each].tobytes() for each in part.inputs}
            parts[network.name] = part
        encoder, decoder = parts["encoder"], parts["decoder"]
        files[f"{encoder.name}/{LABELS}"] = files[f"{name}/{LABELS}"] = labels
        files[f"{name}/config.pbtxt"] = as_text(_ensemble(name, encoder, decoder, values, manifest))
        # Triton wants a version's folder also where nothing is in it, and object stores keep no empty ones.
        files[f"{name}/1/ensemble.txt"] = b"An ensemble has no file of its own; see config.pbtxt.\n"
        ensembles.append(name)
    path = write_repository(out, files, manifest, new)
    models = tuple(sorted({file.partition("/")[0] for file in files}))
    return TritonReport(path, models, tuple(ensembles), sum(len(data) for data in files.values()))


def _graphs(bundle: Bundle, precision: str) -> ServedPair:
    """The ONNX graphs of one precision, in the form in which engines come."""
    encoder, decoder = ({"model.onnx": bundle.graph_bytes(precision, part)} for part in PARTS)
    return ServedPair(precision, "onnxruntime", encoder, decoder, max_batch=MOST_BATCH)


def _model_files(part: Part, contents: Mapping[str, bytes]) -> dict[str, bytes]:
    files = {f"{part.name}/1/{name}": data for name, data in contents.items()}
    return {f"{part.name}/config.pbtxt": as_text(part_config(part)), **files}


def _values_part(name: str, manifest: Manifest, options: TritonOptions) -> Part:
    """The step between encoder and decoder: so small that one thread on the processor is best anywhere."""
    shape = (len(manifest.attributes),)
    return Part(
        name,
        "onnxruntime",
        dict.fromkeys(INPUTS, shape),
        dict.fromkeys(OUTPUTS, shape),
        max_batch=options.max_batch,
        instances=options.instances,
        threads=1,
    )


def _ensemble(name: str, encoder: Part, decoder: Part, values: Part, manifest: Manifest) -> object:
    codes = {each: each for each in ("z", *manifest.features)}
    shape = (len(manifest.attributes),)
    seen, made = encoder.inputs, decoder.outputs
    edited, again = ({each: _named(each, what) for each in made} for what in ("edited", "reconstruction"))
    steps = [
        Step(encoder.name, {each: each for each in seen}, {"y": "y_encoded", **codes}),
        Step(
            values.name,
            {"y": "y_encoded", "y_target": "y_target"},
            {"y_predicted": "y", "y_source": "y_source", "y_edit": "y_edit"},
        ),
        Step(decoder.name, {**codes, "y": "y_edit"}, edited),
        Step(decoder.name, {**codes, "y": "y_source"}, again),
    ]
    decoded = {names[each]: dims for names in (edited, again) for each, dims in made.items()}
    return ensemble_config(
        name,
        steps,
        {**seen, "y_target": shape},
        {"y": shape, **decoded},
        encoder.max_batch,
        manifest.without_files().model_dump_json(),
    )


def _named(tensor: str, what: str) -> str:
    """The ensemble's name of a decoded tensor: edited_image, reconstruction, reconstruction_landmarks ..."""
    return what if (tensor, what) == ("image", "reconstruction") else f"{what}_{tensor}"


def _samples(model: FaceModel) -> dict[str, Float32Array]:
    """One of every tensor: what a plain grey picture (of the mean shape) gives, nobody's face."""
    frame = model.manifest.face_frame
    image = np.full((1, 3, model.image_size, model.image_size), 0.5, dtype=np.float32)
    faces = FaceInputs(image, None if frame is None else np.ascontiguousarray(frame.mean[None]))
    code = model.encode(faces.images, faces.landmarks)
    return {**faces.feeds(), "z": code.z, "y": code.y, **code.features}


def _precisions(manifest: Manifest, wanted: Sequence[str]) -> tuple[str, ...]:
    for precision in wanted:
        if precision not in manifest.graphs:
            raise ConfigError(
                f"The bundle {manifest.name} has no graphs of precision {precision!r}.",
                f"It has: {', '.join(manifest.graphs)}.",
            )
    return tuple(dict.fromkeys(wanted)) or tuple(manifest.graphs)


def _base_name(name: str) -> str:
    """A name that is good as a folder's, in a URL and as a label of metrics."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-") or "aif"


def _check(options: TritonOptions) -> None:
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
