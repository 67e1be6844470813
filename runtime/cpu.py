"""What this machine's processor can do."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

_DOT_PRODUCTS = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}
"""Flags of Linux: x86's VNNI and AMX, Arm's dot products."""


@cache
def multiplies_int8(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether 8-bit dot products are known to be there; False where the system does not say.

    Without them x86 adds products of uint8 and int8 in 16 bits, which is slow and may overflow.
    """
    if platform.system() != "Linux":
        return False
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    flags = {w for line in lines if line.lower().startswith(("flags", "features")) for w in line.split()}
    return bool(flags & _DOT_PRODUCTS)
