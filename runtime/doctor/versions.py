"""Versions, and packages that must not be installed side by side."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import distributions

from aif.runtime.doctor.finding import Finding

_NEEDED = ("numpy", "opencv", "onnxruntime", "av", "pillow", "pydantic", "rich", "typer")
_OPTIONAL = (
    *("torch", "torchvision", "lightning", "onnx", "tensorrt", "polygraphy"),
    *("cuda-bindings", "openvino", "pooch"),
)

# Packages that write into one folder of the same name: the last one installed wins, or all are broken.
_ORT = ("-gpu", "", "-openvino", "-directml", "-qnn", "-rocm", "-training")
_CV = ("python", "contrib-python", "python-headless", "contrib-python-headless")
_FAMILIES = {
    "onnxruntime": ("ONNX Runtime", tuple(f"onnxruntime{build}" for build in _ORT)),
    "opencv": ("OpenCV", tuple(f"opencv-{build}" for build in _CV)),
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
    found: dict[str, str] = {}
    for each in distributions():
        name = each.metadata["Name"] if each.metadata else None
        if name:
            found.setdefault(str(name).lower().replace("_", "-"), each.version)
    return found


def findings_on(packages: dict[str, str]) -> list[Finding]:
    """Findings on a set of packages, name to version."""
    python = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    findings = [
        Finding("python", "ok", python, facts={"version": platform.python_version(), "path": sys.executable}),
        Finding("aif", "ok", packages["aif"], facts={"version": packages["aif"]})
        if "aif" in packages
        else Finding("aif", "unknown", "runs from its sources; not installed as a package"),
    ]
    members = {name: [each for each in family if each in packages] for name, (_, family) in _FAMILIES.items()}
    names = [each for name in _NEEDED for each in members.get(name, [name])]
    here = {name: packages[name] for name in names if name in packages}
    text = ", ".join(f"{name} {version}" for name, version in here.items())
    findings.append(Finding("packages", "ok", text or "none", facts={"versions": here}))
    for name in _NEEDED:
        if not members.get(name, [name] if name in packages else []):
            findings.append(Finding(name, "problem", "is not installed", f'pip install "{_wanted(name)}"'))
    extras = {name: packages[name] for name in _OPTIONAL if name in packages}
    listed = ", ".join(f"{name} {version}" for name, version in extras.items())
    findings.append(
        Finding("optional", "ok" if extras else "absent", listed or "none", facts={"versions": extras})
    )
    return findings + [
        _side_by_side(_FAMILIES[name][0], found) for name, found in members.items() if len(found) > 1
    ]


def _wanted(name: str) -> str:
    """The package that aif depends on, as pip takes it."""
    plain = sys.platform == "darwin" or platform.machine() not in {"x86_64", "AMD64"}
    return {
        "opencv": "opencv-python<5",
        "onnxruntime": "onnxruntime" if plain else "onnxruntime-gpu",
    }.get(name, name)


def _side_by_side(what: str, names: list[str]) -> Finding:
    keep = names[0]
    below = '"<5"' if keep.startswith("opencv") else ""
    return Finding(
        "side by side",
        "problem",
        f"{' and '.join(names)} are installed side by side: they write over each other's files, and which "
        f"{what} runs is chance.",
        f"pip uninstall -y {' '.join(names)} && pip install {keep}{below}",
        {"packages": names},
    )
