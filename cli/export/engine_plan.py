"""The engines of `aif-export --trt`: options in, a plan out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aif.cli.options import split_names
from aif.runtime.errors import ConfigError

if TYPE_CHECKING:
    from aif.export.request import EnginePlan
    from aif.runtime.tensorrt.sidecar import BatchProfile


def engine_plan(
    precision: str,
    batch: str | None,
    workspace: str | None,
    timing_cache: Path | None,
    version_compatible: bool,
    hardware_compatible: bool,
) -> EnginePlan:
    """The plan for the command line's options; TensorRT is looked for already here.

    Raises:
        ConfigError: an option that is not understood, or a timing cache that cannot be written.
        ProviderError: TensorRT is not here.
    """
    from aif.export.request import EnginePlan
    from aif.runtime.tensorrt.build import DEFAULT_PROFILE, BuildOptions, check_timing_cache
    from aif.runtime.tensorrt.library import load_library
    from aif.runtime.tensorrt.store import check_buildable

    names = tuple(dict.fromkeys(split_names(precision.lower())))
    check_buildable(names)
    options = BuildOptions(
        profile=DEFAULT_PROFILE if batch is None else parse_batch(batch),
        workspace=None if workspace is None else parse_size(workspace),
        timing_cache=timing_cache,
        version_compatible=version_compatible,
        hardware_compatible=hardware_compatible,
    )
    check_timing_cache(options, load_library())  # before minutes are spent on anything else
    return EnginePlan(names, options)


def parse_batch(text: str) -> BatchProfile:
    """A profile from "1,2,16"; one number alone is a fixed batch.

    Raises:
        ConfigError: no such numbers, or not in rising order.
    """
    from aif.runtime.tensorrt.sidecar import BatchProfile

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
