"""The checks of `aif doctor` in the order of the report, each loaded and run on its own."""

from __future__ import annotations

import importlib
import time
from typing import Any

from aif.runtime.doctor.finding import Finding

# Check to "module:function". The function takes the path of a bundle ("" = the embedded one) and returns
# findings; what it raises becomes a finding, too.
CHECKS: dict[str, str] = {
    "versions": "aif.runtime.doctor.versions:check_versions",
    "machine": "aif.runtime.doctor.machine:check_machine",
    "cpu": "aif.runtime.doctor.providers:check_cpu",
    "cuda": "aif.runtime.doctor.providers:check_cuda",
    "openvino": "aif.runtime.doctor.providers:check_openvino",
    "ort-tensorrt": "aif.runtime.doctor.providers:check_tensorrt",
    "bundle": "aif.runtime.doctor.bundle:check_bundle",
    "engines": "aif.runtime.doctor.engines:check_engines",
    "detectors": "aif.runtime.doctor.bundle:check_detectors",
    "cameras": "aif.runtime.doctor.cameras:check_cameras",
    "codecs": "aif.runtime.doctor.codecs:check_codecs",
    "hardware-codecs": "aif.runtime.doctor.codecs:check_hardware_codecs",
    "display": "aif.runtime.doctor.display:check_window",
    "editing": "aif.runtime.doctor.bundle:check_editing",
}

# What runs in one process after each other: checks that load the same libraries.
GROUPS: tuple[tuple[str, ...], ...] = (
    ("versions", "machine", "cameras"),
    ("cpu", "openvino", "cuda", "ort-tensorrt"),
    ("bundle", "editing", "detectors", "engines"),
    ("codecs", "hardware-codecs", "display"),
)


def run_check(name: str, bundle: str) -> list[Finding]:
    """The findings of one check; never raises."""
    start = time.perf_counter()
    try:
        module, function = CHECKS[name].split(":")
        found = list(getattr(importlib.import_module(module), function)(bundle))
    except Exception as error:  # whatever is wrong with this machine, the report goes on
        found = [failed(name, error)]
    seconds = round(time.perf_counter() - start, 3)
    for finding in found:
        finding.facts.setdefault("check_seconds", seconds)
    return found


def failed(name: str, error: Exception) -> Finding:
    """The finding for a check that raised: our own errors bring their cure, missing libraries get one."""
    message: str = getattr(error, "message", "") or str(error).strip() or type(error).__name__
    fix: str | None = getattr(error, "fix", None)
    facts: dict[str, Any] = {"error": type(error).__name__}
    status = "broken" if name == "editing" else "problem"
    if fix is None and isinstance(error, ImportError):
        fix = _cure_of_import(error)
    return Finding(name, status, message.splitlines()[0], fix, facts)  # type: ignore[arg-type]


def _cure_of_import(error: ImportError) -> str:
    if "libGL.so" in str(error) or "libgthread" in str(error) or "libglib" in str(error):
        return (
            "Install the libraries that OpenCV's windows need: sudo apt-get install libgl1 libglib2.0-0. "
            "On a server without windows: pip uninstall opencv-python && pip install opencv-python-headless"
            '"<5"'
        )
    return "Install aif again: pip install --force-reinstall aif"
