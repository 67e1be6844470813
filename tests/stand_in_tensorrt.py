"""A card with TensorRT that is not there, under the names of Polygraphy that aif calls.

Builders and runners take what Polygraphy's own take, configurations are made by the real one, and all are
strict: a batch outside the profile, another shape or a plan of another version is refused. Runners compute
with ONNX Runtime and give the same buffers again and again. What it cannot show is what TensorRT makes of a
graph on hardware.
"""

from __future__ import annotations

import json
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from polygraphy.backend import trt as polygraphy
from polygraphy.exception import PolygraphyException
from polygraphy.logger import G_LOGGER

from aif.runtime.tensorrt.library import load_library

_CONFIG = polygraphy.CreateConfig


def _config(**given: Any) -> dict[str, Any]:
    real = _CONFIG(**given)  # refuses what it does not know
    assert not (real.tf32 or real.fp16 or real.int8), "the precision is the graph's own"
    return given


class Card:
    """The machine.

    Attributes:
        version, capability, name: of TensorRT and of the card; `plug_in` again after a change.
        cuda: the error code of CUDA's first call.
        builds: one dictionary an engine: what `CreateConfig` got, and the profile by input.
        runs: the number of faces of each run.
        errors: what the parser finds wrong.
        build_error, run_error: why the builder or a runner fails; None = it does not.
        spoil: applied to every output of every engine.
    """

    def __init__(self) -> None:
        self.version, self.capability, self.name, self.cuda = "11.3.0.14", "9.0", "Stand-in 9000", 0
        self.builds: list[dict[str, Any]] = []
        self.runs: list[int] = []
        self.errors: list[str] = []
        self.build_error: str | None = None
        self.run_error: str | None = None
        self.spoil: Callable[[str, np.ndarray], np.ndarray] = lambda name, value: value

    def plug_in(self, patch: pytest.MonkeyPatch) -> None:
        """Let aif find this machine."""
        load_library.cache_clear()
        major, minor = map(int, self.capability.split("."))
        about = SimpleNamespace(major=major, minor=minor, name=self.name.encode().ljust(256, b"\0"))
        cudart = SimpleNamespace(
            cudaGetDevice=lambda: (self.cuda, 0),
            cudaGetDeviceProperties=lambda card: (0, about),
            cudaGetErrorName=lambda code: (0, b"cudaErrorInsufficientDriver"),
        )
        bindings = types.ModuleType("cuda.bindings")
        bindings.runtime = cudart  # type: ignore[attr-defined]
        patch.setitem(sys.modules, "cuda.bindings", bindings)
        patch.setitem(sys.modules, "cuda.bindings.runtime", cudart)
        module = SimpleNamespace(
            __version__=self.version,
            NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=1),
            MemoryPoolType=SimpleNamespace(WORKSPACE="workspace"),
            HardwareCompatibilityLevel=SimpleNamespace(AMPERE_PLUS="ampere and later"),
        )
        patch.setitem(sys.modules, "tensorrt", module)
        for name in ("network_from_onnx_bytes", "engine_bytes_from_network"):
            patch.setattr(polygraphy, name, getattr(self, f"_{name}"))
        patch.setattr(polygraphy, "CreateConfig", _config)
        patch.setattr(polygraphy, "EngineFromBytes", lambda engine: engine)
        patch.setattr(polygraphy, "TrtRunner", lambda engine, name: Runner(self, engine))

    def _network_from_onnx_bytes(self, model_bytes: bytes, strongly_typed: bool) -> Any:
        assert strongly_typed
        for line in self.errors:
            G_LOGGER.error(line)
        if self.errors:
            raise PolygraphyException("Could not parse ONNX correctly")
        inputs = [
            SimpleNamespace(
                name=each.name,
                shape=tuple(-1 if d.dim_param else d.dim_value for d in each.type.tensor_type.shape.dim),
            )
            for each in onnx.load_from_string(model_bytes).graph.input
        ]
        network = SimpleNamespace(
            onnx=model_bytes, num_inputs=len(inputs), get_input=lambda index: inputs[index]
        )
        return "builder", network, "parser"

    def _engine_bytes_from_network(self, network: Any, config: Any, save_timing_cache: str) -> Any:
        if self.build_error is not None:
            raise PolygraphyException(self.build_error)
        (profile,) = config["profiles"]
        shapes = {name: tuple(map(tuple, (s.min, s.opt, s.max))) for name, s in profile.items()}
        self.builds.append({name: each for name, each in config.items() if name != "profiles"})
        self.builds[-1]["profile"] = shapes
        with Path(save_timing_cache).open("ab") as file:
            file.write(b"measured;")
        low, _, high = next(iter(shapes.values()))
        head = {"tensorrt": self.version, "compatible": "version_compatible" in config, "least": low[0]}
        return memoryview(json.dumps(head | {"most": high[0]}).encode() + b"\n" + network[1].onnx)


class Runner:
    """What `TrtRunner` does, with ONNX Runtime."""

    def __init__(self, card: Card, engine: bytes) -> None:
        self._card, self._engine, self._busy = card, engine, threading.Lock()
        self._buffers: dict[str, np.ndarray] = {}

    def activate(self) -> None:
        head, _, graph = self._engine.partition(b"\n")
        self._facts = json.loads(head)
        if self._facts["tensorrt"] != self._card.version and not self._facts["compatible"]:
            raise PolygraphyException("Could not deserialize engine")
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def deactivate(self) -> None:
        del self._session

    def infer(self, feed_dict: dict[str, np.ndarray], check_inputs: bool = True) -> dict[str, np.ndarray]:
        assert self._busy.acquire(blocking=False), "a runner is not for two threads at once"
        try:
            if check_inputs and set(feed_dict) != {each.name for each in self._session.get_inputs()}:
                raise PolygraphyException("other inputs than the engine's")
            (count,) = {len(value) for value in feed_dict.values()}
            if self._card.run_error is not None:
                raise PolygraphyException(self._card.run_error)
            if not self._facts["least"] <= count <= self._facts["most"]:
                raise PolygraphyException(f"{count} faces are outside the profile")
            self._card.runs.append(count)
            names = [each.name for each in self._session.get_outputs()]
            for name, value in zip(names, self._session.run(names, feed_dict), strict=True):
                buffer = self._buffers.setdefault(
                    name, np.empty((self._facts["most"], *value.shape[1:]), np.float32)
                )
                buffer[:count] = self._card.spoil(name, value)
            return {name: self._buffers[name][:count] for name in names}
        finally:
            self._busy.release()
