"""A bundle of two small real graphs that hand a feature from encoder to decoder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_bundles import shape_parts

from aif.runtime.bundle.bundle import Bundle, write_bundle
from aif.runtime.bundle.manifest import AttributeInfo, GraphFile, GraphPair, Manifest, Provenance

SIZE, LATENT = 16, 48


def _graph(
    nodes: list[Any], inputs: dict[str, Sequence[Any]], outputs: dict[str, Sequence[Any]], **constants: Any
) -> bytes:
    def info(values: dict[str, Sequence[Any]]) -> list[Any]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in values.items()]

    named = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "small", info(inputs), info(outputs), named)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return model.SerializeToString()


def _encoder(batch: str | int) -> bytes:
    """z: the picture on a 4x4 grid; y: mean red and mean blue; feature_0: the picture at half size."""
    node = helper.make_node
    return _graph(
        [
            node("AveragePool", ["image"], ["grid"], kernel_shape=[4, 4], strides=[4, 4]),
            node("Flatten", ["grid"], ["z"]),
            node("ReduceMean", ["image", "space"], ["means"], keepdims=0),
            node("Gather", ["means", "red_blue"], ["y"], axis=1),
            node("AveragePool", ["image"], ["feature_0"], kernel_shape=[2, 2], strides=[2, 2]),
        ],
        {"image": [batch, 3, SIZE, SIZE]},
        {"z": [batch, LATENT], "y": [batch, 2], "feature_0": [batch, 3, SIZE // 2, SIZE // 2]},
        space=np.array([2, 3]),
        red_blue=np.array([0, 2]),
    )


def _decoder(batch: str | int) -> bytes:
    """The feature at full size, brighter by the values of y and by the mean of z."""
    node = helper.make_node
    return _graph(
        [
            node("Resize", ["feature_0", "", "twice"], ["large"], mode="nearest"),
            node("MatMul", ["y", "weights"], ["light"]),
            node("ReduceMean", ["z", "last"], ["mean"], keepdims=1),
            node("Add", ["light", "mean"], ["both"]),
            node("Reshape", ["both", "shape"], ["plane"]),
            node("Add", ["large", "plane"], ["sum"]),
            node("Clip", ["sum", "zero", "one"], ["image"]),
        ],
        {"z": [batch, LATENT], "y": [batch, 2], "feature_0": [batch, 3, SIZE // 2, SIZE // 2]},
        {"image": [batch, 3, SIZE, SIZE]},
        twice=np.array([1, 1, 2, 2], np.float32),
        weights=np.array([[0.1], [-0.2]], np.float32),
        last=np.array([1]),
        shape=np.array([-1, 1, 1, 1]),
        zero=np.float32(0),
        one=np.float32(1),
    )


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bundle]:
    """Write a bundle: small_bundle(precisions=("fp32",), batch="N", **fields of the manifest)."""

    def make(precisions: Sequence[str] = ("fp32",), batch: str | int = "N", **fields: Any) -> Bundle:
        files, graphs = {}, {}
        for precision in precisions:
            pair = {}
            for part, data in (("encoder", _encoder(batch)), ("decoder", _decoder(batch))):
                name = f"{part}_{precision}.onnx"
                files[name] = data
                pair[part] = GraphFile(file=name, sha256=hashlib.sha256(data).hexdigest())
            graphs[precision] = GraphPair(**pair)
        values: dict[str, Any] = {
            "name": "small one",
            "version": "3",
            "image_size": SIZE,
            "latent_size": LATENT,
            "attributes": (AttributeInfo(name="Red"), AttributeInfo(name="Blue", minimum=0, maximum=1)),
            "features": ("feature_0",),
            "graphs": graphs,
            "opset": 20,
            "source_values": "rounded",
            "provenance": Provenance(
                dataset="none",
                dataset_fingerprint="0" * 64,
                preset="small",
                steps=0,
                faces_seen=0,
                weights_licence="MIT",
            ),
        }
        place: Path = tmp_path_factory.mktemp("small") / "small.aif"
        return write_bundle(place, Manifest(**{**values, **fields}), files)

    return make


@pytest.fixture(scope="session")
def shaped_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of textures and landmarks, called "small two"."""
    parts = shape_parts(name="small two")
    return write_bundle(tmp_path_factory.mktemp("small") / "two.aif", parts.manifest, parts.files)
