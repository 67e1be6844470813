"""FP16 graphs: what is half in them and what is not."""

from collections import Counter

import numpy as np
import onnx
import pytest
import tiny_bundles
from onnx import TensorProto, helper

from aif.export.precision.half import halve_convolutions, to_half
from aif.runtime.model.gate import over_limits
from aif.runtime.networks.sessions import Session


def _types(graph):
    held = onnx.load_from_string(graph).graph.initializer
    return {tensor.name: TensorProto.DataType.Name(tensor.data_type) for tensor in held}


def _cast_of(graph, op_type):
    """Where the inputs of the one node of a kind come from."""
    nodes = onnx.load_from_string(graph).graph.node
    made_by = {output: node.op_type for node in nodes for output in node.output}
    (found,) = (node for node in nodes if node.op_type == op_type)
    return [made_by.get(name, "") for name in found.input]


def test_weights_are_half_and_norms_are_not(toy):
    types = _types(to_half(toy.graphs.encoder))
    assert types.pop("norm.weight") == types.pop("norm.bias") == "FLOAT"
    assert set(types.values()) == {"FLOAT16"} and len(types) == 4
    assert _cast_of(to_half(toy.graphs.encoder), "InstanceNormalization")[0] == "Cast"


def test_the_answers_hardly_change(toy, gate):
    half = {part: to_half(graph) for part, graph in toy.graphs.parts().items()}
    figures = gate.figures(toy.model(**half))
    assert set(figures) == {"z", "features", "y_mean", "y_max", "image"}
    assert 0 < max(figures.values()) < 2e-3 and not over_limits("fp16", figures)


@pytest.mark.parametrize("norm", ["BatchNormalization", "InstanceNormalization"])
def test_a_norm_of_values_that_half_cannot_square(norm):
    """Spread 3000: its square is 9e6, where half precision ends at 65504."""
    ones, zeros = np.ones(8, np.float32), np.zeros(8, np.float32)
    known = {"m": zeros, "v": np.full(8, 9e6, np.float32)} if norm == "BatchNormalization" else {}
    shape = ["N", 8, 16, 16]
    node = helper.make_node(norm, ["x", "s", "b", *known], ["normed"])
    nodes = [node, helper.make_node("Relu", ["normed"], ["out"])]
    graph = tiny_bundles.graph(nodes, {"x": shape}, {"out": shape}, s=ones, b=zeros, **known)
    x = 3000 * np.random.default_rng(0).standard_normal((2, 8, 16, 16), dtype=np.float32)
    wanted, found = (Session(g, "cpu", 1, "norm").run(["out"], {"x": x})[0] for g in (graph, to_half(graph)))
    np.testing.assert_allclose(found, wanted, atol=0.01)


def test_convolutions_alone(shape_toy, shape_gate):
    """Between two of them nothing is cast; landmarks and fully connected layers stay as they were."""
    decoder = halve_convolutions(shape_toy.graphs.decoder)
    types = _types(decoder)
    assert {n for n, kind in types.items() if kind == "FLOAT16"} == {"mid.weight.fp16", "last.weight.fp16"}
    assert {"input.weight", "points.weight", "mean", "up"} <= {n for n, k in types.items() if k == "FLOAT"}
    kinds = Counter(node.op_type for node in onnx.load_from_string(decoder).graph.node)
    assert kinds["Cast"] == 2 and kinds["Conv"] == 2  # into the first, out of the last
    encoder = halve_convolutions(shape_toy.graphs.encoder)
    figures = shape_gate.figures(shape_toy.model(encoder=encoder, decoder=decoder))
    assert 0 < figures["image"] < 0.005 and figures["landmarks"] < 5e-4
    assert not over_limits("fp16", figures)


def test_a_tensor_that_others_need_as_well_is_there_in_both_types():
    node = helper.make_node
    graph = tiny_bundles.graph(
        [
            node("Relu", ["x"], ["a"]),
            node("Conv", ["a", "w"], ["b"], kernel_shape=[1, 1]),
            node("Add", ["a", "b"], ["c"]),
            node("Mul", ["c", "w"], ["out"]),
        ],
        {"x": ["N", 1, 2, 2]},
        {"out": ["N", 1, 2, 2]},
        w=np.full((1, 1, 1, 1), 1 / 3, np.float32),
    )
    x = np.random.default_rng(0).random((2, 1, 2, 2), dtype=np.float32)
    half = halve_convolutions(graph)
    found, wanted = (Session(each, "cpu", 1, "x").run(["out"], {"x": x})[0] for each in (half, graph))
    assert 0 < np.abs(found - wanted).max() < 1e-3
    assert _types(half) == {"w": "FLOAT", "w.fp16": "FLOAT16"}
