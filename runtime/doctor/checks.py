"""The checks of `aif doctor` in the order of the report, each loaded and run on its own.

As a program, `python -m aif.runtime.doctor.checks BUNDLE CHECK...`, it writes a line of JSON for each.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time

from aif.runtime.doctor.finding import Finding

# Check to "module:function" of this room. The function takes the path of a bundle ("" = the embedded one) and
# returns findings; what it raises becomes a finding, too.
CHECKS: dict[str, str] = {
    "versions": "versions:check_versions",
    "machine": "machine:check_machine",
    "cpu": "providers:check_cpu",
    "cuda": "providers:check_cuda",
    "openvino": "providers:check_openvino",
    "ort-tensorrt": "providers:check_tensorrt",
    "bundle": "bundle:check_bundle",
    "engines": "engines:check_engines",
    "detectors": "bundle:check_detectors",
    "cameras": "machine:check_cameras",
    "codecs": "video:check_codecs",
    "hardware-codecs": "video:check_hardware_codecs",
    "display": "video:check_window",
    "editing": "bundle:check_editing",
}

# What runs in one process after each other: checks that load the same libraries (most of their time).
GROUPS: tuple[tuple[str, ...], ...] = (
    ("versions", "machine", "cameras", "codecs", "hardware-codecs", "display"),
    ("cpu", "bundle", "editing", "detectors", "engines", "openvino", "cuda", "ort-tensorrt"),
)


def run_check(name: str, bundle: str) -> list[Finding]:
    """The findings of one check; never raises."""
    start = time.perf_counter()
    try:
        module, function = CHECKS[name].split(":")
        found = list(getattr(importlib.import_module(f"aif.runtime.doctor.{module}"), function)(bundle))
    except Exception as error:  # whatever is wrong with this machine, the report goes on
        found = [failed(name, error)]
    seconds = round(time.perf_counter() - start, 3)
    for finding in found:
        finding.facts.setdefault("check_seconds", seconds)
    return found


def failed(name: str, error: Exception) -> Finding:
    """The finding for a check that raised: our own errors bring their fix, missing libraries get one."""
    message: str = getattr(error, "message", "") or str(error).strip() or type(error).__name__
    fix: str | None = getattr(error, "fix", None)
    if fix is None and isinstance(error, ImportError):
        fix = "Install aif again: pip install --force-reinstall aif"
        if any(library in str(error) for library in ("libGL.so", "libgthread", "libglib")):
            fix = (
                "Install the libraries that OpenCV's windows need: sudo apt-get install libgl1 libglib2.0-0. "
                "On a server without windows: pip uninstall opencv-python && "
                'pip install opencv-python-headless"<5"'
            )
    return Finding.lost(name, message.splitlines()[0], fix, {"error": type(error).__name__})


def main() -> None:
    """Run the checks that are named; whatever libraries print goes to standard error."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as report:
        os.dup2(2, 1)
        bundle, *names = sys.argv[1:]
        for name in names:
            findings = [finding.as_dict() for finding in run_check(name, bundle)]
            report.write(json.dumps({"check": name, "findings": findings}) + "\n")
            report.flush()


if __name__ == "__main__":
    main()
