"""Runs with fixed buffers on the device: made once for each shape, filled in place, read back once."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

# Buffers are kept for so many shapes, one for each batch of a `FaceModel`; further ones run the plain way.
MOST_SHAPES = 16

_Key = tuple[tuple[str, ...], tuple[tuple[str, tuple[int, ...]], ...]]

# While CUDA records a graph, no other thread may allocate on the device.
_RECORDING = threading.Lock()


@dataclass(frozen=True)
class _Slot:
    """The buffers of one shape: inputs by name, all of them bound, and the options of its runs."""

    binding: Any
    inputs: dict[str, Any]
    options: Any


class BoundRunner:
    """Runs one session through ONNX Runtime's I/O binding, with inputs and outputs allocated beforehand.

    Thread-safe: calls take turns. Results are copies of their own.

    Source: ONNX Runtime's documentation of I/O binding, and of the CUDA provider's `enable_cuda_graph`, which
    asks for addresses that never change and tells the recorded graphs apart by `gpu_graph_id`.
    """

    def __init__(self, session: Any, device: str, cuda_graph: bool = False) -> None:
        """Use a session.

        Args:
            session: an `onnxruntime.InferenceSession` of float32 tensors.
            device: where its buffers lie, as ONNX Runtime calls it: "cuda" or "cpu".
            cuda_graph: whether the session was made with `enable_cuda_graph`.
        """
        self._session = session
        self._device = device
        self._cuda_graph = cuda_graph
        self._input_shapes = {value.name: value.shape for value in session.get_inputs()}
        self._output_shapes = {value.name: value.shape for value in session.get_outputs()}
        self._slots: dict[_Key, _Slot] = {}
        self._lock = _RECORDING if cuda_graph else threading.Lock()

    def run(
        self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[np.float32]]
    ) -> list[npt.NDArray[np.float32]]:
        """Compute the named outputs, in this order. Raises whatever ONNX Runtime raises."""
        key = (tuple(outputs), tuple((name, inputs[name].shape) for name in sorted(inputs)))
        with self._lock:
            slot = self._slots.get(key)
            if slot is None:
                shapes = self._shapes_of(outputs, inputs) if len(self._slots) < MOST_SHAPES else None
                if shapes is None:
                    return list(self._session.run(list(outputs), dict(inputs), self._options(-1)))
                slot = self._allocate(shapes, inputs)
            for name, value in inputs.items():
                slot.inputs[name].update_inplace(np.ascontiguousarray(value))
            self._session.run_with_iobinding(slot.binding, slot.options)
            self._slots[key] = slot  # only now: what cannot run is not kept
            return [np.array(value) for value in slot.binding.copy_outputs_to_cpu()]

    def _shapes_of(
        self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[np.float32]]
    ) -> dict[str, list[int]] | None:
        """The outputs' shapes, their named sizes taken from the inputs; None where they cannot be told."""
        sizes: dict[str, int] = {}
        for name, value in inputs.items():
            if value.dtype != np.float32 or not value.size:
                return None
            sizes |= {
                key: size
                for key, size in zip(self._input_shapes.get(name, ()), value.shape, strict=False)
                if isinstance(key, str)
            }
        shapes = {
            name: [sizes.get(size) if isinstance(size, str) else size for size in self._output_shapes[name]]
            for name in outputs
            if name in self._output_shapes
        }
        known = {name: [size for size in shape if size is not None] for name, shape in shapes.items()}
        return known if known == shapes and len(shapes) == len(outputs) else None

    def _allocate(
        self, shapes: Mapping[str, list[int]], inputs: Mapping[str, npt.NDArray[np.float32]]
    ) -> _Slot:
        binding = self._session.io_binding()
        held = {}
        for name, value in inputs.items():
            held[name] = self._buffer(value.shape)
            binding.bind_ortvalue_input(name, held[name])
        for name, shape in shapes.items():
            binding.bind_ortvalue_output(name, self._buffer(shape))
        return _Slot(binding, held, self._options(len(self._slots) + 1))

    def _buffer(self, shape: Sequence[int]) -> Any:
        return ort.OrtValue.ortvalue_from_shape_and_type(list(shape), np.float32, self._device, 0)

    def _options(self, graph: int) -> Any:
        """Options of a run: which recorded graph is its own, -1 for none."""
        if not self._cuda_graph:
            return None
        options = ort.RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(graph))
        return options
