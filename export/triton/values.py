"""The one step between encoder and decoder that the ensemble needs: which y the decoder gets."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from aif.runtime.bundle.manifest import Manifest

OPSET = 17

INPUTS, OUTPUTS = ("y", "y_target"), ("y_predicted", "y_source", "y_edit")


def values_graph(manifest: Manifest) -> bytes:
    """A graph that does on the server what `decode_values` does in the local runtime.

    It takes `y` (N, A), the encoder's prediction, and `y_target` (N, A), the values that the caller wants,
    where NaN leaves an attribute as the encoder sees it. It gives `y_source`, what an unchanged face is
    decoded with, and `y_edit`, that with the wanted values in it: with what they take along and exclude, and
    calibrated. A value outside its attribute's range is moved to the range's end, for a server cannot refuse
    it.

    It also gives `y_predicted`, which is `y` again: Triton drops the steps of an ensemble that nobody asked
    for, and with them a tensor that only they take, even where it was asked for itself.
    """
    graph = _Nodes()
    if manifest.source_values == "rounded":
        present = graph.add("GreaterOrEqual", "y", graph.hold(np.array(0.5, np.float32)))
        graph.add("Cast", present, out="y_source", to=TensorProto.FLOAT)
    else:
        graph.add("Identity", "y", out="y_source")
    graph.add("Identity", "y", out="y_predicted")
    ends = np.array([(each.minimum, each.maximum) for each in manifest.attributes], dtype=np.float32)
    left = graph.add("IsNaN", "y_target")
    within = graph.add("Min", graph.add("Max", "y_target", graph.hold(ends[:, 0])), graph.hold(ends[:, 1]))
    given = graph.add("Where", left, "y_source", within)
    wanted = graph.add("Where", left, _with_others(graph, manifest, left, given), given)
    _calibrated(graph, manifest, wanted)
    shape = ("N", len(manifest.attributes))
    made = helper.make_graph(
        graph.nodes,
        "values",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in INPUTS],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in OUTPUTS],
        graph.held,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


class _Nodes:
    """A graph that grows."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.held: list[Any] = []

    def add(self, op_type: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        """One more node; returns its output's name."""
        name = out or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [name], **attributes))
        return name

    def hold(self, value: np.ndarray[Any, Any]) -> str:
        """A constant's name."""
        name = f"c{len(self.held)}"
        self.held.append(numpy_helper.from_array(value, name))
        return name


def _with_others(graph: _Nodes, manifest: Manifest, left: str, given: str) -> str:
    """The source's values with what edits take along and exclude, one edited attribute after the other."""
    names = list(manifest.attribute_names)
    none, one = graph.hold(np.array(0, np.float32)), graph.hold(np.array(1, np.float32))
    values = "y_source"
    for column, info in enumerate(manifest.attributes):
        if not info.others:
            continue
        place = graph.hold(np.array([column]))
        wanted, source, unset = (
            graph.add("Gather", each, place, axis=1) for each in (given, "y_source", left)
        )
        edited = graph.add("Not", unset)
        if info.takes_along:
            on, off = np.zeros((2, len(names)), np.float32)
            for name, share in info.takes_along.items():
                on[names.index(name)] = share
                off[names.index(name)] = info.takes_along_off.get(name, share)
            way = graph.add("Sub", wanted, source)
            shares = graph.add("Where", graph.add("Less", way, none), graph.hold(off), graph.hold(on))
            change = graph.add("Mul", way, shares)
            moved = graph.add("Clip", graph.add("Add", values, change), none, one)
            taken = graph.add("And", edited, graph.hold(np.isin(names, list(info.takes_along))))
            values = graph.add("Where", taken, moved, values)
        if info.excludes:
            rest = graph.add("Sub", one, graph.add("Clip", wanted, none, one))
            out = graph.add("And", edited, graph.hold(np.isin(names, info.excludes)))
            values = graph.add("Where", out, graph.add("Mul", values, rest), values)
    return values


def _calibrated(graph: _Nodes, manifest: Manifest, wanted: str) -> None:
    """y_edit = y_source + s (wanted - y_source), with s as each attribute is calibrated."""
    up = np.array([each.on for each in manifest.attributes], dtype=np.float32)
    down = np.array([1 - each.off for each in manifest.attributes], dtype=np.float32)
    if (up == 1).all() and (down == 1).all():
        graph.add("Identity", wanted, out="y_edit")  # to the last bit
        return
    change = graph.add("Sub", wanted, "y_source")
    rises = graph.add("Greater", change, graph.hold(np.array(0, np.float32)))
    scale = graph.add("Where", rises, graph.hold(up), graph.hold(down))
    graph.add("Add", "y_source", graph.add("Mul", scale, change), out="y_edit")
