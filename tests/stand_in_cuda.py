"""A card with CUDA that is not there: just as much of `cuda.bindings.runtime` as aif asks of it.

Names and signatures are as documented. It is strict: an address that was never allocated or a copy in the
wrong direction fails as it would there. Work put into the stream is done when somebody waits for it, and not
before, so that a forgotten wait shows. What it cannot show is what hardware really does: speed, drivers.
"""
# ruff: noqa: N802, N815 - the names are CUDA's

from __future__ import annotations

import ctypes
import enum
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any


class Error(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorStreamCaptureUnsupported = 900


class Kind(enum.IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class CudaCard:
    """The card: what it is, what was done on it, and what goes wrong.

    Attributes:
        capability, name: of the card.
        log: what was done in the stream: "up", "down", "run", "launch".
        live: memory that has not been freed, address to (size, whether pinned host memory).
        fails: names of CUDA functions that fail, and with what.
    """

    errors_of_cuda = Error

    def __init__(self) -> None:
        self.capability, self.name = "9.0", "Stand-in 9000"
        self.log: list[str] = []
        self.live: dict[int, tuple[int, bool]] = {}
        self.fails: dict[str, Error] = {}
        self._memory: dict[int, Any] = {}
        self._queue: list[Callable[[], None]] = []
        self._captured: list[Callable[[], None]] | None = None

    def enqueue(self, job: Callable[[], None]) -> None:
        (self._queue if self._captured is None else self._captured).append(job)

    def check_range(self, address: int, size: int, pinned: bool) -> bool:
        return any(
            start <= address and address + size <= start + held and kind is pinned
            for start, (held, kind) in self.live.items()
        )

    def cudart(self) -> Any:
        def answer(name: str, call: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
            def called(*arguments: Any) -> tuple[Any, ...]:
                if name in self.fails:
                    self._captured = None if name == "cudaStreamEndCapture" else self._captured
                    return (self.fails[name], None)
                return call(*arguments)

            return called

        calls = {
            name: answer(name, getattr(self, f"_{name}"))
            for name in dict.fromkeys(n[1:] for n in dir(self) if n.startswith("_cuda"))
        }
        modes = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)
        return SimpleNamespace(
            cudaMemcpyKind=Kind, cudaStreamCaptureMode=modes, cudaStreamNonBlocking=1, **calls
        )

    def _cudaGetDevice(self) -> tuple[Any, ...]:
        return (Error.cudaSuccess, 0)

    def _cudaGetDeviceProperties(self, card: int) -> tuple[Any, ...]:
        major, minor = map(int, self.capability.split("."))
        return (
            Error.cudaSuccess,
            SimpleNamespace(major=major, minor=minor, name=self.name.encode().ljust(256, b"\0")),
        )

    def _cudaGetErrorName(self, code: Error) -> tuple[Any, ...]:
        return (Error.cudaSuccess, Error(code).name.encode())

    def _cudaGetErrorString(self, code: Error) -> tuple[Any, ...]:
        return (Error.cudaSuccess, b"as the stand-in was told")

    def _allocate(self, size: int, pinned: bool) -> tuple[Any, ...]:
        memory = ctypes.create_string_buffer(size)
        address = ctypes.addressof(memory)
        self._memory[address], self.live[address] = memory, (size, pinned)
        return (Error.cudaSuccess, address)

    def _cudaMalloc(self, size: int) -> tuple[Any, ...]:
        return self._allocate(size, False)

    def _cudaMallocHost(self, size: int) -> tuple[Any, ...]:
        return self._allocate(size, True)

    def _release(self, address: int, pinned: bool) -> tuple[Any, ...]:
        assert self.live[address][1] is pinned
        del self.live[address], self._memory[address]
        return (Error.cudaSuccess,)

    def _cudaFree(self, address: int) -> tuple[Any, ...]:
        return self._release(address, False)

    def _cudaFreeHost(self, address: int) -> tuple[Any, ...]:
        return self._release(address, True)

    def _cudaStreamCreateWithFlags(self, flags: int) -> tuple[Any, ...]:
        assert flags == 1
        return (Error.cudaSuccess, 77)

    def _cudaStreamDestroy(self, stream: int) -> tuple[Any, ...]:
        return (Error.cudaSuccess,)

    def _cudaMemcpyAsync(
        self, target: int, source: int, size: int, kind: Kind, stream: int
    ) -> tuple[Any, ...]:
        up = kind is Kind.cudaMemcpyHostToDevice
        if not (
            self.check_range(source, size, up) and self.check_range(target, size, not up) and stream == 77
        ):
            return (Error.cudaErrorInvalidValue,)

        def copy() -> None:
            self.log.append("up" if up else "down")
            ctypes.memmove(target, source, size)

        self.enqueue(copy)
        return (Error.cudaSuccess,)

    def _cudaStreamSynchronize(self, stream: int) -> tuple[Any, ...]:
        assert self._captured is None, "waiting is forbidden while CUDA records"
        while self._queue:
            self._queue.pop(0)()
        return (Error.cudaSuccess,)

    def _cudaStreamBeginCapture(self, stream: int, mode: int) -> tuple[Any, ...]:
        assert not self._queue
        self._captured = []
        return (Error.cudaSuccess,)

    def _cudaStreamEndCapture(self, stream: int) -> tuple[Any, ...]:
        graph, self._captured = self._captured, None
        return (Error.cudaSuccess, graph)

    def _cudaGraphInstantiate(self, graph: Any, flags: int) -> tuple[Any, ...]:
        return (Error.cudaSuccess, list(graph))

    def _cudaGraphDestroy(self, graph: Any) -> tuple[Any, ...]:
        return (Error.cudaSuccess,)

    _cudaGraphExecDestroy = _cudaGraphDestroy

    def _cudaGraphLaunch(self, runs: Any, stream: int) -> tuple[Any, ...]:
        self.log.append("launch")
        self._queue.extend(runs)
        return (Error.cudaSuccess,)
