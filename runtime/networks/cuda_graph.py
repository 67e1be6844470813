"""Sessions whose work CUDA records once and launches as one, from and to buffers that never move."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from aif.runtime.arrays import Float32Array

MOST_SHAPES = 16
"""So many batch sizes are recorded; further ones run the plain way."""

_RECORDING = threading.Lock()
"""While CUDA records a graph, no other thread may allocate on the device."""

_Key = tuple[tuple[str, ...], tuple[tuple[str, tuple[int, ...]], ...]]


class CudaGraphRunner:
    """Runs a session that was made with `enable_cuda_graph`. Calls take turns; results are copies.

    Source: ONNX Runtime's documentation of I/O binding and of `enable_cuda_graph`, which asks for addresses
    that never change and tells the recorded graphs apart by `gpu_graph_id` (-1: do not record).
    """

    def __init__(self, session: Any, device: str = "cuda") -> None:
        """Use an `onnxruntime.InferenceSession` of float32 tensors; its buffers lie on `device`."""
        self._session, self._device = session, device
        self._batched = {value.name: value.shape for value in session.get_outputs()}
        self._slots: dict[_Key, tuple[Any, dict[str, Any], Any]] = {}

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Float32Array]) -> list[Float32Array]:
        """Compute the named outputs, in this order. Raises whatever ONNX Runtime raises."""
        key = (tuple(outputs), tuple((name, value.shape) for name, value in sorted(inputs.items())))
        with _RECORDING:
            slot = self._slots.get(key)
            if slot is None:
                full = all(value.size and value.dtype == np.float32 for value in inputs.values())
                if not full or len(self._slots) == MOST_SHAPES:
                    return list(self._session.run(list(outputs), dict(inputs), _options(-1)))
                slot = self._allocate(outputs, inputs)
            binding, held, options = slot
            for name, value in inputs.items():
                held[name].update_inplace(np.ascontiguousarray(value))
            self._session.run_with_iobinding(binding, options)
            self._slots[key] = slot  # only now: what cannot run is not kept
            return [np.array(value) for value in binding.copy_outputs_to_cpu()]

    def _allocate(
        self, outputs: Sequence[str], inputs: Mapping[str, Float32Array]
    ) -> tuple[Any, dict[str, Any], Any]:
        batch = len(next(iter(inputs.values()), ()))
        binding, held = self._session.io_binding(), {}
        for name, value in inputs.items():
            held[name] = self._buffer(value.shape)
            binding.bind_ortvalue_input(name, held[name])
        for name in outputs:
            binding.bind_ortvalue_output(name, self._buffer((batch, *self._batched[name][1:])))
        return binding, held, _options(len(self._slots) + 1)

    def _buffer(self, shape: Sequence[int]) -> Any:
        return ort.OrtValue.ortvalue_from_shape_and_type(list(shape), np.float32, self._device, 0)


def _options(graph: int) -> Any:
    options = ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(graph))
    return options
