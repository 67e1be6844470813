"""The gate of precisions and engines on real graphs: what it compares."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from aif.runtime.errors import ExportError
from aif.runtime.model.codes import FaceInputs
from aif.runtime.model.gate import Gate, flipped


def with_weights(toy, part, name, change):
    """The toy with other weights under a name."""
    model = onnx.load_from_string(toy.graphs.parts()[part])
    (tensor,) = (each for each in model.graph.initializer if each.name == name)
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), name))
    return toy.model(**{part: model.SerializeToString()})


@pytest.mark.parametrize("count", [1, 17])
def test_graphs_do_not_differ_from_themselves(toy, crops, count):
    gate = Gate(toy.model(), FaceInputs(crops[:count]))
    figures = gate.figures(toy.model())
    assert figures == dict.fromkeys(("z", "features", "y_mean", "y_max", "image"), 0)
    gate.check("fp16", figures)
    assert len(gate.known.decoded) == 2 * count  # as they are, and edited


@pytest.mark.parametrize(
    ("part", "name", "factor", "wanted"),
    [
        ("encoder", "mean.weight", 1.1, {"z": 0.1}),
        ("decoder", "last.weight", 1.1, {"z": 0, "y_max": 0, "features": 0}),
        ("encoder", "y.weight", 0.0, {"z": 0, "image": 0}),  # the decoder gets the same y
    ],
)
def test_what_is_compared(gate, toy, part, name, factor, wanted):
    figures = gate.figures(with_weights(toy, part, name, lambda w: (w * factor).astype(np.float32)))
    assert {each: figures[each] for each in wanted} == pytest.approx(wanted, abs=1e-6)
    assert max(figures.values()) > 1e-4
    if name == "y.weight":  # without them y is 0.5 everywhere
        change = np.abs(gate.known.encoding.y - 0.5)
        assert figures["y_mean"] == pytest.approx(change.mean(), rel=1e-5)


def test_textures_and_landmarks(shape_gate, shape_toy):
    figures = shape_gate.figures(shape_toy.model())
    assert figures == dict.fromkeys(("z", "y_mean", "y_max", "image", "landmarks", "detail"), 0)
    moved = with_weights(shape_toy, "decoder", "mean", lambda mean: mean + np.float32(0.001))
    with pytest.raises(ExportError, match="landmarks "):
        shape_gate.check("fp16", shape_gate.figures(moved))


def test_the_decoder_is_calibrated_both_ways(gate):
    feeds, y = gate.decoder_feeds(), gate.known.encoding.y
    np.testing.assert_array_equal(feeds["y"][::2], y[::2])
    np.testing.assert_array_equal(feeds["y"][1::2], flipped(y)[1::2])
    assert {len(each) for each in feeds.values()} == {16} and set(feeds) == {"z", "y", "feature_0"}
