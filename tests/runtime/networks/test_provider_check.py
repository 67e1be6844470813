"""The tiny graph: the bytes that ONNX makes, and a probe that believes results only."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from aif.runtime.errors import ProviderError
from aif.runtime.networks import provider_check
from aif.runtime.networks.provider_check import TINY_GRAPH, probe_provider
from aif.runtime.networks.sessions import Session


def test_the_bytes_are_what_onnx_makes():
    def info(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    node = helper.make_node
    weights = np.array([1, -1], np.float32).reshape(2, 1, 1, 1)
    graph = helper.make_graph(
        [node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["r"]), node("Add", ["r", "one"], ["y"])],
        "tiny",
        [info("x", ["N", 1, 2, 2])],
        [info("y", ["N", 2, 2, 2])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.ones(1, np.float32), "one")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    assert model.SerializeToString() == TINY_GRAPH


def test_the_processor_takes_every_node():
    found = probe_provider("cpu")
    assert found.device == "cpu" and found.nodes == found.total and found.nodes != 0


def test_a_wrong_result_is_no_success(monkeypatch):
    class Wrong(Session):
        def run(self, outputs, inputs):
            return [np.zeros_like(value) for value in super().run(outputs, inputs)]

    monkeypatch.setattr(provider_check, "Session", Wrong)
    with pytest.raises(ProviderError, match="computes"):
        probe_provider("cpu")
