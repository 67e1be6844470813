"""The one door to TensorRT: imported when TensorRT was chosen, and never before.

All work on the card is Polygraphy's. NVIDIA's CUDA bindings say which card it is, and find CUDA's runtime
library, which Polygraphy does not look for where pip's CUDA 13 packages put it.
"""

from __future__ import annotations

import functools
import logging
import os
import platform
import re
import sys
from pathlib import Path

from aif.runtime.errors import ProviderError
from aif.runtime.tensorrt.sidecar import Machine

logger = logging.getLogger(__name__)

INSTALL = (
    'Install TensorRT, Polygraphy and NVIDIA\'s CUDA bindings: pip install "aif[trt]". '
    "Or use another: --provider cuda, --provider cpu."
)
OLDEST, NEWEST = 10, 11
"""Major versions of TensorRT that aif is written for."""


@functools.cache
def load_library() -> Machine:
    """Import TensorRT, Polygraphy and the CUDA bindings, and look at the card.

    Raises:
        ProviderError: one of them is missing, too old or too new, or there is no card or driver.
    """
    try:
        import tensorrt
        from cuda.bindings import runtime as cudart
        from polygraphy import cuda  # noqa: F401 - whether it is there
    except (ImportError, OSError, RuntimeError) as error:  # a package, or a library that it loads, is missing
        raise ProviderError(f"TensorRT cannot be used: {error}.", INSTALL) from error
    version = str(tensorrt.__version__)
    if not OLDEST <= int(version.partition(".")[0]) <= NEWEST:
        raise ProviderError(
            f"TensorRT {version} is here, and aif is written for {OLDEST} and {NEWEST}.",
            f'Install: pip install "tensorrt>={OLDEST},<{NEWEST + 1}"',
        )
    try:
        code, card = cudart.cudaGetDevice()
        about = None if int(code) else cudart.cudaGetDeviceProperties(card)[1]
    except RuntimeError as error:  # the bindings miss a function in an old driver
        raise ProviderError(
            f"CUDA's bindings do not fit the driver: {error}", "Update the driver; nvidia-smi shows it."
        ) from error
    if about is None:
        name = cudart.cudaGetErrorName(code)[1].decode()
        raise ProviderError(
            f"There is no card to run on: CUDA says {name}.",
            "Look at the driver with nvidia-smi; aif doctor shows what else is here.",
        )
    _show_cudart()
    _log_as_ours()
    gpu = bytes(about.name).split(b"\0")[0].decode()
    return Machine(version, f"{about.major}.{about.minor}", gpu, platform_name())


def platform_name() -> str:
    """Operating system and processor, as sidecars write them."""
    return f"{sys.platform}-{platform.machine().lower().replace('amd64', 'x86_64')}"


def _show_cudart() -> None:
    """Let Polygraphy load the CUDA runtime that pip installed: it looks along the environment's path."""
    from polygraphy import cuda

    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib

        folder = str(Path(load_nvidia_dynamic_lib("cudart").abs_path).parent)
    except (ImportError, RuntimeError):  # none of pip's: Polygraphy finds the system's, or complains
        return
    name = "PATH" if sys.platform == "win32" else "LD_LIBRARY_PATH"
    known = os.environ.pop(name, None)
    os.environ[name] = folder if known is None else os.pathsep.join((folder, known))
    try:
        cuda.wrapper()  # looks once, and keeps what it found
    finally:
        del os.environ[name]
        if known is not None:
            os.environ[name] = known


def _log_as_ours() -> None:
    """Let what Polygraphy and TensorRT say arrive in our log: errors as errors, the rest with --verbose."""
    from polygraphy.logger import G_LOGGER

    G_LOGGER.use_python_logging_system = True  # it would print on standard output
    G_LOGGER.colors = False  # and there it would say that they are missing
    theirs = logging.getLogger("Polygraphy")
    theirs.setLevel(logging.INFO)
    theirs.propagate = False
    theirs.handlers = [_Forwarder()]


class _Forwarder(logging.Handler):
    """Polygraphy's lines without the letter in front, such as `[E] `."""

    def emit(self, record: logging.LogRecord) -> None:
        level = logging.ERROR if record.levelno >= logging.ERROR else logging.INFO
        logger.log(level, "TensorRT: %s", re.sub(r"^\[[A-Z!]\] ", "", record.getMessage()).strip())
