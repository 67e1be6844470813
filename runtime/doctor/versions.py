"""Versions, and packages that must not be installed side by side."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import distributions

from aif.runtime.doctor.finding import Finding, Status

_NEEDED = ("numpy", "opencv", "onnxruntime", "av", "pillow", "pydantic", "rich", "typer")
_OPTIONAL = (
    *("torch", "torchvision", "lightning", "onnx", "tensorrt", "polygraphy"),
    *("cuda-bindings", "openvino", "pooch"),
)

# Packages that write into one folder of the same name: the last one installed wins, or all are broken.
_ORT = ("-gpu", "", "-openvino", "-directml", "-qnn", "-rocm", "-training")
_CV = ("python", "contrib-python", "python-headless", "contrib-python-headless")
_BUILDS = {
    "onnxruntime": [f"onnxruntime{build}" for build in _ORT],
    "opencv": [f"opencv-{build}" for build in _CV],
}


def check_versions(bundle: str) -> list[Finding]:
    """Python, the packages, and whether two of them write over each other."""
    return [*findings_on(installed()), telemetry(os.environ.get("ORT_DISABLE_TELEMETRY", ""))]


def telemetry(setting: str) -> Finding:
    """Whether ONNX Runtime reports to its makers, from the environment variable that decides it."""
    if setting.lower() in {"1", "true", "yes"}:
        return Finding("telemetry", "ok", "off: ONNX Runtime sends nothing and keeps no device id")
    text = f"ORT_DISABLE_TELEMETRY is {setting!r} here: ONNX Runtime reports to Microsoft."
    return Finding("telemetry", "problem", text, "unset ORT_DISABLE_TELEMETRY (aif then turns it off)")


def installed() -> dict[str, str]:
    """Every installed package: lower-case name to version."""
    names = [(each.metadata["Name"] if each.metadata else None, each) for each in distributions()]
    return {str(name).lower().replace("_", "-"): each.version for name, each in reversed(names) if name}


def findings_on(packages: dict[str, str]) -> list[Finding]:
    """Findings on a set of packages, name to version."""
    python = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    findings = [
        Finding("python", "ok", python, facts={"version": platform.python_version(), "path": sys.executable}),
        Finding("aif", "ok", packages["aif"], facts={"version": packages["aif"]})
        if "aif" in packages
        else Finding("aif", "unknown", "runs from its sources; not installed as a package"),
    ]
    found = {name: [each for each in _BUILDS.get(name, [name]) if each in packages] for name in _NEEDED}
    here = {each: packages[each] for builds in found.values() for each in builds}
    extras = {name: packages[name] for name in _OPTIONAL if name in packages}
    findings.append(Finding("packages", "ok", _listed(here), facts={"versions": here}))
    for name, builds in found.items():
        if not builds:
            findings.append(Finding(name, "problem", "is not installed", f'pip install "{_wanted(name)}"'))
    status: Status = "ok" if extras else "absent"
    findings.append(Finding("optional", status, _listed(extras), facts={"versions": extras}))
    return findings + [_side_by_side(builds) for builds in found.values() if len(builds) > 1]


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or "none"


def _wanted(name: str) -> str:
    """The package that aif depends on, as pip takes it."""
    plain = sys.platform == "darwin" or platform.machine() not in {"x86_64", "AMD64"}
    runtime = "onnxruntime" if plain else "onnxruntime-gpu"
    return {"opencv": "opencv-python<5", "onnxruntime": runtime}.get(name, name)


def _side_by_side(names: list[str]) -> Finding:
    keep = names[0]
    what, below = ("OpenCV", '"<5"') if keep.startswith("opencv") else ("ONNX Runtime", "")
    return Finding(
        "side by side",
        "problem",
        f"{' and '.join(names)} are installed side by side: they write over each other's files, and which "
        f"{what} runs is chance.",
        f"pip uninstall -y {' '.join(names)} && pip install {keep}{below}",
        {"packages": names},
    )
