"""Which of ONNX Runtime's providers really compute, tried on a tiny graph."""

from __future__ import annotations

from functools import partial

from aif.runtime.doctor.finding import Finding, Status
from aif.runtime.doctor.machine import has_nvidia_card
from aif.runtime.errors import ProviderError
from aif.runtime.networks.provider_check import probe_provider
from aif.runtime.networks.providers import NAMES, Device


def check_provider(device: Device, bundle: str) -> list[Finding]:
    """One provider. The processor's is needed everywhere, CUDA's where there is a card for it."""
    facts: dict[str, object] = {"provider": NAMES[device]}
    try:
        probe = probe_provider(device)
    except ProviderError as error:
        wanted = device == "cpu" or (device == "cuda" and has_nvidia_card())
        status: Status = "problem" if wanted else "absent"
        facts["loads"] = False
        return [Finding(device, status, error.message, error.fix if wanted else None, facts)]
    facts |= {"loads": True, "nodes": probe.nodes, "nodes_in_all": probe.total}
    placed = "" if probe.nodes is None else f" ({probe.nodes} of {probe.total} nodes of a test graph)"
    return [Finding(device, "ok", f"loads and computes{placed}", facts=facts)]


check_cpu = partial(check_provider, "cpu")
check_cuda = partial(check_provider, "cuda")
check_openvino = partial(check_provider, "openvino")
check_tensorrt = partial(check_provider, "ort-tensorrt")
