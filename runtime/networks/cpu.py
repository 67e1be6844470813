"""What this machine's processor can do."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from aif.runtime.machine import read_text

_DOT_PRODUCTS = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}
"""Flags of Linux: x86's VNNI and AMX, Arm's dot products."""

_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}


@cache
def multiplies_int8(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether 8-bit dot products are known to be there; False where the system does not say.

    Without them x86 adds products of uint8 and int8 in 16 bits, which is slow and may overflow.
    """
    return bool(_flags(cpuinfo) & _DOT_PRODUCTS)


@cache
def multiplies_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether bfloat16 products are known to be there; without them bfloat16 is slower than float32."""
    return bool(_flags(cpuinfo) & _BFLOAT16)


def _flags(cpuinfo: Path) -> set[str]:
    """The processor's flags as Linux lists them; empty where the system does not say."""
    lines = read_text(cpuinfo).splitlines()
    return {w for line in lines if line.lower().startswith(("flags", "features")) for w in line.split()}
