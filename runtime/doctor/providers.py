"""Which of ONNX Runtime's providers really compute, tried on a tiny graph."""

from __future__ import annotations

from aif.runtime.doctor.finding import Finding, Status
from aif.runtime.doctor.machine import has_nvidia_card
from aif.runtime.errors import ProviderError
from aif.runtime.networks.provider_check import probe_provider
from aif.runtime.networks.providers import NAMES, Device


def check_cpu(bundle: str) -> list[Finding]:
    """The processor's provider, which editing needs everywhere."""
    return [_check("cpu", "problem")]


def check_cuda(bundle: str) -> list[Finding]:
    """CUDA: a problem where there is a card for it."""
    return [_check("cuda", "problem" if has_nvidia_card() else "absent")]


def check_openvino(bundle: str) -> list[Finding]:
    """OpenVINO, which another build of ONNX Runtime has."""
    return [_check("openvino", "absent")]


def check_tensorrt(bundle: str) -> list[Finding]:
    """ONNX Runtime's own TensorRT provider."""
    return [_check("ort-tensorrt", "absent")]


def _check(device: Device, without: Status) -> Finding:
    """One provider; `without`: what it is called when it does not load."""
    facts: dict[str, object] = {"provider": NAMES[device]}
    try:
        probe = probe_provider(device)
    except ProviderError as error:
        fix = None if without == "absent" else error.fix
        return Finding(device, without, error.message, fix, {**facts, "loads": False})
    facts |= {"loads": True, "nodes": probe.nodes, "nodes_in_all": probe.total}
    placed = "" if probe.nodes is None else f" ({probe.nodes} of {probe.total} nodes of a test graph)"
    return Finding(device, "ok", f"loads and computes{placed}", facts=facts)
