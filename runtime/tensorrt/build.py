"""An ONNX graph becomes a TensorRT engine, through Polygraphy. The precision is the graph's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aif.runtime.errors import AifError, ConfigError
from aif.runtime.fetch import cache_folder
from aif.runtime.networks.network import MAX_BATCH
from aif.runtime.tensorrt.library import load_library
from aif.runtime.tensorrt.sidecar import BatchProfile, Machine

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


def check_timing_cache(options: BuildOptions, machine: Machine) -> Path:
    """Where the timing cache of this TensorRT and card lies; ConfigError where it cannot be written."""
    name = f"timing.trt{machine.tensorrt}.sm{machine.capability.replace('.', '')}.cache"
    cache = options.timing_cache or cache_folder() / "engines" / name
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        if cache.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        if not os.access(cache if cache.exists() else cache.parent, os.W_OK):
            raise PermissionError(0, "it may not be written")
    except OSError as error:
        raise ConfigError(
            f"The timing cache cannot be kept at {cache} ({error.strerror}).", "Name another: --timing-cache"
        ) from error
    return cache


def build_engine(graph: bytes, options: BuildOptions) -> bytes:
    """Build a strongly typed engine: every layer in the type that the graph gives it, TF32 never.

    Takes minutes. Polygraphy locks the timing cache (`FILE.lock`), so that several builds may share it.

    Args:
        graph: ONNX bytes with float32 inputs and outputs and a dynamic batch.

    Raises:
        ProviderError: TensorRT is not here.
        AifError: the graph cannot be parsed, or no engine can be built; what TensorRT reported goes to the
            log.
        ConfigError: as `check_timing_cache`.
    """
    cache = check_timing_cache(options, load_library())
    import tensorrt
    from polygraphy.backend import trt as polygraphy

    settings: dict[str, object] = {"load_timing_cache": str(cache)} if cache.is_file() else {}
    if options.workspace is not None:
        settings["memory_pool_limits"] = {tensorrt.MemoryPoolType.WORKSPACE: options.workspace}
    if options.version_compatible:
        settings["version_compatible"] = True
    if options.hardware_compatible:
        settings["hardware_compatibility_level"] = tensorrt.HardwareCompatibilityLevel.AMPERE_PLUS
    with _as_ours("The graph cannot be parsed by TensorRT"):
        builder, network, parser = polygraphy.network_from_onnx_bytes(graph, strongly_typed=True)
    profile, batch = polygraphy.Profile(), options.profile
    for tensor in (network.get_input(index) for index in range(network.num_inputs)):
        _, *shape = tensor.shape
        profile.add(tensor.name, *((count, *shape) for count in (batch.min, batch.opt, batch.max)))
    with _as_ours("TensorRT cannot build the engine"):
        engine = polygraphy.engine_bytes_from_network(
            (builder, network, parser),
            config=polygraphy.CreateConfig(profiles=[profile], **settings),
            save_timing_cache=str(cache),
        )
    return bytes(engine)


@contextmanager
def _as_ours(what: str) -> Iterator[None]:
    """Turn Polygraphy's errors into ours."""
    from polygraphy.exception import PolygraphyException

    try:
        yield
    except (PolygraphyException, RuntimeError, OSError) as error:
        raise AifError(
            f"{what}: {str(error).strip() or type(error).__name__}",
            "All that it reported is in the log. A newer TensorRT may know more: pip install -U tensorrt.",
        ) from error
