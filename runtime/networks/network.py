"""What a loaded network is to those who call it, whatever runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

import numpy as np

from aif.runtime.arrays import Float32Array

Device = Literal["cpu", "cuda", "openvino", "ort-tensorrt"]
"""Where ONNX Runtime runs a graph."""
AnyDevice = Device | Literal["tensorrt"]
"""The same, and TensorRT without ONNX Runtime."""

Shape = tuple[int | None, ...]
"""Of a tensor; None is a dynamic dimension, as the batch is."""

MAX_BATCH = 16
"""Larger batches are run in pieces of this many faces, which bounds the memory."""


def without_batch(shapes: Mapping[str, Shape]) -> dict[str, tuple[int, ...]]:
    """Shapes of one face's tensors, for TensorRT and Triton, which put the batch in front themselves."""
    return {name: tuple(size or 0 for size in shape[1:]) for name, shape in shapes.items()}


def in_pieces(
    run: Callable[[list[str], Mapping[str, Float32Array]], list[Float32Array]],
    outputs: list[str],
    inputs: Mapping[str, Float32Array],
    most: int = MAX_BATCH,
) -> list[Float32Array]:
    """What a network's `run` gives for a batch of any size, also none, in pieces of at most so many faces."""
    pieces = [
        run(outputs, {name: each[start : start + most] for name, each in inputs.items()})
        for start in range(0, max(len(next(iter(inputs.values()))), 1), most)
    ]
    return pieces[0] if len(pieces) == 1 else [np.concatenate(c) for c in zip(*pieces, strict=True)]


class Network(Protocol):
    """One graph or engine, loaded. Calls may come from several threads at once."""

    @property
    def name(self) -> str:
        """What to call it in an error."""

    @property
    def device(self) -> AnyDevice:
        """Where it really runs."""

    @property
    def inputs(self) -> Mapping[str, Shape]:
        """Name to shape."""

    @property
    def outputs(self) -> Mapping[str, Shape]:
        """Name to shape."""

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Float32Array]) -> list[Float32Array]:
        """Compute the named outputs, in this order. Raises AifError where that fails."""
