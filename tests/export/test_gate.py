"""The gate: what it measures, what it lets pass, and whom it blames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from aif.export.graphs.faces import Faces
from aif.export.precision.gate import LIMITS, Gate, Graphs, turned
from aif.export.precision.half import to_half
from aif.runtime.errors import ConfigError, ExportError

ATTRIBUTES, FEATURES = ("Smiling", "Bangs"), ("feature_0",)


def with_weights(graph: bytes, name: str, change: Callable[[np.ndarray], np.ndarray]) -> bytes:
    """A graph with other weights under a name."""
    model = onnx.load_from_string(graph)
    (tensor,) = (each for each in model.graph.initializer if each.name == name)
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), name))
    return model.SerializeToString()


class Bright:
    """An evaluator: an attribute is there where the picture is brighter than its threshold."""

    def __init__(self, **thresholds: float) -> None:
        self.attributes = tuple(thresholds)
        self._thresholds = torch.tensor(list(thresholds.values()))

    def predict(self, crops_nchw: torch.Tensor) -> torch.Tensor:
        assert torch.isfinite(crops_nchw).all()
        return (crops_nchw.mean(dim=(1, 2, 3))[:, None] > self._thresholds).float()


def test_graphs_do_not_differ_from_themselves(gate: Gate, toy: Any) -> None:
    figures = gate.figures(toy.graphs)
    assert figures == {"z": 0, "features": 0, "y_mean": 0, "y_max": 0, "image": 0}
    for precision in LIMITS:
        gate.check(precision, toy.graphs, figures)


@pytest.mark.parametrize(
    ("name", "part", "factor", "z"),
    [
        ("mean.weight", "encoder", 1.1, 0.1),
        ("mean.weight", "encoder", 0.98, 0.02),
        ("last.weight", "decoder", 1.1, 0.0),
        ("mean.weight", "encoder", 0.0, 1.0),
    ],
)
def test_figures_are_relative_errors(
    gate: Gate, toy: Any, name: str, part: str, factor: float, z: float
) -> None:
    graphs = {"encoder": toy.graphs.encoder, "decoder": toy.graphs.decoder}
    graphs[part] = with_weights(graphs[part], name, lambda w: (w * factor).astype(np.float32))
    figures = gate.figures(Graphs(**graphs))
    assert figures["z"] == pytest.approx(z, abs=1e-6)
    assert figures["features"] == figures["y_max"] == 0  # these weights have no part in them
    assert figures["image"] > 1e-4


def test_the_change_of_y_is_absolute(gate: Gate, toy: Any) -> None:
    """Without its weights y is 0.5 everywhere."""
    encoder = with_weights(toy.graphs.encoder, "y.weight", np.zeros_like)
    figures = gate.figures(Graphs(encoder, toy.graphs.decoder))
    change = np.abs(gate.answers.y - 0.5)
    assert figures["y_mean"] == pytest.approx(change.mean(), rel=1e-5)
    assert figures["y_max"] == pytest.approx(change.max(), rel=1e-5)
    assert figures["image"] == 0  # the decoder gets the same y


def test_features_count(gate: Gate, toy: Any) -> None:
    encoder = with_weights(toy.graphs.encoder, "norm.bias", lambda w: w + np.float32(0.2))
    assert gate.figures(Graphs(encoder, toy.graphs.decoder))["features"] > 0.05


def test_without_features_there_is_no_such_figure(graph_of: Callable[..., bytes], crops: np.ndarray) -> None:
    node = onnx.helper.make_node
    image = {"image": ["N", 3, 16, 16]}
    axes = np.array([2, 3])
    encoder = graph_of(
        [
            node("ReduceMean", ["image", "axes"], ["z"], keepdims=0),
            node("Gather", ["z", "first"], ["y"], axis=1),
        ],
        image,
        {"z": ["N", 3], "y": ["N", 2]},
        axes=axes,
        first=np.array([0, 1]),
    )
    decoder = graph_of(
        [
            node("MatMul", ["y", "paint"], ["p"]),
            node("Add", ["z", "p"], ["s"]),
            node("Unsqueeze", ["s", "axes"], ["u"]),
            node("Expand", ["u", "large"], ["image"]),
        ],
        {"z": ["N", 3], "y": ["N", 2]},
        image,
        axes=axes,
        paint=np.ones((2, 3), np.float32),
        large=np.array([1, 3, 16, 16]),
    )
    graphs = Graphs(encoder, decoder)
    assert set(Gate(graphs, (), ATTRIBUTES, Faces(crops)).figures(graphs)) == {
        "z",
        "y_mean",
        "y_max",
        "image",
    }


@pytest.mark.parametrize("count", [1, 15, 16, 17, 33])
def test_any_number_of_faces(toy: Any, crops: np.ndarray, count: int) -> None:
    gate = Gate(toy.graphs, FEATURES, ATTRIBUTES, Faces(crops[:count]))
    assert gate.answers.images.shape == (2 * count, 3, 16, 16)
    assert max(gate.figures(toy.graphs).values()) == 0


def test_one_attribute_of_each_face_is_turned_round() -> None:
    y = np.array([[0.1, 0.9], [0.2, 0.6], [0.5, 0.4], [0.7, 0.3]], np.float32)
    wanted = [[1, 0.9], [0.2, 0], [0, 0.4], [0.7, 1]]
    np.testing.assert_allclose(turned(y), wanted, rtol=1e-6)
    np.testing.assert_allclose(y[0], [0.1, 0.9], rtol=1e-6)  # a copy


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize("figure", ["z", "features", "y_mean", "y_max", "image", "landmarks", "verdicts"])
@pytest.mark.parametrize(
    ("times", "passes"),
    [(0.0, True), (1.0, True), (1.01, False), (float("inf"), False), (float("nan"), False)],
)
def test_limits(gate: Gate, precision: str, figure: str, times: float, passes: bool) -> None:
    figures = dict.fromkeys(LIMITS[precision], 0.0) | {figure: LIMITS[precision][figure] * times}
    assert gate.failed(precision, figures) == (() if passes else (figure,))


def test_int8_may_stray_further_than_fp16() -> None:
    assert all(LIMITS["fp16"][name] < limit for name, limit in LIMITS["int8"].items())
    assert LIMITS["fp16"].keys() == LIMITS["int8"].keys()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("part", "name"), [("encoder", "mean.weight"), ("decoder", "last.weight")])
def test_values_that_are_not_finite(gate: Gate, toy: Any, part: str, name: str, value: float) -> None:
    graphs = {"encoder": toy.graphs.encoder, "decoder": toy.graphs.decoder}
    graphs[part] = with_weights(graphs[part], name, lambda w: np.full_like(w, value))
    broken = Graphs(**graphs)
    figures = gate.figures(broken)
    assert not any(np.isnan(figure) for figure in figures.values())
    assert "image" in gate.failed("int8", figures)
    with pytest.raises(ExportError, match=name.removesuffix(".weight")) as caught:
        gate.check("int8", broken, figures)
    assert "nan" not in str(caught.value)


@pytest.mark.parametrize(
    ("part", "name", "op_type"),
    [
        ("encoder", "stem.weight", "Conv"),
        ("encoder", "deep.weight", "Conv"),
        ("encoder", "mean.weight", "MatMul"),
        ("decoder", "input.weight", "MatMul"),
        ("decoder", "mid.weight", "Conv"),
        ("decoder", "last.weight", "Conv"),
    ],
)
def test_the_worst_layer_is_named(gate: Gate, toy: Any, part: str, name: str, op_type: str) -> None:
    graphs = {"encoder": toy.graphs.encoder, "decoder": toy.graphs.decoder}
    graphs[part] = with_weights(graphs[part], name, lambda w: np.ascontiguousarray(-w))
    broken = Graphs(**graphs)
    with pytest.raises(ExportError) as caught:
        gate.check("int8", broken, gate.figures(broken))
    text = str(caught.value)
    assert f"Worst layer, in the {part}: {name.removesuffix('.weight')} ({op_type};" in text
    assert "on 16 faces" in text and "Nothing was written" in text


def test_half_of_weights_that_overflow_is_blamed_on_them(gate: Gate, toy: Any, crops: np.ndarray) -> None:
    """1e6 is fine in float32 and infinite in half precision."""
    large = with_weights(toy.graphs.decoder, "mid.weight", lambda w: w * np.float32(1e6))
    graphs = Graphs(toy.graphs.encoder, large)
    own = Gate(graphs, FEATURES, ATTRIBUTES, Faces(crops[:16]))
    half = Graphs(to_half(graphs.encoder), to_half(graphs.decoder))
    with pytest.raises(ExportError, match=r"image .*Worst layer, in the decoder: mid \(Conv"):
        own.check("fp16", half, own.figures(half))


@pytest.mark.parametrize(("thresholds", "changed"), [({"Smiling": 2.0}, 0.0), ({"Smiling": 0.5}, 1.0)])
def test_verdicts_that_change(toy: Any, crops: np.ndarray, thresholds: Any, changed: float) -> None:
    """All bright before, all dark after: a threshold between the two sees it, one beyond does not."""

    def all_of(value: float) -> Graphs:
        model = onnx.load_from_string(toy.graphs.decoder)
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), "value"))
        last = model.graph.node[-1]
        last.output[0] = "before"
        nothing = numpy_helper.from_array(np.float32(0), "nothing")
        model.graph.initializer.append(nothing)
        model.graph.node.append(onnx.helper.make_node("Mul", ["before", "nothing"], ["black"]))
        model.graph.node.append(onnx.helper.make_node("Add", ["black", "value"], ["image"]))
        return Graphs(toy.graphs.encoder, model.SerializeToString())

    gate = Gate(all_of(0.9), FEATURES, ATTRIBUTES, Faces(crops[:16]), Bright(**thresholds, Other=0.5))
    assert gate.figures(all_of(0.9))["verdicts"] == 0
    assert gate.figures(all_of(0.1))["verdicts"] == changed
    assert gate.figures(all_of(float("nan")))["verdicts"] == 1.0


def test_an_evaluator_of_other_attributes(toy: Any, crops: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="knows Hat, none of which") as caught:
        Gate(toy.graphs, FEATURES, ATTRIBUTES, Faces(crops[:16]), Bright(Hat=0.5))
    assert "Smiling, Bangs" in str(caught.value)


def test_textures_and_landmarks(shape_gate: Gate, shape_toy: Any) -> None:
    figures = shape_gate.figures(shape_toy.graphs)
    assert figures == {"z": 0, "y_mean": 0, "y_max": 0, "image": 0, "landmarks": 0}
    assert shape_gate.answers.landmarks is not None and shape_gate.answers.landmarks.shape == (32, 221, 2)
    assert set(shape_gate.decoder_feeds()) == {"z", "y"}


@pytest.mark.parametrize(("step", "passes"), [(0.0003, True), (0.0004, False), (np.nan, False)])
def test_the_farthest_landmark_counts(shape_gate: Gate, shape_toy: Any, step: float, passes: bool) -> None:
    """One of 221 that lies step to the right and as much lower."""

    def moved(mean: np.ndarray) -> np.ndarray:
        mean = mean.copy()
        mean[100:102] += np.float32(step)
        return mean

    graphs = Graphs(shape_toy.graphs.encoder, with_weights(shape_toy.graphs.decoder, "mean", moved))
    figures = shape_gate.figures(graphs)
    if np.isfinite(step):
        assert figures["landmarks"] == pytest.approx(step * 2**0.5, rel=1e-3)
    assert figures["image"] == 0
    assert shape_gate.failed("fp16", figures) == (() if passes else ("landmarks",))
    if not passes:
        with pytest.raises(ExportError, match=r"landmarks .*Worst layer, in the decoder"):
            shape_gate.check("fp16", graphs, figures)


def test_the_decoder_is_fed_both_ways(gate: Gate) -> None:
    feeds = gate.decoder_feeds()
    np.testing.assert_array_equal(feeds["y"][::2], gate.answers.y[::2])
    np.testing.assert_array_equal(feeds["y"][1::2], turned(gate.answers.y)[1::2])
    assert {len(each) for each in feeds.values()} == {16} and set(feeds) == {"z", "y", "feature_0"}
    assert {len(each) for each in gate.decoder_feeds(slice(0, 5)).values()} == {5}
