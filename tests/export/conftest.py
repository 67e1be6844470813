"""A toy model with what real ones have: convolutions, a norm, a shortcut, a feature handed on; and crops."""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np
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


def weights(seed: int, *shape: int) -> np.ndarray:
    """float32 weights that keep the size of what goes through them."""
    fan_in = max(1, int(np.prod(shape[1:])))
    return (np.random.default_rng(seed).standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)


def encoder(shaped: bool = False) -> bytes:
    """Two convolutions, an instance norm between them; with shape, landmarks join at the end."""
    nodes = [
        node("Conv", ["image", "stem.weight"], ["a"], **PADDED),
        node("InstanceNormalization", ["a", "norm.weight", "norm.bias"], ["b"]),
        node("Relu", ["b"], ["feature_0"]),
        node("Conv", ["feature_0", "deep.weight"], ["c"], strides=[2, 2], **PADDED),
        node("Relu", ["c"], ["d"]),
        node("AveragePool", ["d"], ["e"], kernel_shape=[4, 4], strides=[4, 4]),
        node("Flatten", ["e"], ["f"]),
    ]
    inputs, outputs = {"image": ["N", 3, SIZE, SIZE]}, {"z": ["N", LATENT], "y": ["N", 2]}
    found, width = "f", 4 * WIDTH
    if shaped:
        nodes.append(node("Flatten", ["landmarks"], ["points"]))
        nodes.append(node("Concat", ["f", "points"], ["both"], axis=1))
        inputs["landmarks"], found, width = ["N", 221, 2], "both", width + 442
    else:
        outputs["feature_0"] = ["N", WIDTH, SIZE, SIZE]
    nodes += [
        node("MatMul", [found, "mean.weight"], ["z"]),
        node("MatMul", [found, "y.weight"], ["g"]),
        node("Sigmoid", ["g"], ["y"]),
    ]
    constants = {
        "stem.weight": weights(0, WIDTH, 3, 3, 3),
        "norm.weight": np.ones(WIDTH, np.float32),
        "norm.bias": np.full(WIDTH, 0.1, np.float32),
        "deep.weight": weights(1, WIDTH, WIDTH, 3, 3),
        "mean.weight": weights(2, width, LATENT) / (8 if shaped else 1),
        "y.weight": weights(3, width, 2) / (8 if shaped else 1),
    }
    return graph(nodes, inputs, outputs, **constants)


def decoder(shaped: bool = False) -> bytes:
    """z and y on a coarse grid, enlarged, the feature added, two convolutions; with shape no feature, but
    landmarks that are linear in z and y, and detail in y.
    """
    nodes = [
        node("Concat", ["z", "y"], ["both"], axis=1),
        node("MatMul", ["both", "input.weight"], ["flat"]),
        node("Reshape", ["flat", "grid"], ["coarse"]),
        node("Resize", ["coarse", "", "up"], ["large"], mode="nearest"),
        *([] if shaped else [node("Add", ["large", "feature_0"], ["sum"])]),
        node("Conv", ["large" if shaped else "sum", "mid.weight"], ["h"], **PADDED),
        node("Relu", ["h"], ["i"]),
        node("Conv", ["i", "last.weight"], ["j"], **PADDED),
        node("Sigmoid", ["j"], ["image"]),
    ]
    constants = {
        "input.weight": weights(4, LATENT + 2, WIDTH * 16),
        "grid": np.array([-1, WIDTH, 4, 4]),
        "up": np.array([1, 1, 4, 4], np.float32),
        "mid.weight": weights(5, WIDTH, WIDTH, 3, 3),
        "last.weight": weights(6, 3, WIDTH, 3, 3),
    }
    inputs, outputs = {"z": ["N", LATENT], "y": ["N", 2]}, {"image": ["N", 3, SIZE, SIZE]}
    if not shaped:
        return graph(nodes, {**inputs, "feature_0": ["N", WIDTH, SIZE, SIZE]}, outputs, **constants)
    nodes += [
        node("MatMul", ["both", "points.weight"], ["moved"]),
        node("Add", ["moved", "mean"], ["flat_points"]),
        node("Reshape", ["flat_points", "points"], ["landmarks"]),
        node("MatMul", ["y", "detail.weight"], ["flat_detail"]),
        node("Reshape", ["flat_detail", "detail_shape"], ["detail"]),
    ]
    constants |= {
        "points.weight": weights(7, LATENT + 2, 442) / 100,
        "mean": (face_points() / 128).reshape(-1).astype(np.float32),
        "points": np.array([-1, 221, 2]),
        "detail.weight": weights(8, 2, 3 * (SIZE // 4) ** 2),
        "detail_shape": np.array([-1, 3, SIZE // 4, SIZE // 4]),
    }
    outputs |= {"landmarks": ["N", 221, 2], "detail": ["N", 3, SIZE // 4, SIZE // 4]}
    return graph(nodes, inputs, outputs, **constants)


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
        Graphs(encoder(shaped=True), decoder(shaped=True)),
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
