"""A toy bundle of real graphs: an encoder that keeps the picture, a decoder that paints y into it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from aif.runtime.align import template
from aif.runtime.bundle import Bundle, write_bundle
from aif.runtime.manifest import AttributeInfo, GraphFile, GraphPair, LandmarkInfo, Manifest, Provenance

SIZE, GRID = 32, 4
LATENT = 3 * GRID * GRID
ATTRIBUTES = ("Smiling", "Blond_Hair")


def _model(
    nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: dict[str, np.ndarray]
) -> bytes:
    def info(name: str, *shape: int | str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "toy",
        [info(*each) for each in inputs],
        [info(*each) for each in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _scales(factor: float) -> np.ndarray:
    return np.array([1, 1, factor, factor], dtype=np.float32)


def patterns(size: int = SIZE) -> np.ndarray:
    """What each attribute paints at y = 1, red mouth and yellow forehead: float32 (2, 3, S, S) RGB."""
    scale = size / 128
    mouth, hair = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    cv2.ellipse(
        mouth, (int(64 * scale), int(101 * scale)), (int(18 * scale), int(8 * scale)), 0, 0, 360, 1, -1
    )
    cv2.ellipse(
        hair, (int(64 * scale), int(30 * scale)), (int(30 * scale), int(10 * scale)), 0, 0, 360, 1, -1
    )
    colours = np.array([[0.5, -0.3, -0.3], [0.3, 0.3, -0.2]], dtype=np.float32)
    return colours[:, :, None, None] * np.stack([mouth, hair])[:, None]


def toy_encoder() -> bytes:
    """z: the picture on a 4x4 grid; y: mean red and mean blue; feature_0: the rest at half size."""
    node = helper.make_node
    nodes = [
        node("AveragePool", ["image"], ["grid"], kernel_shape=[SIZE // GRID] * 2, strides=[SIZE // GRID] * 2),
        node("Flatten", ["grid"], ["z"]),
        node("Resize", ["grid", "", "up"], ["coarse"], mode="linear"),
        node("Sub", ["image", "coarse"], ["rest"]),
        node("AveragePool", ["rest"], ["feature_0"], kernel_shape=[2, 2], strides=[2, 2]),
        node("ReduceMean", ["image", "space"], ["means"], keepdims=0),
        node("Gather", ["means", "red_blue"], ["y"], axis=1),
    ]
    return _model(
        nodes,
        [("image", "N", 3, SIZE, SIZE)],
        [("z", "N", LATENT), ("y", "N", 2), ("feature_0", "N", 3, SIZE // 2, SIZE // 2)],
        {"up": _scales(SIZE / GRID), "space": np.array([2, 3]), "red_blue": np.array([0, 2])},
    )


def toy_decoder() -> bytes:
    """The picture again, with each attribute's pattern painted in y times."""
    node = helper.make_node
    nodes = [
        node("Reshape", ["z", "grid_shape"], ["grid"]),
        node("Resize", ["grid", "", "up"], ["coarse"], mode="linear"),
        node("Resize", ["feature_0", "", "twice"], ["rest"], mode="linear"),
        node("MatMul", ["y", "patterns"], ["flat"]),
        node("Reshape", ["flat", "image_shape"], ["paint"]),
        node("Sum", ["coarse", "rest", "paint"], ["sum"]),
        node("Clip", ["sum", "zero", "one"], ["image"]),
    ]
    return _model(
        nodes,
        [("z", "N", LATENT), ("y", "N", 2), ("feature_0", "N", 3, SIZE // 2, SIZE // 2)],
        [("image", "N", 3, SIZE, SIZE)],
        {
            "grid_shape": np.array([-1, 3, GRID, GRID]),
            "image_shape": np.array([-1, 3, SIZE, SIZE]),
            "up": _scales(SIZE / GRID),
            "twice": _scales(2),
            "patterns": patterns().reshape(2, -1),
            "zero": np.float32(0),
            "one": np.float32(1),
        },
    )


def toy_landmark_net(size: int = 48) -> bytes:
    """Five points around the centre of all that is red, as in an upright face; confidence: any red?"""
    node = helper.make_node
    # A box is 96 px of the template, the crop 1.5 times that, so a template pixel is 1 / 144 of the crop.
    offsets = (template(128) - template(128).mean(axis=0)) / 144
    nodes = [
        node("Gather", ["image", "first"], ["red"], axis=1),
        node("ReduceSum", ["red", "all"], ["mass"], keepdims=0),
        node("Max", ["mass", "tiny"], ["safe"]),
        node("Mul", ["red", "xs"], ["red_x"]),
        node("Mul", ["red", "ys"], ["red_y"]),
        node("ReduceSum", ["red_x", "all"], ["sum_x"], keepdims=0),
        node("ReduceSum", ["red_y", "all"], ["sum_y"], keepdims=0),
        node("Div", ["sum_x", "safe"], ["x"]),
        node("Div", ["sum_y", "safe"], ["y"]),
        node("Concat", ["x", "y"], ["centre"], axis=1),
        node("Unsqueeze", ["centre", "one"], ["centres"]),
        node("Add", ["centres", "offsets"], ["landmarks"]),
        node("Squeeze", ["mass", "one"], ["mass_n"]),
        node("Clip", ["mass_n", "zero_f", "one_f"], ["confidence"]),
    ]
    steps = (np.arange(size, dtype=np.float32)) / size
    return _model(
        nodes,
        [("image", "N", 3, size, size)],
        [("landmarks", "N", 5, 2), ("confidence", "N")],
        {
            "first": np.array([0]),
            "all": np.array([2, 3]),
            "tiny": np.float32(1e-6),
            "xs": steps.reshape(1, 1, 1, size),
            "ys": steps.reshape(1, 1, size, 1),
            "one": np.array([1]),
            "offsets": offsets.astype(np.float32)[None],
            "zero_f": np.float32(0),
            "one_f": np.float32(1),
        },
    )


@dataclasses.dataclass(frozen=True)
class ToyParts:
    """A manifest and the files that it lists."""

    manifest: Manifest
    files: dict[str, bytes]


@pytest.fixture(scope="session")
def toy_parts() -> ToyParts:
    files = {
        "encoder.onnx": toy_encoder(),
        "decoder.onnx": toy_decoder(),
        "landmarks.onnx": toy_landmark_net(),
    }
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    manifest = Manifest(
        name="toy",
        version="1",
        image_size=SIZE,
        latent_size=LATENT,
        attributes=tuple(AttributeInfo(name=name) for name in ATTRIBUTES),
        features=("feature_0",),
        graphs={
            "fp32": GraphPair(
                encoder=GraphFile(file="encoder.onnx", sha256=sums["encoder.onnx"]),
                decoder=GraphFile(file="decoder.onnx", sha256=sums["decoder.onnx"]),
            )
        },
        landmarks=LandmarkInfo(file="landmarks.onnx", sha256=sums["landmarks.onnx"], input_size=48),
        opset=20,
        provenance=Provenance(
            dataset="none",
            dataset_fingerprint="0" * 64,
            preset="toy",
            steps=0,
            faces_seen=0,
            weights_licence="MIT",
        ),
    )
    return ToyParts(manifest, files)


@pytest.fixture(scope="session")
def toy_bundle(toy_parts: ToyParts, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("toy") / "toy.aif", toy_parts.manifest, toy_parts.files)


@pytest.fixture(scope="session")
def make_bundle(toy_parts: ToyParts, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bundle]:
    """Write the toy bundle with fields of its manifest, or graphs, changed."""

    def make(graphs: dict[str, bytes] | None = None, **fields: Any) -> Bundle:
        files = {**toy_parts.files, **(graphs or {})}
        data = toy_parts.manifest.model_dump()
        for entry in (*data["graphs"]["fp32"].values(), data["landmarks"]):
            entry["sha256"] = hashlib.sha256(files[entry["file"]]).hexdigest()
        manifest = Manifest.model_validate({**data, **fields})
        listed = {info.file for info in manifest.files()}
        files = {name: contents for name, contents in files.items() if name in listed}
        return write_bundle(tmp_path_factory.mktemp("bundle") / "made.aif", manifest, files)

    return make


@pytest.fixture(scope="session")
def astronaut_bgr() -> np.ndarray:
    """A real face: uint8 (512, 512, 3) BGR, the eyes near (200, 103) and (246, 105)."""
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[:, :, ::-1])
