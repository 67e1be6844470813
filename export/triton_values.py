"""The one step between encoder and decoder that the ensemble needs: which y the decoder gets."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from aif.runtime.manifest import Manifest

OPSET = 17

INPUTS, OUTPUTS = ("y", "y_target"), ("y_predicted", "y_source", "y_edit")


def values_graph(manifest: Manifest) -> bytes:
    """A graph that does on the server what `decode_values` does in the local runtime.

    It takes `y` (N, A), the encoder's prediction, and `y_target` (N, A), the caller's wishes, where NaN
    leaves an attribute as the encoder sees it. It gives `y_source` (N, A), what an unchanged face is decoded
    with (the prediction, or 0 and 1 where the manifest says so), and `y_edit` (N, A), that with the wishes in
    it. A server cannot refuse a wish as the local runtime does, so one outside its attribute's range is moved
    to the range's end.

    It also gives `y_predicted`, which is `y` again. Triton drops the steps of an ensemble that nobody asked
    for, and with them a tensor that only they take, even where it was asked for itself; so the ensemble's
    output must not be the tensor that goes into this step.
    """
    node = helper.make_node
    if manifest.source_values == "rounded":
        nodes = [
            node("GreaterOrEqual", ["y", "half"], ["present"]),
            node("Cast", ["present"], ["y_source"], to=TensorProto.FLOAT),
        ]
    else:
        nodes = [node("Identity", ["y"], ["y_source"])]
    nodes += [
        node("Identity", ["y"], ["y_predicted"]),
        node("IsNaN", ["y_target"], ["left"]),
        node("Max", ["y_target", "least"], ["at_least"]),
        node("Min", ["at_least", "most"], ["wanted"]),
        node("Where", ["left", "y_source", "wanted"], ["y_edit"]),
    ]
    count = len(manifest.attributes)
    constants = {
        "least": np.array([each.minimum for each in manifest.attributes], dtype=np.float32),
        "most": np.array([each.maximum for each in manifest.attributes], dtype=np.float32),
    }
    if manifest.source_values == "rounded":
        constants["half"] = np.array(0.5, dtype=np.float32)
    shape = ("N", count)
    graph = helper.make_graph(
        nodes,
        "values",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in INPUTS],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in OUTPUTS],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data
