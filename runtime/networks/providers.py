"""ONNX Runtime's execution providers under our names: what each needs and how it is set up."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import io
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import onnxruntime as ort

from aif.runtime.errors import ProviderError
from aif.runtime.fetch import cache_folder
from aif.runtime.networks.network import Device

__all__ = ["HELP", "LABELS", "NAMES", "Device"]

NAMES: dict[Device, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "ort-tensorrt": "TensorrtExecutionProvider",
}
"""ONNX Runtime's own."""
LABELS: dict[Device, str] = {
    "cpu": "the processor",
    "cuda": "CUDA",
    "openvino": "OpenVINO",
    "ort-tensorrt": "TensorRT",
}
"""What people call them."""

_ELSE_CPU = "Or run on the processor: --provider cpu."
HELP: dict[Device, str] = {
    "cuda": (
        "Install the NVIDIA driver, and CUDA with cuDNN for ONNX Runtime: "
        'pip install "onnxruntime-gpu[cuda,cudnn]" (with no other onnxruntime package beside it). '
        f"{_ELSE_CPU}"
    ),
    "openvino": (
        "Put ONNX Runtime's OpenVINO build in the place of the other one: "
        "pip uninstall onnxruntime onnxruntime-gpu && pip install onnxruntime-openvino. "
        f"{_ELSE_CPU}"
    ),
    "ort-tensorrt": (
        "ONNX Runtime links TensorRT 10, not 11, beside CUDA and cuDNN: "
        'pip install "onnxruntime-gpu[cuda,cudnn]" "tensorrt>=10,<11". '
        "Or use CUDA alone: --provider cuda."
    ),
}


def provider_list(device: Device, threads: int | None) -> list[Any]:
    """What `InferenceSession` takes as providers, the wanted one first.

    Args:
        threads: threads of OpenVINO on the processor; None = as it likes. The processor's own come from the
            session's options.
    """
    providers: list[Any] = [NAMES["cpu"]]
    if device in {"cuda", "ort-tensorrt"}:
        # The default tries every convolution algorithm for each new batch size.
        providers.insert(0, (NAMES["cuda"], {"cudnn_conv_algo_search": "HEURISTIC"}))
    if device == "ort-tensorrt":
        folder = cache_folder() / "ort-tensorrt"  # engines take minutes to build: keep them
        cached = {"trt_engine_cache_enable": "True", "trt_engine_cache_path": str(folder)}
        providers.insert(0, (NAMES[device], cached))
    if device == "openvino":
        # Left alone it computes in bfloat16 where the processor can.
        config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            config["INFERENCE_NUM_THREADS"] = str(threads)
        options = {"device_type": "CPU", "load_config": json.dumps({"CPU": config})}
        providers.insert(0, (NAMES[device], options))
    return providers


def require(device: Device) -> None:
    """Load the libraries that a device needs; ProviderError where one, a driver or ONNX Runtime's part is
    missing.
    """
    for each in ("cuda", device) if device == "ort-tensorrt" else (device,):
        if each != "cpu" and NAMES[each] not in ort.get_available_providers():
            raise ProviderError(f"This ONNX Runtime was built without {LABELS[each]}.", HELP[each])
    if device in {"cuda", "ort-tensorrt"}:
        _load_cuda()
    if device == "ort-tensorrt":
        _load_tensorrt()


def _load_cuda() -> None:
    driver = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(driver)
    except OSError as error:
        raise ProviderError(f"There is no NVIDIA driver here (no {driver}).", HELP["cuda"]) from error
    # ONNX Runtime 1.21 and later find CUDA where pip put it; what is missing shows when the session is made.
    if hasattr(ort, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()


def _load_tensorrt() -> None:
    """Load the TensorRT that ONNX Runtime links, from where the loader or pip has it."""
    library = "nvinfer_10.dll" if sys.platform == "win32" else "libnvinfer.so.10"
    package = importlib.util.find_spec("tensorrt_libs")  # pip's folder of TensorRT's libraries
    folders = [] if package is None else package.submodule_search_locations or []
    for place in (library, *(str(Path(folder) / library) for folder in folders)):
        with contextlib.suppress(OSError):
            ctypes.CDLL(place, mode=ctypes.RTLD_GLOBAL)
            return
    raise ProviderError(
        f"ONNX Runtime's TensorRT provider needs {library}, which is not here.", HELP["ort-tensorrt"]
    )


def check_placed(session: Any, device: Device) -> None:
    """Raise ProviderError unless a session runs where it was asked to.

    A provider that cannot be loaded is left out with a log line only; one that is loaded may have taken no
    node.
    """
    name = NAMES[device]
    nodes = placed_nodes(session)
    if name not in session.get_providers() or (nodes and not nodes[name]):
        raise ProviderError(
            f"ONNX Runtime could not load {LABELS[device]} and would have used the processor.", HELP[device]
        )


def placed_nodes(session: Any) -> Counter[str]:
    """How many nodes each of ONNX Runtime's providers took, where 1.24 or later recorded it; else none."""
    ask = getattr(session, "get_provider_graph_assignment_info", list)
    return Counter(part.ep_name for part in ask() for _ in part.get_nodes())
