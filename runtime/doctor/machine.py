"""Processor, memory, graphics cards and their driver, and cameras, as the system says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from aif.runtime.doctor.finding import Finding
from aif.runtime.machine import core_count, processor_name, read_text

# What the networks' kernels make use of, as /proc/cpuinfo spells it, and how people do.
_FLAGS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_int8": "AMX INT8",
    "amx_bf16": "AMX BF16",
    "asimddp": "dot product",
    "i8mm": "I8MM",
    "sve": "SVE",
}
_QUERY = ("name", "driver_version", "memory.total", "compute_cap")
_NVIDIA, _DISPLAY = "0x10de", "0x03"


def check_machine(bundle: str) -> list[Finding]:
    """The processor, the memory and NVIDIA's cards."""
    return [
        processor(read_text("/proc/cpuinfo")),
        *memory(read_text("/proc/meminfo")),
        *graphics(_nvidia_smi),
    ]


def processor(cpuinfo: str) -> Finding:
    """What the text of /proc/cpuinfo says; without one, what Python knows."""
    lines = [line.partition(":") for line in cpuinfo.splitlines()]
    fields = {key.strip().lower(): value.strip() for key, _, value in reversed(lines)}
    cores, model = core_count(), processor_name(cpuinfo)
    facts = {"model": model, "cores": cores}
    plural = "s" * (cores != 1)
    flags = (fields.get("flags") or fields.get("features") or "").split()
    if not flags:
        text = f"{model}, {cores} core{plural}; which instructions it has is not known here"
        return Finding("processor", "ok", text, facts=facts)
    found = [label for flag, label in _FLAGS.items() if flag in flags]
    text = f"{model}, {cores} core{plural}; {', '.join(found) or 'neither AVX2 nor AVX-512'}"
    return Finding("processor", "ok", text, facts={**facts, "instructions": found})


def memory(meminfo: str) -> list[Finding]:
    """Memory in all and free, from the text of /proc/meminfo; nothing without one."""
    fields = dict(line.split(":", 1) for line in meminfo.splitlines() if ":" in line)
    try:
        total, free = (int(fields[name].split()[0]) / 2**20 for name in ("MemTotal", "MemAvailable"))
    except (KeyError, ValueError, IndexError):
        return []
    facts = {"total_gib": round(total, 1), "free_gib": round(free, 1)}
    return [Finding("memory", "ok", f"{total:.1f} GiB, {free:.1f} GiB free", facts=facts)]


def graphics(ask: Callable[[], str | None]) -> list[Finding]:
    """NVIDIA's cards, from what `nvidia-smi` prints as CSV; `ask` returns None where there is no driver."""
    answer = ask()
    if answer is None and not has_nvidia_card():
        text = "no NVIDIA card was found; the networks run on the processor"
        return [Finding("graphics", "absent", text)]
    if answer is None:
        text = "There is an NVIDIA card, and its driver does not answer (nvidia-smi is missing or fails)."
        fix = "Install NVIDIA's driver for this system and restart; Ubuntu: sudo ubuntu-drivers install"
        return [Finding("graphics", "problem", text, fix)]
    rows = [[cell.strip() for cell in line.split(",")] for line in answer.splitlines()]
    cards = [row for row in rows if len(row) == len(_QUERY)]
    found = []
    for number, (name, driver, memory_mib, capability) in enumerate(cards):
        text = f"{name}, {memory_mib} MiB, compute capability {capability}, driver {driver}"
        facts = dict(zip((key.replace(".", "_") for key in _QUERY), cards[number], strict=True))
        found.append(Finding(f"graphics {number}", "ok", text, facts=facts))
    said = answer.strip()[:200] or "nothing"
    return found or [Finding("graphics", "unknown", f"nvidia-smi answers: {said}")]


def has_nvidia_card(devices: Path = Path("/sys/bus/pci/devices")) -> bool:
    """Whether an NVIDIA card is plugged in, driver or not; False where the system does not tell."""
    for device in devices.glob("*"):
        vendor, kind = (read_text(device / name).strip() for name in ("vendor", "class"))
        if vendor == _NVIDIA and kind.startswith(_DISPLAY):
            return True
    return False


def _nvidia_smi() -> str | None:
    command = ["nvidia-smi", f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def check_cameras(bundle: str, listed: Path = Path("/sys/class/video4linux")) -> list[Finding]:
    """Every camera, as Linux lists them; none is opened."""
    if not sys.platform.startswith("linux"):
        text = "not known on this system without opening each; try one: aif-edit --webcam 0"
        return [Finding("cameras", "unknown", text)]
    # A camera's further devices, with an index above 0, are for metadata.
    devices = [each for each in listed.glob("video*") if read_text(each / "index").strip() == "0"]
    found = [_camera(each) for each in sorted(devices, key=_number)]
    return found or [Finding("cameras", "absent", "there is none (no /dev/video*)")]


def _camera(device: Path) -> Finding:
    path, card, name = f"/dev/{device.name}", read_text(device / "name").strip(), f"camera {_number(device)}"
    if not os.access(path, os.R_OK | os.W_OK):
        fix = "sudo usermod -aG video $USER, then log out and in again"
        return Finding(name, "problem", f"You may not read {path} ({card}).", fix)
    text = f"{card} ({path}); v4l2-ctl --list-formats-ext shows its formats"
    return Finding(name, "ok", text, facts={"path": path, "card": card})


def _number(device: Path) -> int:
    return int(re.sub(r"\D", "", device.name) or 0)
