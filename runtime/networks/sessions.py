"""ONNX Runtime sessions that run where they were asked to run, or say why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime as ort

from aif.runtime.arrays import Float32Array
from aif.runtime.errors import AifError, BundleError, ConfigError, first_line
from aif.runtime.networks.cpu import multiplies_int8
from aif.runtime.networks.network import Device, Shape
from aif.runtime.networks.providers import check_placed, placed_nodes, provider_list, require

# ONNX Runtime warns at start on machines without a graphics card. Its errors stay visible, but not where
# "auto" only tries whether CUDA is there.
_ERRORS, _FATAL = 3, 4
ort.set_default_logger_severity(_ERRORS)
ort.disable_telemetry_events()  # of a program that imported it before us, and on Windows


class Session:
    """One graph, loaded on one device, as a `Network`. `run` may be called from several threads at once."""

    def __init__(
        self, graph: bytes, device: Device, threads: int | None, name: str, quiet: bool = False
    ) -> None:
        """Load a graph.

        Args:
            graph: ONNX bytes; all inputs and outputs are float32.
            device: "cpu", "cuda", "openvino" or "ort-tensorrt"; never falls back to another.
            threads: threads of one call on the CPU; None = one a core.
            name: what to call it in an error.
            quiet: keep ONNX Runtime's own complaints about the device out of the terminal.

        Raises:
            ProviderError: the device's provider cannot be loaded.
            BundleError: the bytes are no usable graph.
        """
        check_threads(threads)
        self.name = name
        self.device: Device = device
        options = ort.SessionOptions()
        options.log_severity_level = _ERRORS
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = threads or 0
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        # Threads that wait for the next piece of work would keep their cores busy, which others need: in a
        # film, three times as much of the processor for hardly any speed.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if not multiplies_int8():
            # There x86 adds products of uint8 and int8 in 16 bits, which overflow. This makes ONNX Runtime
            # multiply exactly, at the price of speed.
            options.add_session_config_entry("session.x64quantprecision", "1")
        require(device)
        providers = provider_list(device, threads)
        try:
            ort.set_default_logger_severity(_FATAL if quiet else _ERRORS)
            self._session = ort.InferenceSession(graph, options, providers=providers)
        except Exception as error:  # ONNX Runtime's errors have no common base
            raise BundleError(
                f"ONNX Runtime {ort.__version__} cannot load the {name}: {first_line(error)}",
                "Copy or export the bundle again, or update with: pip install -U onnxruntime-gpu",
            ) from error
        finally:
            ort.set_default_logger_severity(_ERRORS)
        self._session.disable_fallback()
        if device != "cpu":
            check_placed(self._session, device)
        for value in [*self._session.get_inputs(), *self._session.get_outputs()]:
            if value.type != "tensor(float)":
                raise BundleError(f"The {name} has {value.name} of type {value.type}, not float32.")
        self.inputs = _shapes(self._session.get_inputs())
        self.outputs = _shapes(self._session.get_outputs())

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Float32Array]) -> list[Float32Array]:
        """Compute the named outputs, in this order; AifError where that fails, out of memory for instance."""
        try:
            return list(self._session.run(list(outputs), dict(inputs)))
        except Exception as error:
            raise AifError(
                f"The {self.name} failed on {self.device}: {first_line(error)}",
                "If memory ran out, edit fewer faces at once or use --provider cpu.",
            ) from error

    def placed_nodes(self) -> Counter[str]:
        """As `placed_nodes` of the providers."""
        return placed_nodes(self._session)


def check_threads(threads: int | None) -> None:
    """Raise ConfigError unless `threads` is None or at least 1."""
    if threads is not None and threads < 1:
        raise ConfigError(f"The number of threads must be at least 1, not {threads}.")


def _shapes(values: Sequence[Any]) -> dict[str, Shape]:
    return {each.name: tuple(n if isinstance(n, int) else None for n in each.shape) for each in values}
