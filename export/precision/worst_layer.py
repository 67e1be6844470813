"""Which layer of a converted graph goes wrong: every tensor compared with the original's, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from aif.runtime.arrays import Float32Array
from aif.runtime.model.gate import relative_error

FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True)
class LayerError:
    """One layer.

    Attributes:
        name: of the node; its weights' name where it has any, which says where in the network it stands.
        op_type: the ONNX operator.
        error: relative error of its output, || a - b || / || b ||; infinite where a value is not finite.
        added: how far that is above the worst of its inputs.
    """

    name: str
    op_type: str
    error: float
    added: float

    def __str__(self) -> str:
        return f"{self.name} ({self.op_type}; its error is {self.error:.2g}, {self.added:.2g} of it its own)"


def worst_layer(original: bytes, converted: bytes, feeds: Mapping[str, Float32Array]) -> LayerError | None:
    """The layer that adds most error of its own, or None where the graphs share no tensor.

    Args:
        original: ONNX bytes, float32.
        converted: the same in another precision; tensors that have kept their name are compared.
        feeds: inputs of both.
    """
    model = onnx.load_from_string(original)
    weights = {tensor.name for tensor in model.graph.initializer}
    kept = _tensors(converted) & _tensors(original)
    wanted, found = _values(original, kept, feeds), _values(converted, kept, feeds)
    errors: dict[str, float] = {}
    layers = []
    for node in model.graph.node:
        before = max((errors.get(name, 0.0) for name in node.input), default=0.0)
        output = node.output[0]
        if output in kept:
            errors[output] = relative_error(found[output], wanted[output])
            own = 0.0 if before == np.inf else errors[output] - before
            held = [name.removesuffix(".weight") for name in node.input if name in weights]
            layers.append(LayerError((held or [node.name])[0], node.op_type, errors[output], own))
        else:
            errors[output] = before
    return max(layers, key=lambda layer: layer.added, default=None)


def _tensors(graph: bytes) -> set[str]:
    """Names of the float tensors that nodes compute."""
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(graph))
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    known = [*model.graph.value_info, *model.graph.output]
    typed = {info.name for info in known if info.type.tensor_type.elem_type in floats}
    return {name for node in model.graph.node for name in node.output} & typed


def _values(graph: bytes, names: set[str], feeds: Mapping[str, Float32Array]) -> dict[str, FloatArray]:
    model = onnx.load_from_string(graph)
    there = {info.name for info in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(names - there))
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    wanted = sorted(names)
    return dict(zip(wanted, session.run(wanted, dict(feeds)), strict=True))
