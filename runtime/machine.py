"""What this machine is, as far as the system says: cores, processor, load, memory in use; its environment."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

Provider = Literal["cpu", "cuda", "tensorrt", "openvino", "ort-tensorrt", "auto"]
"""Where a user may ask networks to run."""
DetectorName = Literal["auto", "aif", "yunet", "haar"]
"""What a user may ask to find faces."""


def read_text(path: str | Path) -> str:
    """A small file of the system's, or nothing where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def core_count() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def processor_name(cpuinfo: str) -> str:
    """The processor's, from the text of /proc/cpuinfo; without one, what Python knows."""
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    found = next((value.strip() for key, _, value in lines if key.strip() == "model name"), "")
    return found or platform.processor() or platform.machine() or "unknown processor"


def load_average() -> float | None:
    """Processes that wanted a core during the last minute, on average; None where the system does not say."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def resident_mib() -> float | None:
    """Memory of this process that is in use now, in MiB; None where the system does not say."""
    try:
        pages = int(read_text("/proc/self/statm").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (ValueError, IndexError, AttributeError):
        return None


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """These environment variables within the block; those that were there come back at its end."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
