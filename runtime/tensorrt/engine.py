"""One TensorRT engine, run by Polygraphy's `TrtRunner` and called like an ONNX Runtime session."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from aif.runtime.arrays import Float32Array
from aif.runtime.errors import AifError, BundleError, ProviderError
from aif.runtime.networks.network import Shape, in_pieces
from aif.runtime.tensorrt.library import load_library
from aif.runtime.tensorrt.sidecar import Sidecar


class EngineSession:
    """An engine on the card, as a `Network`. Calls may come from several threads and take turns."""

    device: Literal["tensorrt"] = "tensorrt"

    def __init__(self, engine: bytes, sidecar: Sidecar) -> None:
        """Load an engine, which fits this machine, and run it once, on zeros.

        Raises:
            ProviderError: TensorRT is not here, or refuses the engine.
            BundleError: its tensors are not those of its sidecar.
        """
        machine = load_library()
        from polygraphy.backend import trt as polygraphy
        from polygraphy.exception import PolygraphyException

        self.name, self._profile, self._lock = sidecar.part, sidecar.profile, threading.Lock()
        self.inputs: dict[str, Shape] = {name: (None, *shape) for name, shape in sidecar.inputs.items()}
        self.outputs: dict[str, Shape] = {name: (None, *shape) for name, shape in sidecar.outputs.items()}
        self._failures = (PolygraphyException, RuntimeError, OSError)
        self._runner = polygraphy.TrtRunner(polygraphy.EngineFromBytes(engine), name=self.name)
        try:
            self._runner.activate()
        except self._failures as error:
            raise ProviderError(
                f"TensorRT {machine.tensorrt} refuses the {self.name}'s engine {sidecar.file}.",
                "Its reason stands above or, with --verbose, in the log. Build it again (docs/tensorrt.md).",
            ) from error
        weakref.finalize(self, self._runner.deactivate)
        self._check(sidecar)

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Float32Array]) -> list[Float32Array]:
        """The named outputs, in this order, of any number of faces, in pieces that the engine takes; AifError
        on failure.
        """
        try:
            return in_pieces(self._run, list(outputs), inputs, self._profile.max)
        except self._failures as error:
            raise AifError(
                f"The {self.name} failed on TensorRT: {str(error).strip()}",
                "If memory ran out, edit fewer faces at once, or close other programs on the card.",
            ) from error

    def _run(self, outputs: Sequence[str], inputs: Mapping[str, Float32Array]) -> list[Float32Array]:
        """One piece; where an engine's least is more, zeros fill up and their results are dropped."""
        count = len(next(iter(inputs.values())))
        missing = max(self._profile.min - count, 0)
        filled = {
            name: np.ascontiguousarray(np.pad(value, [(0, missing)] + [(0, 0)] * (value.ndim - 1)))
            for name, value in inputs.items()
        }
        with self._lock:
            found = self._runner.infer(filled, check_inputs=False)
            return [np.array(found[name][:count]) for name in outputs]  # the runner's own buffers are reused

    def _check(self, sidecar: Sidecar) -> None:
        count, wrong = self._profile.opt, "is not what its sidecar says"
        zeros = {name: np.zeros((count, *shape), np.float32) for name, shape in sidecar.inputs.items()}
        try:
            found = self._runner.infer(zeros)
            if {name: (each.dtype, each.shape[1:]) for name, each in found.items()} == {
                name: (np.float32, shape) for name, shape in sidecar.outputs.items()
            }:
                return
        except self._failures as error:
            wrong = f"does not run: {str(error).strip()}"
        raise BundleError(
            f"The {self.name}'s engine {sidecar.file} {wrong}.", "Build it again (docs/tensorrt.md)."
        )
