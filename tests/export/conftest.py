"""A toy model with what real ones have: convolutions, a norm, a shortcut, a feature handed on; and crops."""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from made_up_face import face_points
from onnx.helper import make_node as node
from tiny_bundles import graph, landmark_net, sha256, shape_parts, similarity_parts

from aif.export.graphs.crops import UnlabelledFaces
from aif.export.graphs.files import Graphs
from aif.runtime.bundle.bundle import write_bundle
from aif.runtime.bundle.manifest import Manifest
from aif.runtime.model.autoencoder import Autoencoder
from aif.runtime.model.codes import FaceInputs
from aif.runtime.model.gate import Gate

SIZE, LATENT, WIDTH = 16, 6, 8
ATTRIBUTES = ("Smiling", "Bangs")
CROPS = 36
PADDED: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1] * 4}


def model(
    nodes: list[onnx.NodeProto], inputs: dict[str, list[Any]], outputs: dict[str, list[Any]], **constants: Any
) -> bytes:
    """A float32 graph; each node is named as its output."""
    for each in nodes:
        each.name = f"node_{each.output[0]}"
    return graph(nodes, inputs, outputs, **constants)


def weights(seed: int, *shape: int) -> np.ndarray:
    """float32 weights that keep the size of what goes through them."""
    fan_in = max(1, int(np.prod(shape[1:])))
    return (np.random.default_rng(seed).standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)


def encoder() -> bytes:
    """Two convolutions, an instance norm between them."""
    return model(
        [
            node("Conv", ["image", "stem.weight"], ["a"], **PADDED),
            node("InstanceNormalization", ["a", "norm.weight", "norm.bias"], ["b"]),
            node("Relu", ["b"], ["feature_0"]),
            node("Conv", ["feature_0", "deep.weight"], ["c"], strides=[2, 2], **PADDED),
            node("Relu", ["c"], ["d"]),
            node("AveragePool", ["d"], ["e"], kernel_shape=[4, 4], strides=[4, 4]),
            node("Flatten", ["e"], ["f"]),
            node("MatMul", ["f", "mean.weight"], ["z"]),
            node("MatMul", ["f", "y.weight"], ["g"]),
            node("Sigmoid", ["g"], ["y"]),
        ],
        {"image": ["N", 3, SIZE, SIZE]},
        {"z": ["N", LATENT], "y": ["N", 2], "feature_0": ["N", WIDTH, SIZE, SIZE]},
        **{
            "stem.weight": weights(0, WIDTH, 3, 3, 3),
            "norm.weight": np.ones(WIDTH, np.float32),
            "norm.bias": np.full(WIDTH, 0.1, np.float32),
            "deep.weight": weights(1, WIDTH, WIDTH, 3, 3),
            "mean.weight": weights(2, 4 * WIDTH, LATENT),
            "y.weight": weights(3, 4 * WIDTH, 2),
        },
    )


def decoder() -> bytes:
    """z and y on a coarse grid, enlarged, the feature added, two convolutions."""
    nodes, constants = _picture("sum")
    nodes.insert(4, node("Add", ["large", "feature_0"], ["sum"]))
    return model(
        nodes,
        {"z": ["N", LATENT], "y": ["N", 2], "feature_0": ["N", WIDTH, SIZE, SIZE]},
        {"image": ["N", 3, SIZE, SIZE]},
        **constants,
    )


def _picture(convolved: str) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """z and y on a coarse grid, enlarged, and two convolutions of the tensor `convolved`."""
    nodes = [
        node("Concat", ["z", "y"], ["both"], axis=1),
        node("MatMul", ["both", "input.weight"], ["flat"]),
        node("Reshape", ["flat", "grid"], ["coarse"]),
        node("Resize", ["coarse", "", "up"], ["large"], mode="nearest"),
        node("Conv", [convolved, "mid.weight"], ["h"], **PADDED),
        node("Relu", ["h"], ["i"]),
        node("Conv", ["i", "last.weight"], ["j"], **PADDED),
        node("Sigmoid", ["j"], ["image"]),
    ]
    return nodes, {
        "input.weight": weights(4, LATENT + 2, WIDTH * 16),
        "grid": np.array([-1, WIDTH, 4, 4]),
        "up": np.array([1, 1, 4, 4], np.float32),
        "mid.weight": weights(5, WIDTH, WIDTH, 3, 3),
        "last.weight": weights(6, 3, WIDTH, 3, 3),
    }


def shape_encoder() -> bytes:
    """Two convolutions of the texture; landmarks join at the end."""
    return model(
        [
            node("Conv", ["image", "stem.weight"], ["a"], **PADDED),
            node("Relu", ["a"], ["b"]),
            node("Conv", ["b", "deep.weight"], ["c"], strides=[4, 4], **PADDED),
            node("Flatten", ["c"], ["d"]),
            node("Flatten", ["landmarks"], ["points"]),
            node("Concat", ["d", "points"], ["both"], axis=1),
            node("MatMul", ["both", "mean.weight"], ["z"]),
            node("MatMul", ["both", "y.weight"], ["g"]),
            node("Sigmoid", ["g"], ["y"]),
        ],
        {"image": ["N", 3, SIZE, SIZE], "landmarks": ["N", 221, 2]},
        {"z": ["N", LATENT], "y": ["N", 2]},
        **{
            "stem.weight": weights(0, WIDTH, 3, 3, 3),
            "deep.weight": weights(1, WIDTH, WIDTH, 3, 3),
            "mean.weight": weights(2, 16 * WIDTH + 442, LATENT) / 8,
            "y.weight": weights(3, 16 * WIDTH + 442, 2) / 8,
        },
    )


def shape_decoder() -> bytes:
    """A texture as the other decoder's, landmarks that are linear in z and y, and detail in y."""
    nodes, constants = _picture("large")
    return model(
        [
            *nodes,
            node("MatMul", ["both", "points.weight"], ["moved"]),
            node("Add", ["moved", "mean"], ["flat_points"]),
            node("Reshape", ["flat_points", "points"], ["landmarks"]),
            node("MatMul", ["y", "detail.weight"], ["flat_detail"]),
            node("Reshape", ["flat_detail", "detail_shape"], ["detail"]),
        ],
        {"z": ["N", LATENT], "y": ["N", 2]},
        {"image": ["N", 3, SIZE, SIZE], "landmarks": ["N", 221, 2], "detail": ["N", 3, SIZE // 4, SIZE // 4]},
        **constants,
        **{
            "points.weight": weights(7, LATENT + 2, 442) / 100,
            "mean": (face_points() / 128).reshape(-1).astype(np.float32),
            "points": np.array([-1, 221, 2]),
            "detail.weight": weights(8, 2, 3 * (SIZE // 4) ** 2),
            "detail_shape": np.array([-1, 3, SIZE // 4, SIZE // 4]),
        },
    )


@dataclasses.dataclass(frozen=True)
class Toy:
    """The FP32 graphs and a bundle's worth of them."""

    graphs: Graphs
    manifest: Manifest
    files: dict[str, bytes]

    def model(self, **graphs: bytes) -> Autoencoder:
        """The graphs, or others in their place, loaded."""
        return dataclasses.replace(self.graphs, **graphs).loaded(self.manifest)


def _toy(graphs: Graphs, more: dict[str, bytes], **fields: Any) -> Toy:
    files = {f"{part}.onnx": data for part, data in graphs.parts().items()}
    pair = {part: {"file": f"{part}.onnx", "sha256": sha256(data)} for part, data in graphs.parts().items()}
    known = similarity_parts().manifest.model_dump()
    known["provenance"]["dataset"] = "photos"
    sizes = {"image_size": SIZE, "latent_size": LATENT, "attributes": [{"name": n} for n in ATTRIBUTES]}
    manifest = {**known, **sizes, "graphs": {"fp32": pair}, "landmarks": None, **fields}
    return Toy(graphs, Manifest.model_validate(manifest), {**files, **more})


@pytest.fixture(scope="session")
def toy():
    return _toy(Graphs(encoder(), decoder()), {"MODEL_CARD.md": b"# Toy\n"})


@pytest.fixture(scope="session")
def shape_toy():
    """The same of a model with shape."""
    known = shape_parts().manifest
    return _toy(
        Graphs(shape_encoder(), shape_decoder()),
        {"landmarks.onnx": landmark_net()},
        frame="shape",
        compositing="warp",
        features=(),
        shape=known.shape,
        landmarks=known.landmarks,
    )


@pytest.fixture(scope="session")
def shape_faces(crops):
    """Textures with landmarks of faces that are a little different."""
    noise = np.random.default_rng(0).normal(0, 0.01, (len(crops), 221, 2))
    return FaceInputs(crops, (face_points() / 128 + noise).astype(np.float32))


@pytest.fixture(scope="session")
def shape_gate(shape_toy, shape_faces):
    return Gate(shape_toy.model(), shape_faces.rows(slice(16)))


@pytest.fixture(scope="session")
def graph_of():
    """Make a graph of nodes: graph_of(nodes, inputs, outputs, **constants)."""
    return model


@pytest.fixture
def toy_path(toy, tmp_path):
    """The toy as a zipped bundle."""
    return write_bundle(tmp_path / "toy.aif", toy.manifest, toy.files).path


@pytest.fixture(scope="session")
def crop_folder(tmp_path_factory):
    """A folder of crops without labels: colour gradients, no two alike."""
    root = tmp_path_factory.mktemp("crops")
    for number in range(CROPS):
        rng = np.random.default_rng(number)
        corners = rng.integers(0, 256, (2, 2, 3)).astype(np.float32)
        image = cv2.resize(corners, (SIZE, SIZE)) + rng.normal(0, 12, (SIZE, SIZE, 3))
        place = root / ("a" if number % 2 else "b") / f"{number:02}.png"
        place.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(place), image.clip(0, 255).astype(np.uint8))
    return root


@pytest.fixture(scope="session")
def faces(crop_folder):
    return UnlabelledFaces(crop_folder)


@pytest.fixture(scope="session")
def crops(faces):
    """float32 (36, 3, S, S) in [0, 1]."""
    images = np.stack([faces.image(i) for i in range(len(faces))]).astype(np.float32) / 255
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


@pytest.fixture(scope="session")
def gate(toy, crops):
    return Gate(toy.model(), FaceInputs(crops[:16]))
