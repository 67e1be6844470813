"""Triton's model configurations, built as the messages of Triton's own schema rather than as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as schema

from aif.runtime.errors import ExportError

Placement = Literal["cpu", "gpu"]
Shapes = Mapping[str, tuple[int, ...]]
"""Name to shape without the batch, in the graph's order."""

QUEUE_DELAY_US = 1000
"""How long Triton may hold a request back for others to join it, in microseconds."""

LABELS = "attributes.txt"
"""The file beside a configuration that names y's columns, a line each."""


@dataclass(frozen=True)
class Part:
    """One network of a repository.

    Attributes:
        name: of the model in the repository.
        inputs, outputs: what it takes and gives.
        max_batch: the largest batch; 1 = requests are never joined.
        placement: where its instances run.
        instances: how many there are, on each GPU or on the processor together.
        threads: of one instance on the processor; None = the backend's choice.
        warmup: whether each input `X` has a sample of it in `warmup/X.bin`.
        file, files_by_capability: the graph's file; for engines by compute capability ("8.9") where there are
            several.
        tags: labels of the server's metrics.
        labelled: the output whose columns are the attributes; None = none.
    """

    name: str
    backend: Literal["onnxruntime", "tensorrt"]
    inputs: Shapes
    outputs: Shapes
    max_batch: int
    placement: Placement = "cpu"
    instances: int = 1
    threads: int | None = None
    warmup: bool = False
    file: str = "model.onnx"
    files_by_capability: Mapping[str, str] | None = None
    tags: Mapping[str, str] | None = None
    labelled: str | None = None


@dataclass(frozen=True)
class Step:
    """One step of an ensemble: a model, and its inputs and outputs as the ensemble's tensors."""

    model: str
    takes: Mapping[str, str]
    gives: Mapping[str, str]


def preferred_sizes(max_batch: int) -> tuple[int, ...]:
    """Batches that Triton sends off without waiting: a quarter, half and all of the largest; 2 or more."""
    return tuple(sorted({size for size in (max_batch // 4, max_batch // 2, max_batch) if size >= 2}))


def part_config(part: Part) -> Any:
    """The ModelConfig of one network: float32 in and out, dynamic batches, instances, warm-up."""
    group = schema.ModelInstanceGroup
    kind = group.KIND_GPU if part.placement == "gpu" else group.KIND_CPU
    config = schema.ModelConfig(
        name=part.name,
        backend=part.backend,
        max_batch_size=part.max_batch,
        **_tensors(part.inputs, part.outputs, part.labelled),
        default_model_filename=part.file,
        cc_model_filenames=part.files_by_capability or {},
        metric_tags=part.tags or {},
        instance_group=[group(count=part.instances, kind=kind)],
    )
    sizes = preferred_sizes(part.max_batch)
    if sizes:
        config.dynamic_batching.preferred_batch_size.extend(sizes)
        config.dynamic_batching.max_queue_delay_microseconds = QUEUE_DELAY_US
    if part.threads is not None:
        config.parameters["intra_op_thread_count"].string_value = str(part.threads)
    # The sample is repeated as often as the batch is large. Every size that Triton prefers is run once: on a
    # GPU the first call of a size chooses its kernels.
    for size in dict.fromkeys((1, *sizes)) if part.warmup else ():
        warmup = config.model_warmup.add(name=f"batch_{size}", batch_size=size)
        for name, dims in part.inputs.items():
            entry = warmup.inputs[name]
            entry.data_type, entry.input_data_file = schema.TYPE_FP32, f"{name}.bin"
            entry.dims.extend(dims)
    return config


def ensemble_config(
    name: str, steps: Sequence[Step], inputs: Shapes, outputs: Shapes, max_batch: int, manifest: str
) -> Any:
    """The ModelConfig of an ensemble, which has no instances and no queue of its own.

    Args:
        steps: in any order; Triton runs each as soon as all it takes is there, and leaves out those that
            nobody asked for.
        inputs, outputs: the ensemble's own, among the steps' tensors; the columns of `y` are the attributes.
    """
    config = schema.ModelConfig(
        name=name,
        platform="ensemble",
        max_batch_size=max_batch,
        **_tensors(inputs, outputs, "y"),
        ensemble_scheduling=schema.ModelEnsembling(
            step=[
                schema.ModelEnsembling.Step(
                    model_name=step.model, model_version=-1, input_map=step.takes, output_map=step.gives
                )
                for step in steps
            ]
        ),
    )
    config.parameters["aif_manifest"].string_value = manifest
    return config


def as_text(config: Any) -> bytes:
    """A `config.pbtxt`.

    Raises:
        ExportError: reading the text back gives something else.
    """
    text: str = text_format.MessageToString(config)
    if text_format.Parse(text, schema.ModelConfig()) != config:
        raise ExportError(f"The configuration of {config.name} does not survive being written as text.")
    return text.encode()


def _tensors(inputs: Shapes, outputs: Shapes, labelled: str | None) -> dict[str, Any]:
    kind = schema.TYPE_FP32
    labels = {name: LABELS if name == labelled else "" for name in outputs}
    return {
        "input": [schema.ModelInput(name=n, data_type=kind, dims=dims) for n, dims in inputs.items()],
        "output": [
            schema.ModelOutput(name=n, data_type=kind, dims=dims, label_filename=labels[n])
            for n, dims in outputs.items()
        ],
    }
