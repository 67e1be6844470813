"""Export of the small networks that a bundle carries beside encoder and decoder, checked against PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from aif.runtime.errors import ExportError
from aif.runtime.files import write_bytes

PARITY_LIMIT = 1e-4
OPSET = 20


def export_small(
    module: nn.Module,
    shape: tuple[int, int, int],
    outputs: Sequence[str],
    path: Path,
    *,
    last: Callable[[Any], Any] | None = None,
    multiple: int | None = None,
    limit: float | Sequence[float] = PARITY_LIMIT,
    half_limit: float | Sequence[float] | None = None,
) -> float:
    """Write the graph `image (N, C, H, W) -> outputs` with a dynamic N; returns its parity error.

    Args:
        module: takes a batch of images in [0, 1], gives a tensor, or a tuple of as many as `outputs`.
        shape: channels, height and width of an image.
        last: what the graph makes of the module's output; None = nothing.
        multiple: height and width may be any multiples of it; None = those of `shape` only.
        limit: the largest difference from PyTorch that is allowed, one for all outputs or one each.
        half_limit: the same after large weights are stored as float16 (they become float32 when the graph is
            loaded: half the file, the same speed); None keeps float32.

    Returns:
        The largest difference of any output over batches of 1, 3 and 16 random images.

    Raises:
        ExportError: ONNX Runtime and PyTorch differ by more than the limit; nothing is written then.
    """
    module = module.eval() if last is None else _Followed(module, last).eval()
    free: dict[int, object] = {0: torch.export.Dim("N", min=1)}
    if multiple is not None:
        free |= {2: multiple * torch.export.Dim("H", min=1), 3: multiple * torch.export.Dim("W", min=1)}
    program = torch.onnx.export(
        module,
        (torch.rand(2, *shape),),
        dynamo=True,
        opset_version=OPSET,
        input_names=["image"],
        output_names=list(outputs),
        dynamic_shapes={"image": free},
        verbose=False,
    )
    if program is None:
        raise ExportError("torch.onnx.export gave no program.")
    model = program.model_proto
    forget_origin(model.graph)
    error = _check(module, model, shape, outputs, limit)
    if half_limit is not None:
        _store_as_half(model.graph)
        error = _check(module, model, shape, outputs, half_limit)
    write_bytes(path, model.SerializeToString())
    return error


class _Followed(nn.Module):
    """A network and what is made of its output."""

    def __init__(self, network: nn.Module, last: Callable[[Any], Any]) -> None:
        super().__init__()
        self.network, self.last = network, last

    def forward(self, image: torch.Tensor) -> Any:
        return self.last(self.network(image))


def _check(
    module: nn.Module,
    model: onnx.ModelProto,
    shape: tuple[int, int, int],
    outputs: Sequence[str],
    limit: float | Sequence[float],
) -> float:
    """The largest difference between ONNX Runtime and PyTorch; an ExportError beyond the limits."""
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    worst = np.zeros(len(outputs))
    for count in (1, 3, 16):
        image = torch.rand(count, *shape, generator=torch.Generator().manual_seed(count))
        with torch.no_grad():
            expected = module(image)
        tensors = (expected,) if isinstance(expected, torch.Tensor) else expected
        given = session.run(list(outputs), {"image": image.numpy()})
        errors = [np.abs(g - e.numpy()).max() for g, e in zip(given, tensors, strict=True)]
        worst = np.maximum(worst, errors)
    for name, error, most in zip(outputs, worst, np.broadcast_to(limit, worst.shape), strict=True):
        if not error <= most:  # a NaN is no agreement
            raise ExportError(f"The exported {name} differs from PyTorch by {error:.2g} (limit {most:.2g}).")
    return float(worst.max())


def _store_as_half(graph: onnx.GraphProto, smallest: int = 1024) -> None:
    """Large float32 constants become float16, each with a cast back that the runtime folds when it loads."""
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < smallest:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def forget_origin(graph: onnx.GraphProto) -> None:
    """Drop the exporter's notes, which name source files of the machine that exported."""
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
