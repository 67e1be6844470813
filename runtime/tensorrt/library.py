"""The one door to TensorRT and CUDA: imported when TensorRT was chosen, and never before.

The CUDA binding is NVIDIA's cuda-bindings: it needs no CUDA toolkit (the runtime is linked into it), and has
pinned memory and graphs. Polygraphy's own `polygraphy.cuda` has neither, and looks for a `libcudart` that
pip's CUDA 13 packages put elsewhere.
"""

from __future__ import annotations

import functools
import logging
import platform
import re
import sys
from dataclasses import dataclass
from typing import Any

from aif.runtime.errors import AifError, ProviderError
from aif.runtime.tensorrt.sidecar import Machine

logger = logging.getLogger(__name__)

INSTALL = (
    'Install TensorRT, Polygraphy and NVIDIA\'s CUDA bindings: pip install "aif[trt]". '
    "Or use another: --provider cuda, --provider cpu."
)
OLDEST, NEWEST = 10, 11
"""Major versions of TensorRT that aif is written for."""


@dataclass(frozen=True)
class Library:
    """The modules, and the machine as they see it.

    Attributes:
        trt: the module `tensorrt`.
        cudart: the module `cuda.bindings.runtime`.
        trt_logger: Polygraphy's TensorRT logger, whose lines arrive in `log`.
        log: Polygraphy's own logger of Python's logging; its lines go on to ours.
    """

    trt: Any
    cudart: Any
    trt_logger: Any
    log: logging.Logger
    machine: Machine

    def cuda(self, answer: tuple[Any, ...]) -> Any:
        """What a call of `cudart` returned, without its error code: nothing, a value, or several.

        Raises:
            AifError: the call failed.
        """
        return checked(self.cudart, answer)


def checked(cudart: Any, answer: tuple[Any, ...]) -> Any:
    """As `Library.cuda`."""
    code, *values = answer
    if int(code) != 0:
        name, text = (ask(code)[1].decode() for ask in (cudart.cudaGetErrorName, cudart.cudaGetErrorString))
        out_of_memory = "Memory" in name
        raise AifError(
            f"CUDA says {name}: {text}.",
            "Edit fewer faces at once, or close other programs on the card."
            if out_of_memory
            else "Look at the driver with nvidia-smi; aif doctor shows what else is here.",
        )
    return values[0] if len(values) == 1 else tuple(values)


@functools.cache
def load_library() -> Library:
    """Import TensorRT, Polygraphy and the CUDA bindings, and look at the card.

    Raises:
        ProviderError: one of them is missing, too old or too new, or there is no card or driver.
    """
    try:
        import tensorrt as trt
        from cuda.bindings import runtime as cudart
        from polygraphy.backend.trt import get_trt_logger
        from polygraphy.logger import G_LOGGER
    except (ImportError, OSError, RuntimeError) as error:  # a package, or a library that it loads, is missing
        raise ProviderError(f"TensorRT cannot be used: {error}.", INSTALL) from error
    version = str(trt.__version__)
    if not OLDEST <= int(version.partition(".")[0]) <= NEWEST:
        raise ProviderError(
            f"TensorRT {version} is here, and aif is written for {OLDEST} and {NEWEST}.",
            f'Install: pip install "tensorrt>={OLDEST},<{NEWEST + 1}"',
        )
    try:
        card = checked(cudart, cudart.cudaGetDevice())
        about = checked(cudart, cudart.cudaGetDeviceProperties(card))
    except AifError as error:
        raise ProviderError(f"There is no card to run on: {error.message}", error.fix) from error
    except RuntimeError as error:  # the bindings miss a function in an old driver
        raise ProviderError(
            f"CUDA's bindings do not fit the driver: {error}", "Update the driver; nvidia-smi shows it."
        ) from error
    G_LOGGER.use_python_logging_system = True  # it would print on standard output
    G_LOGGER.colors = False  # and there it would say that they are missing
    _into_our_log(G_LOGGER.python_logger)
    machine = Machine(
        version, f"{about.major}.{about.minor}", bytes(about.name).split(b"\0")[0].decode(), platform_name()
    )
    return Library(trt, cudart, get_trt_logger(), G_LOGGER.python_logger, machine)


def platform_name() -> str:
    """Operating system and processor, as sidecars write them."""
    return f"{sys.platform}-{platform.machine().lower().replace('amd64', 'x86_64')}"


class _Forwarder(logging.Handler):
    """Polygraphy's and TensorRT's lines as ours: without their `[E] `, their remarks in --verbose only."""

    def emit(self, record: logging.LogRecord) -> None:
        text = plain(record.getMessage())
        logger.log(record.levelno if record.levelno >= logging.ERROR else logging.INFO, "TensorRT: %s", text)


def plain(text: str) -> str:
    """A line of Polygraphy's without its letter."""
    return re.sub(r"^\[[A-Z!]\] ", "", text).strip()


def _into_our_log(theirs: logging.Logger) -> None:
    if not any(isinstance(handler, _Forwarder) for handler in theirs.handlers):
        theirs.addHandler(_Forwarder())
        theirs.setLevel(logging.INFO)
        theirs.propagate = False
