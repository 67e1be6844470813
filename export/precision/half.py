"""FP16 graphs that still take and give float32."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from aif.runtime.errors import ExportError

NORMS = (
    *("BatchNormalization", "GroupNormalization", "InstanceNormalization", "LayerNormalization"),
    *("LpNormalization", "ReduceL2", "ReduceMean", "ReduceSumSquare", "Softmax"),
)
"""Sums of squares overflow at 65504 and lose what is small, so these are computed in float32."""

CONVOLUTIONS = {"Conv": 3, "LeakyRelu": 1, "Relu": 1, "Resize": 1}
"""Convolutions and what stands between them, with the number of inputs that are floats: all that models with
shape compute in float16. Their landmarks and principal components are small differences of large numbers."""


def to_half(graph: bytes) -> bytes:
    """Weights and arithmetic in float16, norms in float32, inputs and outputs as they were.

    Raises:
        ExportError: the converter makes a graph that the ONNX checker refuses.
    """
    model = onnx.load_from_string(graph)
    # Types that the exporter noted for constants make the converter cast the scales of Resize, which are
    # float32 in both; it infers all it needs itself.
    del model.graph.value_info[:]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # values that FP16 cannot hold; the gate sees what they do
            half = convert_float_to_float16(
                model, keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, *NORMS]
            )
        OnnxModel(half).topological_sort()  # the converter leaves the casts of inputs and outputs at the end
        onnx.checker.check_model(half)
    except (ValueError, RuntimeError, onnx.checker.ValidationError) as error:
        raise ExportError(f"The graph could not be converted to FP16: {error}") from error
    data: bytes = half.SerializeToString()
    return data


def halve_convolutions(graph: bytes) -> bytes:
    """Convolutions, and what stands between them, in float16; all else, inputs and outputs in float32."""
    model = onnx.load_from_string(graph)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    halves: dict[str, str] = {}  # float32 tensor to the same in float16
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        count = CONVOLUTIONS.get(node.op_type, 0)
        for place, name in enumerate(node.input[:count]):
            if name and name not in halves:
                halves[name] = f"{name}.fp16"
                if name in constants:
                    values = numpy_helper.to_array(constants[name]).astype(np.float16)
                    model.graph.initializer.append(numpy_helper.from_array(values, halves[name]))
                else:
                    nodes.append(helper.make_node("Cast", [name], [halves[name]], to=TensorProto.FLOAT16))
            node.input[place] = halves.get(name, name)
        nodes.append(node)
        if count:
            name = node.output[0]
            halves[name] = node.output[0] = f"{name}.fp16"
            nodes.append(helper.make_node("Cast", [halves[name]], [name], to=TensorProto.FLOAT))
    used = {name for node in nodes for name in node.input} | {value.name for value in model.graph.output}
    model.graph.CopyFrom(
        helper.make_graph(
            [node for node in nodes if used & set(node.output)],
            model.graph.name,
            model.graph.input,
            model.graph.output,
            [tensor for tensor in model.graph.initializer if tensor.name in used],
        )
    )
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data
