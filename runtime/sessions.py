"""ONNX Runtime sessions that run where they were asked to run, or say why not."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from aif.runtime.errors import AifError, BundleError, ConfigError, ProviderError

logger = logging.getLogger(__name__)

Provider = Literal["cpu", "cuda", "auto"]
Device = Literal["cpu", "cuda"]

# ONNX Runtime warns at start on machines without a graphics card. Its errors stay visible, but not where
# "auto" only tries whether CUDA is there.
_ERRORS, _FATAL = 3, 4
ort.set_default_logger_severity(_ERRORS)

_CUDA_HELP = (
    "Install the NVIDIA driver, and CUDA with cuDNN for ONNX Runtime: "
    'pip install "onnxruntime-gpu[cuda,cudnn]" (with no other onnxruntime package beside it). '
    "Or run on the processor: --provider cpu."
)


class Session:
    """One graph, loaded on one device. `run` may be called from several threads at once.

    Attributes:
        device: where it really runs, "cpu" or "cuda".
        inputs, outputs: name to shape; a dynamic dimension is None.
    """

    def __init__(
        self, graph: bytes, device: Device, threads: int | None, name: str, quiet: bool = False
    ) -> None:
        """Load a graph.

        Args:
            graph: ONNX bytes.
            device: "cpu" or "cuda"; never falls back to the other.
            threads: threads of one call on the CPU; None = one a core.
            name: what to call the graph in an error.
            quiet: keep ONNX Runtime's own complaints about the device off the terminal.

        Raises:
            ProviderError: "cuda" cannot be loaded.
            BundleError: the bytes are no usable graph.
        """
        check_threads(threads)
        self.name = name
        self.device: Device = device
        options = ort.SessionOptions()
        options.log_severity_level = _ERRORS
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = threads or 0
        providers: list[Any] = ["CPUExecutionProvider"]
        if device == "cuda":
            _require_cuda()
            # The default tries every convolution algorithm for each new batch size.
            providers.insert(0, ("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC"}))
        try:
            ort.set_default_logger_severity(_FATAL if quiet else _ERRORS)
            self._session = ort.InferenceSession(graph, options, providers=providers)
        except Exception as error:  # ONNX Runtime's errors have no common base
            raise BundleError(
                f"ONNX Runtime {ort.__version__} cannot load the {name}: {_first_line(error)}",
                "Copy or export the bundle again, or update with: pip install -U onnxruntime-gpu",
            ) from error
        finally:
            ort.set_default_logger_severity(_ERRORS)
        self._session.disable_fallback()
        if device == "cuda" and "CUDAExecutionProvider" not in self._session.get_providers():
            raise ProviderError(
                "ONNX Runtime could not load CUDA and would have used the processor.", _CUDA_HELP
            )
        for value in [*self._session.get_inputs(), *self._session.get_outputs()]:
            if value.type != "tensor(float)":
                raise BundleError(f"The {name} has {value.name} of type {value.type}, not float32.")
        self.inputs = {value.name: _shape(value.shape) for value in self._session.get_inputs()}
        self.outputs = {value.name: _shape(value.shape) for value in self._session.get_outputs()}

    def run(
        self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[np.float32]]
    ) -> list[npt.NDArray[np.float32]]:
        """Compute the named outputs, in this order.

        Raises:
            AifError: ONNX Runtime failed, out of memory for instance.
        """
        try:
            return list(self._session.run(list(outputs), dict(inputs)))
        except Exception as error:
            raise AifError(
                f"The {self.name} failed on {self.device}: {_first_line(error)}",
                "If memory ran out, edit fewer faces at once or use --provider cpu.",
            ) from error


def choose_devices(provider: Provider) -> tuple[Device, ...]:
    """The devices to try, in order, for a provider's name.

    Raises:
        ConfigError: there is no such provider.
    """
    if provider not in get_args(Provider):
        raise ConfigError(f"There is no provider {provider!r}.", f"Known: {', '.join(get_args(Provider))}.")
    if provider != "auto":
        return (provider,)
    try:
        _require_cuda()
    except ProviderError as error:
        logger.info("Running on the processor: %s", error.message)
        return ("cpu",)
    return ("cuda", "cpu")


def check_threads(threads: int | None) -> None:
    """Raise ConfigError unless `threads` is None or at least 1."""
    if threads is not None and threads < 1:
        raise ConfigError(f"The number of threads must be at least 1, not {threads}.")


def _require_cuda() -> None:
    """Raise ProviderError when CUDA is out of the question; else load its libraries, where pip put them."""
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        raise ProviderError("This ONNX Runtime was built without CUDA.", _CUDA_HELP)
    driver = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(driver)
    except OSError as error:
        raise ProviderError(f"There is no NVIDIA driver here (no {driver}).", _CUDA_HELP) from error
    # ONNX Runtime 1.21 and later find CUDA where pip put it; what is missing shows when the session is made.
    preload = getattr(ort, "preload_dlls", None)
    if preload is not None:
        with contextlib.redirect_stdout(io.StringIO()):
            preload()


def _shape(shape: Sequence[object]) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in shape)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
