"""Export of the small networks that a bundle carries beside encoder and decoder, checked against PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from aif.runtime.errors import ExportError

PARITY_LIMIT = 1e-4
OPSET = 20


def export_small(
    module: nn.Module,
    shape: tuple[int, int, int],
    outputs: Sequence[str],
    path: Path,
    *,
    limit: float | Sequence[float] = PARITY_LIMIT,
) -> float:
    """Write the graph `image (N, C, H, W) -> outputs` with a dynamic N; returns its parity error.

    Args:
        module: takes a batch of images in [0, 1], gives a tensor, or a tuple of as many as `outputs`.
        shape: channels, height and width of an image.
        outputs: names of the outputs, in order.
        path: the .onnx file, written beside its place and renamed.
        limit: the largest difference from PyTorch that is allowed, one for all outputs or one each.

    Returns:
        The largest difference of any output over batches of 1, 3 and 16 random images.

    Raises:
        ExportError: ONNX Runtime and PyTorch differ by more than the limit; nothing is written then.
    """
    module = module.eval()
    program = torch.onnx.export(
        module,
        (torch.rand(2, *shape),),
        dynamo=True,
        opset_version=OPSET,
        input_names=["image"],
        output_names=list(outputs),
        dynamic_shapes={"image": {0: torch.export.Dim("N", min=1)}},
        verbose=False,
    )
    if program is None:
        raise ExportError("torch.onnx.export gave no program.")
    model = program.model_proto
    forget_origin(model.graph)
    onnx.checker.check_model(model, full_check=True)
    graph = model.SerializeToString()
    limits = [limit] * len(outputs) if isinstance(limit, float) else list(limit)
    errors = _differences(module, graph, shape, outputs)
    for name, error, most in zip(outputs, errors, limits, strict=True):
        if not error <= most:
            raise ExportError(f"The exported {name} differs from PyTorch by {error:.2g} (limit {most:.2g}).")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".partial")
    beside.write_bytes(graph)
    beside.replace(path)
    return max(errors)


def _differences(
    module: nn.Module, graph: bytes, shape: tuple[int, int, int], outputs: Sequence[str]
) -> list[float]:
    """The largest absolute difference of each output between ONNX Runtime and PyTorch."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    worst = [0.0] * len(outputs)
    for count in (1, 3, 16):
        image = torch.rand(count, *shape, generator=torch.Generator().manual_seed(count))
        with torch.no_grad():
            expected = module(image)
        tensors = (expected,) if isinstance(expected, torch.Tensor) else expected
        given = session.run(list(outputs), {"image": image.numpy()})
        for place, (g, e) in enumerate(zip(given, tensors, strict=True)):
            difference = float(np.abs(g - e.numpy()).max())
            # a NaN is no agreement, and max() would pass over it
            worst[place] = float("inf") if np.isnan(difference) else max(worst[place], difference)
    return worst


def forget_origin(graph: onnx.GraphProto) -> None:
    """Drop the exporter's notes, which name source files of the machine that exported."""
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
