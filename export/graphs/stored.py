"""Large weights stored as float16, each with a cast back to float32: half the file, the same arithmetic.

ONNX Runtime folds the casts when it loads a graph, so a session is as fast as with float32 weights.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SMALLEST = 4096
"""Constants of fewer numbers stay as they are."""

SUFFIX = ".half"


def large_weights(graph: bytes) -> list[str]:
    """Names of the weights that could be stored so, largest first. Biases and other vectors are small."""
    found = []
    for tensor in onnx.load_from_string(graph).graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            values = numpy_helper.to_array(tensor)
            if values.size >= SMALLEST and np.abs(values).max() < np.finfo(np.float16).max:
                found.append((values.size, tensor.name))
    return [name for _, name in sorted(found, key=lambda each: -each[0])]


def store_as_half(graph: bytes, names: Collection[str] | None = None) -> bytes:
    """The graph with large weights in float16: those of `names`, or all."""
    wanted = set(large_weights(graph) if names is None else names)
    model = onnx.load_from_string(graph)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.name not in wanted:
            continue
        name, values = tensor.name, numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + SUFFIX))
        casts.append(helper.make_node("Cast", [name + SUFFIX], [name], f"widen_{name}", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def widen(graph: bytes) -> bytes:
    """The graph with such weights as plain float32 constants, for converters; another graph as it is."""
    model = onnx.load_from_string(graph)
    stored = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name.endswith(SUFFIX)}
    kept = []
    for node in model.graph.node:
        tensor = stored.get(node.input[0]) if node.op_type == "Cast" else None
        if tensor is None:
            kept.append(node)
            continue
        values = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, node.output[0]))
    if len(kept) == len(model.graph.node):
        return graph
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    data: bytes = model.SerializeToString()
    return data


def stored_weights(graph: bytes) -> frozenset[str]:
    """Names of the weights that are stored so."""
    held = onnx.load_from_string(graph).graph.initializer
    return frozenset(t.name.removesuffix(SUFFIX) for t in held if t.name.endswith(SUFFIX))
