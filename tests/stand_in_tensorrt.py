"""TensorRT on a card, neither of them there: just as much as aif and the real Polygraphy ask of it.

It stands in for the module `tensorrt`, names and signatures as documented, on the card of stand_in_cuda.py,
and is strict: a batch outside the profile, a shape or address not set, or a plan of another version fail as
they would there. Engines compute with ONNX Runtime. What it cannot show is what TensorRT makes of a graph:
kernels, rounding, operators it does not know.
"""

from __future__ import annotations

import ctypes
import enum
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from stand_in_cuda import CudaCard

MAGIC = b"PLAN"


class Flag(enum.IntEnum):
    TF32 = 7
    VERSION_COMPATIBLE = 20


class Creation(enum.IntEnum):
    STRONGLY_TYPED = 1


class Pool(enum.IntEnum):
    WORKSPACE = 0


class Level(enum.IntEnum):
    NONE = 0
    AMPERE_PLUS = 1


class Mode(enum.IntEnum):
    INPUT = 1
    OUTPUT = 2


class Strategy(enum.IntEnum):
    STATIC = 0
    USER_MANAGED = 2


class Card(CudaCard):
    """The machine with TensorRT on it.

    Attributes:
        version: of TensorRT.
        builds: one dictionary an engine: flags, profile, limits ...
        errors, builder_errors: what the parser finds wrong, and what the builder reports.
        refuse_build: no engine comes out.
        spoil: applied to every output of every engine.
    """

    def __init__(self) -> None:
        super().__init__()
        self.version = "11.3.0.14"
        self.builds: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self.builder_errors: list[str] = []
        self.refuse_build = False
        self.spoil: Callable[[str, np.ndarray], np.ndarray] = lambda name, value: value

    def tensorrt(self) -> Any:
        card = self

        class ILogger:
            pass

        names = ("INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE")
        severities = enum.IntEnum("Severity", {name: i for i, name in enumerate(names)})  # type: ignore[misc]
        return SimpleNamespace(
            __version__=card.version,
            ILogger=ILogger,
            Logger=severities,
            BuilderFlag=Flag,
            NetworkDefinitionCreationFlag=Creation,
            MemoryPoolType=Pool,
            HardwareCompatibilityLevel=Level,
            TensorIOMode=Mode,
            ExecutionContextAllocationStrategy=Strategy,
            DataType=SimpleNamespace(FLOAT="float32"),
            DeviceType=SimpleNamespace(DLA="dla"),
            LayerType=SimpleNamespace(SHAPE="shape"),
            init_libnvinfer_plugins=lambda logger, space: True,
            Builder=lambda logger: Builder(card, logger, severities),
            OnnxParser=lambda network, logger: Parser(card, network),
            Runtime=lambda logger: Runtime(card),
        )


class Network:
    """A network of one ONNX graph."""

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.onnx = b""
        self.inputs: list[Any] = []

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    def get_input(self, index: int) -> Any:
        return self.inputs[index]

    def __iter__(self) -> Any:
        return iter(())


class Parser:
    def __init__(self, card: Card, network: Network) -> None:
        self._card, self._network = card, network

    @property
    def num_errors(self) -> int:
        return len(self._card.errors)

    def get_error(self, index: int) -> str:
        return self._card.errors[index]

    def parse(self, data: bytes) -> bool:
        model = onnx.load_from_string(data)
        self._network.onnx = data
        for value in model.graph.input:
            dims = value.type.tensor_type.shape.dim
            shape = tuple(-1 if dim.dim_param else dim.dim_value for dim in dims)
            self._network.inputs.append(
                SimpleNamespace(name=value.name, shape=shape, dtype="float32", is_shape_tensor=False)
            )
        return not self._card.errors


class TimingCache:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def combine(self, other: TimingCache, ignore_mismatch: bool) -> bool:
        self.data += other.data
        return True

    def serialize(self) -> Any:
        return memoryview(self.data)


class Config:
    """A builder's settings; precision flags are not among them, as in TensorRT 11."""

    DLA_core = -1
    default_device_type = "gpu"

    def __init__(self) -> None:
        self.profiles: list[dict[str, Any]] = []
        self.flags: set[Flag] = set()
        self.cleared: set[Flag] = set()
        self.limits: dict[Pool, int] = {}
        self.cache: TimingCache | None = None
        self.hardware_compatibility_level = Level.NONE
        self.loaded = b""

    def add_optimization_profile(self, profile: Any) -> None:
        self.profiles.append(profile.shapes)

    def set_flag(self, flag: Flag) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: Flag) -> None:
        self.cleared.add(flag)

    def get_flag(self, flag: Flag) -> bool:
        return flag in self.flags

    def set_memory_pool_limit(self, pool: Pool, size: int) -> None:
        self.limits[pool] = size

    def create_timing_cache(self, data: bytes) -> TimingCache:
        self.loaded = self.loaded or bytes(data)
        return TimingCache(bytes(data))

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        self.cache = cache
        return True

    def get_timing_cache(self) -> TimingCache | None:
        return self.cache

    @property
    def num_optimization_profiles(self) -> int:
        return len(self.profiles)


class Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, Any] = {}

    def set_shape(self, name: str, low: Any, middle: Any, high: Any) -> None:
        self.shapes[name] = (tuple(low), tuple(middle), tuple(high))

    def __bool__(self) -> bool:
        return bool(self.shapes)


class Builder:
    def __init__(self, card: Card, logger: Any, severities: Any) -> None:
        self._card, self._logger, self._severities = card, logger, severities

    def create_network(self, flags: int = 0) -> Network:
        return Network(flags)

    def create_builder_config(self) -> Config:
        return Config()

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
        for line in self._card.builder_errors:
            self._logger.log(self._severities.ERROR, line)
        if self._card.refuse_build:
            return None
        (profile,) = config.profiles
        asked = {
            "typed": bool(network.flags & 1 << Creation.STRONGLY_TYPED),
            "profile": profile,
            "flags": {flag.name for flag in config.flags},
            "cleared": {flag.name for flag in config.cleared},
            "limits": config.limits,
            "level": config.hardware_compatibility_level.name,
            "timing": config.loaded,
        }
        self._card.builds.append(asked)
        assert config.cache is not None
        config.cache.data += b"measured;"
        head = {
            "version": self._card.version,
            "compatible": Flag.VERSION_COMPATIBLE in config.flags,
            "range": [profile[next(iter(profile))][i][0] for i in (0, 2)],
        }
        return MAGIC + json.dumps(head).encode() + b"\n" + network.onnx


class Runtime:
    engine_host_code_allowed = False

    def __init__(self, card: Card) -> None:
        self._card = card

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        if not plan.startswith(MAGIC):
            return None
        head, _, graph = plan[len(MAGIC) :].partition(b"\n")
        facts = json.loads(head)
        if facts["compatible"]:
            return Engine(self._card, facts, graph) if self.engine_host_code_allowed else None
        return Engine(self._card, facts, graph) if facts["version"] == self._card.version else None


class Engine:
    device_memory_size_v2 = 4096

    def __init__(self, card: Card, facts: dict[str, Any], graph: bytes) -> None:
        self.card, self.range = card, facts["range"]
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.inputs = {v.name: v.shape for v in self.session.get_inputs()}
        self.outputs = {v.name: v.shape for v in self.session.get_outputs()}

    @property
    def num_io_tensors(self) -> int:
        return len(self.inputs) + len(self.outputs)

    def get_tensor_name(self, index: int) -> str:
        return [*self.inputs, *self.outputs][index]

    def get_tensor_mode(self, name: str) -> Mode:
        return Mode.INPUT if name in self.inputs else Mode.OUTPUT

    def get_tensor_dtype(self, name: str) -> str:
        return "float32"

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        shape = {**self.inputs, **self.outputs}[name]
        return tuple(size if isinstance(size, int) else -1 for size in shape)

    def create_execution_context(self, strategy: Strategy) -> Context:
        assert strategy is Strategy.USER_MANAGED
        return Context(self)


class Context:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._scratch = self._profile = False

    def set_device_memory(self, address: int, size: int) -> None:
        self._scratch = size >= 4096 and self._engine.card.check_range(address, size, False)

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self._profile = index == 0 and stream == 77
        return self._profile

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, high = self._engine.range
        self._shapes[name] = shape
        return bool(self._profile and low <= shape[0] <= high)

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        assert set(self._shapes) == set(self._engine.inputs)
        (batch,) = {shape[0] for shape in self._shapes.values()}
        return (batch, *self._engine.get_tensor_shape(name)[1:])

    def set_tensor_address(self, name: str, address: int) -> bool:
        size = 4 * int(np.prod(self.get_tensor_shape(name) if name in self._engine.outputs else [1]))
        self._addresses[name] = address
        return self._engine.card.check_range(address, size, False)

    def execute_async_v3(self, stream: int) -> bool:
        ready = {*self._engine.inputs, *self._engine.outputs} == set(self._addresses)
        if not (ready and self._scratch and self._profile and stream == 77):
            return False
        self._engine.card.enqueue(self._compute)
        return True

    def _array(self, name: str) -> np.ndarray:
        shape = self._shapes.get(name) or self.get_tensor_shape(name)
        size = int(np.prod(shape))
        assert self._engine.card.check_range(self._addresses[name], 4 * size, False), f"{name} was freed"
        floats = (ctypes.c_float * size).from_address(self._addresses[name])
        return np.frombuffer(memoryview(floats), np.float32).reshape(shape)

    def _compute(self) -> None:
        engine = self._engine
        engine.card.log.append("run")
        outputs = list(engine.outputs)
        inputs = {name: self._array(name).copy() for name in engine.inputs}
        for name, value in zip(outputs, engine.session.run(outputs, inputs), strict=True):
            self._array(name)[...] = engine.card.spoil(name, value)
