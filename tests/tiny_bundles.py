"""Tiny bundles of real graphs: one of whole crops, one of textures and landmarks. For tests of all folders.

`similarity_parts` keeps the crop on a coarse grid, the rest as a feature; `shape_parts` keeps texture and
landmarks. Both decoders add what y says, and y is read as mean red and mean blue.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import onnx
from made_up_face import face_points, made_up_frame
from onnx import TensorProto, helper, numpy_helper

from aif.runtime.bundle.manifest import (
    AttributeInfo,
    CropNetInfo,
    FileInfo,
    GraphPair,
    HairColour,
    HairInfo,
    Manifest,
    Provenance,
    ShapeInfo,
)
from aif.runtime.geometry import points as dense

SIZE, GRID, NET_SIZE = 32, 4, 48
GRID_CODES = 3 * GRID * GRID
DETAIL = (3, SIZE // 4, SIZE // 4)
SHAPE_CODES = GRID_CODES + 2 * dense.COUNT
ATTRIBUTES = ("Smiling", "Blond_Hair")
FILES = ("encoder.onnx", "decoder.onnx", "landmarks.onnx")
SMILE = 0.03
"""How far a smile moves the corners of the mouth, outwards and up, in units of the crop's side."""

node = helper.make_node


@dataclass(frozen=True)
class Parts:
    """A manifest and the files that it lists."""

    manifest: Manifest
    files: dict[str, bytes]


def graph(
    nodes: list[Any], inputs: dict[str, list[Any]], outputs: dict[str, list[Any]], **constants: Any
) -> bytes:
    """A float32 graph of opset 20, checked; each node is named as its output."""
    for each in nodes:
        each.name = f"node_{each.output[0]}"

    def info(values: dict[str, list[Any]]) -> list[Any]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in values.items()]

    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "tiny", info(inputs), info(outputs), held)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


def patterns(size: int = SIZE) -> np.ndarray:
    """What each attribute paints at y = 1, red mouth and yellow forehead: float32 (2, 3, S, S) RGB."""
    scale = size / 128
    mouth, hair = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    for plane, x, y, wide, high in ((mouth, 64, 101, 18, 8), (hair, 64, 30, 30, 10)):
        place, axes = (int(x * scale), int(y * scale)), (int(wide * scale), int(high * scale))
        cv2.ellipse(plane, place, axes, 0, 0, 360, 1, -1)
    colours = np.array([[0.5, -0.3, -0.3], [0.3, 0.3, -0.2]], dtype=np.float32)
    return colours[:, :, None, None] * np.stack([mouth, hair])[:, None]


def moves() -> np.ndarray:
    """How each attribute moves the landmarks at y = 1: float32 (2, 221, 2) in units of the crop's side."""
    found = np.zeros((2, dense.COUNT, 2), np.float32)
    for ring in (dense.OUTER_LIP, dense.INNER_LIP):
        x = face_points()[ring, 0] / 128 - 0.5
        found[0, ring, 0] = SMILE * x / 0.12
        found[0, ring, 1] = -SMILE * np.square(x / 0.12)
    return found


def _scales(factor: float) -> np.ndarray:
    return np.array([1, 1, factor, factor], dtype=np.float32)


def _reading() -> tuple[list[Any], dict[str, Any]]:
    """Nodes and constants of the grid and y, the same in both encoders."""
    side = SIZE // GRID
    nodes = [
        node("AveragePool", ["image"], ["grid"], kernel_shape=[side] * 2, strides=[side] * 2),
        node("Flatten", ["grid"], ["codes"]),
        node("ReduceMean", ["image", "space"], ["means"], keepdims=0),
        node("Gather", ["means", "red_blue"], ["y"], axis=1),
    ]
    return nodes, {"space": np.array([2, 3]), "red_blue": np.array([0, 2])}


def similarity_encoder() -> bytes:
    """z: the picture on a 4x4 grid; feature_0: the rest at half size."""
    nodes, constants = _reading()
    nodes += [
        node("Identity", ["codes"], ["z"]),
        node("Resize", ["grid", "", "up"], ["coarse"], mode="linear"),
        node("Sub", ["image", "coarse"], ["rest"]),
        node("AveragePool", ["rest"], ["feature_0"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    return graph(
        nodes,
        {"image": ["N", 3, SIZE, SIZE]},
        {"z": ["N", GRID_CODES], "y": ["N", 2], "feature_0": ["N", 3, SIZE // 2, SIZE // 2]},
        up=_scales(SIZE / GRID),
        **constants,
    )


def _painting(parts: list[str]) -> tuple[list[Any], dict[str, Any]]:
    """Nodes and constants that sum `parts` and y times the patterns to `image`, within 0 and 1."""
    nodes = [
        node("MatMul", ["y", "patterns"], ["flat"]),
        node("Reshape", ["flat", "image_shape"], ["paint"]),
        node("Sum", [*parts, "paint"], ["sum"]),
        node("Clip", ["sum", "zero", "one"], ["image"]),
    ]
    constants = {
        "patterns": patterns().reshape(2, -1),
        "image_shape": np.array([-1, 3, SIZE, SIZE]),
        "zero": np.float32(0),
        "one": np.float32(1),
        "grid_shape": np.array([-1, 3, GRID, GRID]),
        "up": _scales(SIZE / GRID),
    }
    return nodes, constants


def similarity_decoder() -> bytes:
    """The picture again, with each attribute's pattern painted in y times."""
    nodes, constants = _painting(["coarse", "rest"])
    return graph(
        [
            node("Reshape", ["z", "grid_shape"], ["grid"]),
            node("Resize", ["grid", "", "up"], ["coarse"], mode="linear"),
            node("Resize", ["feature_0", "", "twice"], ["rest"], mode="linear"),
            *nodes,
        ],
        {"z": ["N", GRID_CODES], "y": ["N", 2], "feature_0": ["N", 3, SIZE // 2, SIZE // 2]},
        {"image": ["N", 3, SIZE, SIZE]},
        twice=_scales(2),
        **constants,
    )


def shape_encoder() -> bytes:
    """z: the texture on a 4x4 grid, then the landmarks as they are."""
    nodes, constants = _reading()
    nodes += [node("Flatten", ["landmarks"], ["points"]), node("Concat", ["codes", "points"], ["z"], axis=1)]
    return graph(
        nodes,
        {"image": ["N", 3, SIZE, SIZE], "landmarks": ["N", dense.COUNT, 2]},
        {"z": ["N", SHAPE_CODES], "y": ["N", 2]},
        **constants,
    )


def shape_decoder() -> bytes:
    """The coarse texture with the patterns painted in, the landmarks with the moves, a little more detail: y
    times."""
    nodes, constants = _painting(["coarse"])
    return graph(
        [
            node("Split", ["z", "lengths"], ["codes", "points"], axis=1),
            node("Reshape", ["codes", "grid_shape"], ["grid"]),
            node("Resize", ["grid", "", "up"], ["coarse"], mode="linear"),
            *nodes,
            node("MatMul", ["y", "moves"], ["moved"]),
            node("Add", ["points", "moved"], ["both"]),
            node("Reshape", ["both", "points_shape"], ["landmarks"]),
            node("MatMul", ["y", "amplitudes"], ["flat_detail"]),
            node("Reshape", ["flat_detail", "detail_shape"], ["detail"]),
        ],
        {"z": ["N", SHAPE_CODES], "y": ["N", 2]},
        {"image": ["N", 3, SIZE, SIZE], "landmarks": ["N", dense.COUNT, 2], "detail": ["N", *DETAIL]},
        lengths=np.array([GRID_CODES, 2 * dense.COUNT]),
        moves=moves().reshape(2, -1),
        points_shape=np.array([-1, dense.COUNT, 2]),
        amplitudes=np.array([[0.1], [0.0]], np.float32) * np.ones((1, math.prod(DETAIL)), np.float32),
        detail_shape=np.array([-1, *DETAIL]),
        **constants,
    )


def landmark_net(size: int = NET_SIZE) -> bytes:
    """A face of the made-up shape around the centre of all that is red, upright; confidence: any red?

    It fills the crop as a close view does (120 of the template's pixels), so another look finds it there.
    """
    template = face_points()
    offsets = (template - np.array([64, 79])) / 120
    steps = np.arange(size, dtype=np.float32) / size
    return graph(
        [
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
            node("Unsqueeze", ["centre", "second"], ["centres"]),
            node("Add", ["centres", "offsets"], ["landmarks"]),
            node("Concat", ["x", "x", "x"], ["wide"], axis=1),
            node("Mul", ["wide", "nothing"], ["pose"]),
            node("Squeeze", ["mass", "second"], ["mass_n"]),
            node("Clip", ["mass_n", "nothing", "one"], ["confidence"]),
        ],
        {"image": ["N", 3, size, size]},
        {"landmarks": ["N", dense.COUNT, 2], "pose": ["N", 3], "confidence": ["N"]},
        first=np.array([0]),
        second=np.array([1]),
        all=np.array([2, 3]),
        tiny=np.float32(1e-6),
        xs=steps.reshape(1, 1, 1, size),
        ys=steps.reshape(1, 1, size, 1),
        offsets=offsets.astype(np.float32)[None],
        nothing=np.float32(0),
        one=np.float32(1),
    )


def matte_net(size: int = NET_SIZE) -> bytes:
    """The upper third of the crop is hair, whatever it shows."""
    hair = np.zeros((1, 1, size, size), np.float32)
    hair[:, :, : size // 3] = 1
    return graph(
        [
            node("ReduceMean", ["image", "channels"], ["grey"], keepdims=1),
            node("Mul", ["grey", "nothing"], ["black"]),
            node("Add", ["black", "hair"], ["matte"]),
        ],
        {"image": ["N", 3, size, size]},
        {"matte": ["N", 1, size, size]},
        channels=np.array([1]),
        nothing=np.float32(0),
        hair=hair,
    )


def detector_net() -> bytes:
    """An upright face of four cells' side wherever a cell of 8 px is red all over."""
    upright = np.array([0, 0, math.log(4), 1, 0], np.float32).reshape(1, 5, 1, 1)
    return graph(
        [
            node("Gather", ["image", "first"], ["red"], axis=1),
            node("AveragePool", ["red"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
            node("Floor", ["cells"], ["heat"]),
            node("Mul", ["heat", "nothing"], ["zero"]),
            node("Add", ["zero", "upright"], ["box"]),
        ],
        {"image": ["N", 3, "H", "W"]},
        {"heat": ["N", 1, "h", "w"], "box": ["N", 5, "h", "w"]},
        first=np.array([0]),
        nothing=np.float32(0),
        upright=upright,
    )


def sha256(data: bytes) -> str:
    """64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def _manifest(files: dict[str, bytes], **fields: Any) -> Manifest:
    encoder, decoder = (FileInfo(file=name, sha256=sha256(files[name])) for name in FILES[:2])
    values: dict[str, Any] = {
        "name": "toy",
        "version": "1",
        "image_size": SIZE,
        "attributes": tuple(AttributeInfo(name=name) for name in ATTRIBUTES),
        "graphs": {"fp32": GraphPair(encoder=encoder, decoder=decoder)},
        "landmarks": CropNetInfo(
            file="landmarks.onnx", sha256=sha256(files["landmarks.onnx"]), input_size=NET_SIZE
        ),
        "opset": 20,
        "provenance": Provenance(
            dataset="none",
            dataset_fingerprint="0" * 64,
            preset="toy",
            steps=0,
            faces_seen=0,
            weights_licence="MIT",
        ),
    }
    return Manifest(**{**values, **fields})


def similarity_parts(**fields: Any) -> Parts:
    """The bundle of whole crops; `fields` of its manifest may be changed."""
    networks = similarity_encoder(), similarity_decoder(), landmark_net()
    files = dict(zip(FILES, networks, strict=True))
    known = {"latent_size": GRID_CODES, "features": ("feature_0",)}
    return Parts(_manifest(files, **{**known, **fields}), files)


def shape_parts(matte: bool = True, **fields: Any) -> Parts:
    """The bundle of textures and landmarks, with hair colours of Blond_Hair, and with `matte` its network."""
    files = dict(zip(FILES, (shape_encoder(), shape_decoder(), landmark_net()), strict=True))
    blond = HairColour(lightness=-0.1, red=0.25, blue=-0.35, contrast=0.3)
    dark = HairColour(lightness=-1.2, red=0.15, blue=-0.1, contrast=0.4)
    known: dict[str, Any] = {
        "latent_size": SHAPE_CODES,
        "frame": "shape",
        "compositing": "warp",
        "shape": ShapeInfo.of(made_up_frame()),
        "attributes": (
            AttributeInfo(name="Smiling", group="expression"),
            AttributeInfo(name="Blond_Hair", group="hair"),
        ),
        "hair": {"Blond_Hair": HairInfo(on=blond, off=dark)},
    }
    if matte:
        files["matte.onnx"] = matte_net()
        known["matte"] = CropNetInfo(
            file="matte.onnx", sha256=sha256(files["matte.onnx"]), input_size=NET_SIZE
        )
    return Parts(_manifest(files, **{**known, **fields}), files)
