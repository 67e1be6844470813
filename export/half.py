"""FP16 graphs that still take and give float32."""

from __future__ import annotations

import warnings

import onnx
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from aif.runtime.errors import ExportError

NORMS = (
    *("BatchNormalization", "GroupNormalization", "InstanceNormalization", "LayerNormalization"),
    *("LpNormalization", "ReduceL2", "ReduceMean", "ReduceSumSquare", "Softmax"),
)
"""Sums of squares overflow at 65504 and lose what is small, so these are computed in float32."""


def to_half(graph: bytes) -> bytes:
    """Weights and arithmetic in float16, norms in float32, inputs and outputs as they were.

    Args:
        graph: ONNX bytes, float32.

    Raises:
        ExportError: the converter makes a graph that the ONNX checker refuses.
    """
    model = onnx.load_from_string(graph)
    # Types that the exporter noted for constants make the converter cast the scales of Resize, which are
    # float32 in both; it infers all it needs itself.
    del model.graph.value_info[:]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # values that FP16 cannot hold; the gate judges what they do
            half = convert_float_to_float16(
                model, keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, *NORMS]
            )
        OnnxModel(half).topological_sort()  # the converter leaves the casts of inputs and outputs at the end
        onnx.checker.check_model(half)
    except (ValueError, RuntimeError, onnx.checker.ValidationError) as error:
        raise ExportError(f"The graph could not be converted to FP16: {error}") from error
    data: bytes = half.SerializeToString()
    return data
