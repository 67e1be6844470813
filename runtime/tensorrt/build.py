"""An ONNX graph becomes a TensorRT engine, through Polygraphy. The precision is the graph's own."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aif.runtime.errors import AifError, ConfigError
from aif.runtime.fetch import cache_folder
from aif.runtime.model.model import MAX_BATCH
from aif.runtime.tensorrt.library import Library, plain
from aif.runtime.tensorrt.sidecar import AMPERE, BatchProfile

logger = logging.getLogger(__name__)

DEFAULT_PROFILE = BatchProfile(min=1, opt=2, max=MAX_BATCH)


@dataclass(frozen=True)
class BuildOptions:
    """How engines are built."""

    profile: BatchProfile = DEFAULT_PROFILE
    """Numbers of faces; a photo's one face is decoded twice, before and after."""
    workspace: int | None = None
    """Most scratch memory of one layer, in bytes; None = all of the card's."""
    timing_cache: Path | None = None
    """Where measured kernels are kept for the next build; None = in the user's cache folder."""
    version_compatible: bool = False
    """Run on later versions of TensorRT, too; the file is larger and may be slower."""
    hardware_compatible: bool = False
    """Run on every card from Ampere (compute capability 8.0) on; may be slower."""


def parse_batch(text: str) -> BatchProfile:
    """A profile from "1,2,16"; one number alone is a fixed batch.

    Raises:
        ConfigError: no such numbers, or not in rising order.
    """
    try:
        numbers = [int(part) for part in text.split(",")]
        low, middle, high = numbers * 3 if len(numbers) == 1 else numbers
        return BatchProfile(min=low, opt=middle, max=high)
    except ValueError as error:  # pydantic's is one, too
        raise ConfigError(
            f"--batch {text!r} is not understood.",
            "Write three rising numbers of faces from 1 to 1024, such as 1,2,16, or one for a fixed batch.",
        ) from error


def parse_size(text: str) -> int:
    """Bytes from "512M" or "2G" (MiB, GiB), or a plain number of MiB.

    Raises:
        ConfigError: no such size.
    """
    units = {"M": 1 << 20, "G": 1 << 30}
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].upper() in units else (text, "M")
    if not number.isdecimal() or int(number) == 0:
        raise ConfigError(f"--workspace {text!r} is not understood.", "Write 512M or 2G.")
    return int(number) * units[unit]


def timing_cache_path(options: BuildOptions, library: Library) -> Path:
    """Where the timing cache lies: measured kernels are of one version of TensorRT and one kind of card."""
    machine = library.machine
    name = f"timing.trt{machine.tensorrt}.sm{machine.capability.replace('.', '')}.cache"
    return options.timing_cache or cache_folder() / "engines" / name


def check_timing_cache(options: BuildOptions, library: Library) -> Path:
    """Where the timing cache lies, once its folder is there and it may be written.

    Raises:
        ConfigError: it cannot be.
    """
    cache = timing_cache_path(options, library)
    reason: str | None = None
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        if cache.is_dir():
            reason = "it is a folder"
        elif not os.access(cache if cache.exists() else cache.parent, os.W_OK):
            reason = "it may not be written"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason is not None:
        raise ConfigError(
            f"The timing cache cannot be kept at {cache} ({reason}).", "Name another: --timing-cache"
        )
    return cache


def build_engine(library: Library, graph: bytes, inputs: Sequence[str], options: BuildOptions) -> bytes:
    """Build a strongly typed engine: every layer in the type that the graph gives it, TF32 never.

    Takes minutes. The timing cache is read and written under a lock (`FILE.lock`), so that several builds may
    share it.

    Args:
        library: TensorRT.
        graph: ONNX bytes with float32 inputs and outputs and a dynamic batch.
        inputs: names of the inputs, as the manifest has them.
        options: see `BuildOptions`.

    Raises:
        AifError: the graph cannot be parsed, has other inputs, or no engine can be built; with every error
            that TensorRT reported.
        ConfigError: a hardware-compatible engine on a card before Ampere, or as `check_timing_cache`.
    """
    from polygraphy.backend.trt import (
        CreateConfig,
        Profile,
        engine_bytes_from_network,
        network_from_onnx_bytes,
    )

    trt = library.trt
    numbers = tuple(int(part) for part in library.machine.capability.split("."))
    if options.hardware_compatible and numbers < AMPERE:
        raise ConfigError(
            f"Hardware-compatible engines are built on cards from compute capability 8.0 on; "
            f"{library.machine.gpu} has {library.machine.capability}.",
            "Leave out --hardware-compatible.",
        )
    cache = check_timing_cache(options, library)
    # TensorRT 11 knows networks of no other kind; should it drop the flag, none is needed.
    typed = hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")
    with _told("The graph cannot be parsed by TensorRT", library.log):
        builder, network, parser = network_from_onnx_bytes(graph, strongly_typed=typed)
    tensors = [network.get_input(index) for index in range(network.num_inputs)]
    if {tensor.name for tensor in tensors} != set(inputs):
        raise AifError(
            f"The graph takes {', '.join(tensor.name for tensor in tensors)}, "
            f"the manifest says {', '.join(inputs)}.",
            "Export the bundle again with aif-export.",
        )
    profile, batch = Profile(), options.profile
    for tensor in tensors:
        _, *shape = tensor.shape
        profile.add(tensor.name, *((count, *shape) for count in (batch.min, batch.opt, batch.max)))
    limits = None if options.workspace is None else {trt.MemoryPoolType.WORKSPACE: options.workspace}
    level = trt.HardwareCompatibilityLevel.AMPERE_PLUS if options.hardware_compatible else None
    config = CreateConfig(
        profiles=[profile],
        load_timing_cache=str(cache) if cache.is_file() else None,
        memory_pool_limits=limits,
        version_compatible=options.version_compatible or None,
        hardware_compatibility_level=level,
    )
    with _told("TensorRT cannot build the engine", library.log):
        engine = engine_bytes_from_network(
            (builder, network, parser), config=config, save_timing_cache=str(cache)
        )
    return bytes(engine)


class _Collector(logging.Filter):
    """Keeps the errors that Polygraphy and TensorRT report, each once, out of the log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.ERROR:
            return True
        line = plain(record.getMessage())
        if line not in self.lines:
            self.lines.append(line)
        return False


@contextmanager
def _told(what: str, theirs: logging.Logger) -> Iterator[None]:
    """Turn Polygraphy's errors into ours, with all that was reported before them.

    Raises:
        AifError: the work inside failed.
    """
    from polygraphy.exception import PolygraphyException

    collector = _Collector()
    theirs.addFilter(collector)
    try:
        yield
        for line in collector.lines:
            logger.warning("TensorRT: %s", line)
    except (PolygraphyException, RuntimeError, OSError) as error:
        lines = collector.lines or _lines(error)
        raise AifError(
            f"{what}: {'; '.join(lines)}",
            "A newer TensorRT may know more: pip install -U tensorrt. --verbose shows all that it says.",
        ) from error
    finally:
        theirs.removeFilter(collector)


def _lines(error: Any) -> list[str]:
    return [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
