"""INT8 graphs: where the QuantizeLinear nodes stand, where the ranges come from, what stays in float."""

import logging

import numpy as np
import onnx
import pytest
import tiny_bundles
from onnx import TensorProto, helper, numpy_helper

from aif.export.precision.quantise import convolutions, quantise
from aif.runtime.errors import ExportError
from aif.runtime.networks.sessions import Session


class Made:
    """An INT8 graph, looked into."""

    def __init__(self, data):
        self.graph = onnx.load_from_string(data).graph
        self.held = {tensor.name: numpy_helper.to_array(tensor) for tensor in self.graph.initializer}
        self.made_by = {output: node for node in self.graph.node for output in node.output}

    def quantised(self):
        """Convolutions: whether both their inputs come out of DequantizeLinear."""
        return {
            node.name: all(self._dequantised(name) for name in node.input[:2])
            for node in self.graph.node
            if node.op_type == "Conv"
        }

    def scales(self, op_type, index):
        """Scales with which input `index` of all nodes of a kind is dequantised."""
        nodes = [node for node in self.graph.node if node.op_type == op_type]
        return [self.held[self.made_by[node.input[index]].input[1]] for node in nodes]

    def _dequantised(self, name):
        return name in self.made_by and self.made_by[name].op_type == "DequantizeLinear"


@pytest.fixture(scope="module")
def encoder_int8(toy, crops):
    return quantise(toy.graphs.encoder, {"image": crops[:16]})


def test_weights_are_int8_with_a_scale_for_each_channel(encoder_int8):
    made = Made(encoder_int8)
    assert made.quantised() == {"node_a": True, "node_c": True}
    assert [scale.shape for scale in made.scales("Conv", 1)] == [(8,), (8,)]
    kinds = {t.name: TensorProto.DataType.Name(t.data_type) for t in made.graph.initializer}
    assert kinds["stem.weight_quantized"] == kinds["deep.weight_quantized"] == "INT8"
    zero_points = {kinds[n.input[2]] for n in made.graph.node if n.op_type == "QuantizeLinear"}
    assert zero_points == {"UINT8"}  # of activations: what processors multiply fast


@pytest.mark.parametrize("brightest", [0.25, 1.0])
def test_ranges_come_from_the_faces(toy, crops, brightest):
    """A uint8 step of the image is a 255th of the brightest pixel seen."""
    feeds = {"image": (crops[:16] / crops[:16].max() * brightest).astype(np.float32)}
    (first, _) = Made(quantise(toy.graphs.encoder, feeds)).scales("Conv", 0)
    assert float(first) == pytest.approx(brightest / 255, rel=0.01)


def test_the_ends_of_the_ranges_are_clipped_to_a_percentile(toy, crops):
    """One pixel in 50,000 that shines a hundred times as bright does not cost the others their steps."""
    faces = np.concatenate([crops] * 4)
    faces[7, 0, 3, 3] = 100.0
    (first, _) = Made(quantise(toy.graphs.encoder, {"image": faces})).scales("Conv", 0)
    assert float(first) < 50 / 255


def test_a_graph_without_convolutions():
    """Transposed convolutions have no INT8 kernel in ONNX Runtime: they stay as they are."""
    graph = tiny_bundles.graph(
        [helper.make_node("ConvTranspose", ["x", "w"], ["u"]), helper.make_node("Relu", ["u"], ["out"])],
        {"x": ["N", 2, 4, 4]},
        {"out": ["N", 2, 6, 6]},
        w=np.full((2, 2, 3, 3), 0.1, np.float32),
    )
    x = np.random.default_rng(0).random((16, 2, 4, 4), dtype=np.float32)
    assert convolutions(graph) == ()
    wanted, found = (
        Session(g, "cpu", 1, "decoder").run(["out"], {"x": x})[0] for g in (graph, quantise(graph, {"x": x}))
    )
    np.testing.assert_allclose(found, wanted, atol=0.02)


def test_faces_that_do_not_fit(toy):
    feeds = {"picture": np.zeros((16, 3, 16, 16), np.float32)}
    with pytest.raises(ExportError, match="could not be quantised"):
        quantise(toy.graphs.encoder, feeds)


def test_it_says_nothing_and_leaves_the_log_as_it_was(toy, crops, capfd, monkeypatch):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    level = root.level
    quantise(toy.graphs.encoder, {"image": crops[:16]})
    assert (root.level, root.handlers) == (level, [])
    assert capfd.readouterr() == ("", "")
