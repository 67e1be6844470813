"""TensorRT engines for the bundle: whether each fits this machine, and the command that mends it."""

from __future__ import annotations

from typing import Any

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.doctor.finding import Finding
from aif.runtime.doctor.machine import has_nvidia_card
from aif.runtime.errors import ProviderError
from aif.runtime.tensorrt.library import load_library
from aif.runtime.tensorrt.load import judged
from aif.runtime.tensorrt.sidecar import Machine, remark
from aif.runtime.tensorrt.store import Stored, build_command, find_engines


def check_engines(bundle: str) -> list[Finding]:
    """Every engine in the bundle and in the cache. TensorRT is loaded only where there is one to judge."""
    opened = Bundle.open(bundle or None)
    engines, wrong_sidecars = find_engines(opened)
    faults = [Finding("engines", "problem", each, "Delete it, or build it again.") for each in wrong_sidecars]
    if not engines:
        return faults or [Finding("engines", "absent", "there are none for this bundle", facts={"files": []})]
    files = [each.where for each in engines]
    try:
        machine = load_library()
    except ProviderError as error:
        text = f"{len(files)} engine{'s' * (len(files) > 1)}; {error.message}"
        if has_nvidia_card():
            return [*faults, Finding("engines", "problem", text, error.fix, {"files": files})]
        return [*faults, Finding("engines", "absent", text, None, {"files": files})]
    wrong = [judged(opened, each, machine)[1] for each in engines]
    fitting = {_name(each) for each, reasons in zip(engines, wrong, strict=True) if not reasons}
    for each, reasons in zip(engines, wrong, strict=True):
        faults.append(_finding(opened, each, machine, reasons, _name(each) in fitting))
    return faults


def _name(stored: Stored) -> str:
    return f"{stored.sidecar.part} engine {stored.sidecar.precision}"


def _finding(bundle: Bundle, stored: Stored, machine: Machine, wrong: list[str], other: bool) -> Finding:
    """The finding on an engine; `other`: one of the same part and precision fits."""
    sidecar, name = stored.sidecar, _name(stored)
    facts: dict[str, Any] = {
        "files": [stored.where],
        "tensorrt": sidecar.tensorrt,
        "compute_capability": sidecar.capability,
        "gpu": sidecar.gpu,
        "here": {"tensorrt": machine.tensorrt, "compute_capability": machine.capability, "gpu": machine.gpu},
        "fits": not wrong,
    }
    if wrong:
        text = f"{stored.where}: {', and '.join(wrong)}"
        if other:
            return Finding(name, "ok", f"{text}; another one fits, this is left alone", facts=facts)
        return Finding(name, "problem", text, build_command(bundle, sidecar.precision), facts)
    text = f"{stored.where} fits TensorRT {machine.tensorrt} and {machine.gpu}"
    notes = ["used with --provider tensorrt" if stored.brought else None, remark(sidecar, machine)]
    return Finding(name, "ok", "; ".join([text, *filter(None, notes)]), facts=facts)
