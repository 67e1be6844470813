"""Triton's model configurations, built as the messages of Triton's own schema rather than as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from tritonclient.grpc import model_config_pb2 as schema

from aif.runtime.bundle.manifest import Manifest

Placement = Literal["cpu", "gpu"]
Shapes = Mapping[str, tuple[int, ...]]
"""Name to shape without the batch, in the graph's order."""

QUEUE_DELAY_US = 1000
"""How long Triton may hold a request back for others to join it, in microseconds."""

LABELS = "attributes.txt"
"""The file beside a configuration that names y's columns, a line each."""


def network_config(
    name: str,
    inputs: Shapes,
    outputs: Shapes,
    max_batch: int,
    instances: int,
    backend: Literal["onnxruntime", "tensorrt"] = "onnxruntime",
    placement: Placement = "cpu",
    threads: int | None = None,
    file: str = "model.onnx",
    by_capability: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    warmup: bool = False,
) -> Any:
    """The ModelConfig of one network: float32 in and out, dynamic batches, instances, warm-up.

    Args:
        max_batch: the largest batch; 1 = requests are never joined.
        instances: on each GPU, or on the processor together.
        threads: of one instance on the processor; None = the backend's choice.
        by_capability: the files of engines by compute capability ("8.9"), where there are several.
        tags: labels of the server's metrics.
        warmup: whether each input `X` has a sample of it in `warmup/X.bin`.
    """
    group, kind = schema.ModelInstanceGroup, schema.TYPE_FP32
    config = schema.ModelConfig(
        name=name,
        backend=backend,
        max_batch_size=max_batch,
        input=[schema.ModelInput(name=n, data_type=kind, dims=dims) for n, dims in inputs.items()],
        output=[
            schema.ModelOutput(name=n, data_type=kind, dims=dims, label_filename=LABELS if n == "y" else "")
            for n, dims in outputs.items()
        ],
        default_model_filename=file,
        cc_model_filenames=by_capability,
        metric_tags=tags,
        instance_group=[
            group(count=instances, kind=group.KIND_GPU if placement == "gpu" else group.KIND_CPU)
        ],
    )
    # Batches that Triton sends off without waiting: a quarter, half and all of the largest.
    sizes = sorted({size for size in (max_batch // 4, max_batch // 2, max_batch) if size >= 2})
    if sizes:
        config.dynamic_batching.preferred_batch_size.extend(sizes)
        config.dynamic_batching.max_queue_delay_microseconds = QUEUE_DELAY_US
    if threads is not None:
        config.parameters["intra_op_thread_count"].string_value = str(threads)
    # The sample is repeated as often as the batch is large. Every size that Triton prefers is run once: on a
    # GPU the first call of a size chooses its kernels.
    for size in (1, *sizes) if warmup else ():
        samples = config.model_warmup.add(name=f"batch_{size}", batch_size=size).inputs
        for each, dims in inputs.items():
            samples[each].data_type, samples[each].input_data_file = kind, f"{each}.bin"
            samples[each].dims.extend(dims)
    return config


def ensemble_config(name: str, encoder: Any, values: Any, decoder: Any, manifest: Manifest) -> Any:
    """The ModelConfig of an ensemble of three networks, which has no instances and no queue of its own.

    Triton runs each step as soon as all it takes is there, and leaves out those that nobody asked for.
    """
    codes = {each: each for each in ("z", *manifest.features)}
    edited, again = (
        {each.name: _named(each.name, what) for each in decoder.output}
        for what in ("edited", "reconstruction")
    )
    steps = [
        (encoder, {each.name: each.name for each in encoder.input}, {"y": "y_encoded", **codes}),
        (
            values,
            {"y": "y_encoded", "y_target": "y_target"},
            {"y_predicted": "y", "y_source": "y_source", "y_edit": "y_edit"},
        ),
        (decoder, {**codes, "y": "y_edit"}, edited),
        (decoder, {**codes, "y": "y_source"}, again),
    ]
    step = schema.ModelEnsembling.Step
    config = schema.ModelConfig(
        name=name,
        platform="ensemble",
        max_batch_size=encoder.max_batch_size,
        input=[*encoder.input, *(each for each in values.input if each.name == "y_target")],
        output=[each for each in encoder.output if each.name == "y"],
        ensemble_scheduling=schema.ModelEnsembling(
            step=[
                step(model_name=model.name, model_version=-1, input_map=takes, output_map=gives)
                for model, takes, gives in steps
            ]
        ),
    )
    for names in (edited, again):
        for each in decoder.output:
            config.output.add(name=names[each.name], data_type=each.data_type, dims=each.dims)
    config.parameters["aif_manifest"].string_value = manifest.without_files().model_dump_json()
    return config


def _named(tensor: str, what: str) -> str:
    """The ensemble's name of a decoded tensor: edited_image, reconstruction, reconstruction_landmarks ..."""
    return what if (tensor, what) == ("image", "reconstruction") else f"{what}_{tensor}"
