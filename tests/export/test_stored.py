"""Weights stored as float16: what is stored so, and that it can be undone."""

from collections import Counter

import numpy as np
import onnx
import pytest
import tiny_bundles
from onnx import TensorProto, helper

from aif.export.graphs.stored import large_weights, store_as_half, stored_weights, widen
from aif.runtime.networks.sessions import Session


@pytest.fixture
def graph():
    """A large matrix, one too large for float16, a small one, and a long vector."""
    rng = np.random.default_rng(0)
    return tiny_bundles.graph(
        [
            helper.make_node("MatMul", ["x", "large.weight"], ["a"]),
            helper.make_node("Add", ["a", "bias"], ["b"]),
            helper.make_node("MatMul", ["b", "small.weight"], ["c"]),
            helper.make_node("MatMul", ["b", "wild.weight"], ["d"]),
            helper.make_node("Add", ["c", "d"], ["out"]),
        ],
        {"x": ["N", 8]},
        {"out": ["N", 4]},
        **{
            "large.weight": rng.standard_normal((8, 5000)).astype(np.float32),
            "bias": rng.standard_normal(5000).astype(np.float32),
            "small.weight": rng.standard_normal((5000, 4)).astype(np.float32)[:, :4] / 100,
            "wild.weight": np.full((5000, 4), 1e6, np.float32),
        },
    )


def _types(data):
    return {tensor.name: tensor.data_type for tensor in onnx.load_from_string(data).graph.initializer}


def test_large_matrices_alone(graph):
    stored = store_as_half(graph)
    assert large_weights(graph) == ["large.weight", "small.weight"]
    assert stored_weights(graph) == frozenset() and stored_weights(stored) == {"large.weight", "small.weight"}
    assert _types(stored) == {
        "large.weight.half": TensorProto.FLOAT16,
        "small.weight.half": TensorProto.FLOAT16,
        "bias": TensorProto.FLOAT,  # vectors are small, and add their error to every result
        "wild.weight": TensorProto.FLOAT,  # 1e6 is no float16
    }
    assert len(stored) < 0.75 * len(graph)


def test_the_cast_survives_and_the_arithmetic_stays_float32(graph):
    stored, x = store_as_half(graph), np.random.default_rng(1).standard_normal((3, 8)).astype(np.float32)
    kinds = Counter(node.op_type for node in onnx.load_from_string(stored).graph.node)
    assert kinds == {"Cast": 2, "MatMul": 3, "Add": 2}
    plain, half, wide = (
        Session(each, "cpu", 1, "decoder").run(["out"], {"x": x})[0]
        for each in (graph, stored, widen(stored))
    )
    assert 0 < np.abs(half - plain).max() / np.abs(plain).max() < 1e-3
    np.testing.assert_allclose(wide, half, rtol=1e-6)


def test_widening(graph):
    wide = widen(store_as_half(graph))
    assert set(_types(wide)) == set(_types(graph)) and set(_types(wide).values()) == {TensorProto.FLOAT}
    assert not any(node.op_type == "Cast" for node in onnx.load_from_string(wide).graph.node)
