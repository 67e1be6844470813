"""One TensorRT engine, run like an ONNX Runtime session: buffers made once, addressed by tensor name."""

from __future__ import annotations

import logging
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from aif.runtime.arrays import Float32Array
from aif.runtime.errors import AifError, BundleError, ProviderError
from aif.runtime.tensorrt.memory import Card, DeviceBuffer, PinnedArray, Recording
from aif.runtime.tensorrt.sidecar import Sidecar

logger = logging.getLogger(__name__)


@dataclass
class _Slot:
    """All that one number of faces needs: an execution context of its own and buffers that never move.

    A recorded graph belongs to its context and its addresses, so nothing of a slot is ever changed. `uploads`
    and `downloads` are the tensors that come from or go to the host; the others lie in `source`'s buffers.
    `turn` counts the runs.
    """

    context: Any
    device: dict[str, DeviceBuffer]
    host: dict[str, PinnedArray]
    uploads: tuple[str, ...]
    downloads: tuple[str, ...]
    source: _Slot | None = None
    recording: Recording | None = None
    turn: int = 0


@dataclass(frozen=True)
class Held:
    """Outputs of a run that still lie on the card, until the same number of faces is run again.

    Attributes:
        count: how many faces.
        slot, turn: where they lie, and whether they still do.
        codes: the very arrays of the host that are copies of them.
    """

    count: int
    slot: _Slot = field(repr=False, compare=False)
    turn: int
    codes: tuple[Float32Array, ...] = field(default=(), repr=False, compare=False)

    def given_out(self, *codes: Float32Array) -> Held:
        """The same, with the arrays that a caller gets; read-only, or those on the card would be stale."""
        for each in codes:
            each.flags.writeable = False
        return replace(self, codes=codes)

    def is_of(self, *codes: Float32Array) -> bool:
        """Whether these are the arrays that were given out, and not others made from them."""
        return len(codes) == len(self.codes) and all(map(operator.is_, codes, self.codes))

    @property
    def there(self) -> bool:
        """Whether they have not been overwritten. Ask with the card's lock held."""
        return self.slot.turn == self.turn


class EngineSession:
    """An engine on the card. `run` may be called from several threads; calls of one card take turns.

    Attributes:
        name: "encoder" or "decoder".
        device: always "tensorrt".
        inputs, outputs: name to shape; the batch is None.

    Source: TensorRT's documentation of `IExecutionContext`: addresses are set by tensor name, contexts of one
    engine may share their scratch memory where they take turns, and a CUDA graph needs a context of its own
    that has run once with its shapes.
    """

    device: Literal["tensorrt"] = "tensorrt"

    def __init__(self, engine: bytes, sidecar: Sidecar, card: Card, graphs: bool = False) -> None:
        """Load an engine and run it once.

        Args:
            engine: the plan, as its sidecar describes it.
            sidecar: of this engine; it fits this machine.
            card: shared by encoder and decoder.
            graphs: record the work of each number of faces and launch it as one from then on. Engines for one
                fixed number do so anyway.

        Raises:
            ProviderError: TensorRT refuses the engine.
            BundleError: its tensors are not those of its sidecar.
        """
        self.name = sidecar.part
        self.profile = sidecar.profile
        self._card = card
        self._graphs = graphs or sidecar.profile.min == sidecar.profile.max
        self._slots: dict[tuple[int, int | None], _Slot] = {}
        library = card.library
        trt = library.trt
        self._runtime = trt.Runtime(library.trt_logger)
        if sidecar.version_compatible:  # such an engine brings a program of its own
            self._runtime.engine_host_code_allowed = True
        self._engine = self._runtime.deserialize_cuda_engine(engine)
        if self._engine is None:
            raise ProviderError(
                f"TensorRT {library.machine.tensorrt} refuses the {self.name}'s engine {sidecar.file}.",
                "Its reason stands above or, with --verbose, in the log. Build it again (docs/tensorrt.md).",
            )
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        inputs = [n for n in names if self._engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
        self.inputs = {n: self._shape(n) for n in inputs}
        self.outputs = {n: self._shape(n) for n in names if n not in inputs}
        for described, found in ((sidecar.inputs, self.inputs), (sidecar.outputs, self.outputs)):
            if {n: (None, *shape) for n, shape in described.items()} != found:
                raise BundleError(
                    f"The {self.name}'s engine {sidecar.file} has {found}, not what its sidecar says.",
                    "Build it again (docs/tensorrt.md).",
                )
        for name in names:
            if self._engine.get_tensor_dtype(name) != trt.DataType.FLOAT:
                raise BundleError(f"The {self.name}'s engine has {name} of another type than float32.")
        self._scratch = DeviceBuffer(library, int(self._engine.device_memory_size_v2))
        with card.lock:
            self._run(self._slot(self.profile.opt))

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Float32Array]) -> list[Float32Array]:
        """Compute the named outputs, in this order; any number of faces, in pieces that the engine takes.

        Raises:
            AifError: TensorRT or CUDA failed.
        """
        return self.run_and_hold(outputs, inputs)[0]

    def run_and_hold(
        self, outputs: Sequence[str], inputs: Mapping[str, Float32Array]
    ) -> tuple[list[Float32Array], Held | None]:
        """As `run`, and the outputs on the card; None for these where it took several pieces, or none."""
        self._check(outputs, inputs)
        count = len(next(iter(inputs.values())))
        most = self.profile.max
        pieces, held = [], None
        for start in range(0, max(count, 1), most):
            part = {name: value[start : start + most] for name, value in inputs.items()}
            size = min(most, count - start)
            with self._card.lock:
                slot = self._slot(max(size, self.profile.min))
                for name, value in part.items():
                    slot.host[name].array[:size] = value  # an engine's least may be more: the rest is ignored
                self._run(slot)
                pieces.append([slot.host[name].array[:size].copy() for name in outputs])
                held = Held(size, slot, slot.turn) if 0 < size == count else None
        return [np.concatenate(columns) for columns in zip(*pieces, strict=True)], held

    def run_from(
        self, held: Held, outputs: Sequence[str], inputs: Sequence[Mapping[str, Float32Array]]
    ) -> list[list[Float32Array]] | None:
        """Run once for each of `inputs`, taking all other tensors from where another engine left them.

        Nothing of these is copied, on the card or through the host.

        Returns:
            The outputs of each run, in the order of `outputs`, or None where the tensors have been
            overwritten meanwhile.

        Raises:
            AifError: TensorRT or CUDA failed.
        """
        batch = len(next(iter(held.slot.host.values())).array)
        if not self.profile.min <= batch <= self.profile.max:
            return None
        found = []
        with self._card.lock:
            if not held.there:
                return None
            slot = self._slot(batch, held.slot, tuple(inputs[0]))
            for each in inputs:
                for name, value in each.items():
                    slot.host[name].array[: held.count] = value
                self._run(slot)
                found.append([slot.host[name].array[: held.count].copy() for name in outputs])
        return found

    def _check(self, outputs: Sequence[str], inputs: Mapping[str, Float32Array]) -> None:
        unknown = [name for name in outputs if name not in self.outputs]
        shapes = {name: (None, *value.shape[1:]) for name, value in inputs.items()}
        if unknown or shapes != self.inputs or len({len(value) for value in inputs.values()}) != 1:
            raise AifError(
                f"The {self.name} was asked for {', '.join(outputs)} from {shapes}; "
                f"its engine takes {self.inputs} and gives {self.outputs}."
            )

    def _run(self, slot: _Slot) -> None:
        """Upload, compute, download and wait; as one recorded graph from the second run on."""
        slot.turn += 1
        try:
            if slot.recording is not None:
                slot.recording.launch()
            else:
                self._launch(slot)
            self._card.wait()
            if self._graphs and slot.turn == 1:
                slot.recording = self._card.record(lambda: self._launch(slot))
        except AifError as error:
            raise AifError(f"The {self.name} failed on TensorRT: {error.message}", error.fix) from error

    def _launch(self, slot: _Slot) -> None:
        for name in slot.uploads:
            self._card.upload(slot.host[name], slot.device[name])
        if not slot.context.execute_async_v3(self._card.stream):
            raise AifError("it did not start.", "TensorRT's reason stands above.")
        for name in slot.downloads:
            self._card.download(slot.device[name], slot.host[name])

    def _slot(self, batch: int, source: _Slot | None = None, given: tuple[str, ...] = ()) -> _Slot:
        """The slot for a number of faces, made when first asked for.

        With a `source`, it reads there what lies there, but for the tensors that are `given` by the host.
        """
        key = (batch, None if source is None else id(source))
        found = self._slots.get(key)
        if found is None:
            linked = {} if source is None else {n: b for n, b in source.device.items() if n not in given}
            found = self._new_slot(batch, {n: b for n, b in linked.items() if n in self.inputs})
            found.source = source
            self._slots[key] = found
        return found

    def _new_slot(self, batch: int, linked: Mapping[str, DeviceBuffer]) -> _Slot:
        library = self._card.library
        strategy = library.trt.ExecutionContextAllocationStrategy.USER_MANAGED
        context = self._engine.create_execution_context(strategy)
        if context is None:
            raise AifError(f"TensorRT cannot make another context for the {self.name}.")
        context.set_device_memory(self._scratch.address, int(self._engine.device_memory_size_v2))
        done = context.set_optimization_profile_async(0, self._card.stream)
        self._card.wait()
        device: dict[str, DeviceBuffer] = {}
        host: dict[str, PinnedArray] = {}
        for name, (_, *shape) in [*self.inputs.items(), *self.outputs.items()]:
            if name in self.inputs:
                done = done and context.set_input_shape(name, (batch, *shape))
            elif tuple(context.get_tensor_shape(name)) != (batch, *shape):
                raise BundleError(f"The {self.name}'s engine gives {name} another shape than it says.")
            if name in linked:
                device[name] = linked[name]
            else:
                host[name] = PinnedArray(library, [batch, *map(int, shape)])  # type: ignore[arg-type]
                device[name] = DeviceBuffer(library, host[name].array.nbytes)
            done = done and context.set_tensor_address(name, device[name].address)
        if not done:
            raise AifError(f"TensorRT does not take {batch} faces for the {self.name}.")
        uploads = tuple(name for name in self.inputs if name in host)
        return _Slot(context, device, host, uploads, tuple(self.outputs))

    def _shape(self, name: str) -> tuple[int | None, ...]:
        return tuple(None if size < 0 else int(size) for size in self._engine.get_tensor_shape(name))
