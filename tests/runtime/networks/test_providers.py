"""Providers by name: what they need, what they are set up with, and that one which does nothing shows."""

from __future__ import annotations

import contextlib
import ctypes
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime as ort
import pytest

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import ProviderError
from aif.runtime.model.model import FaceModel
from aif.runtime.networks import providers
from aif.runtime.networks.providers import NAMES, check_placed, provider_list, require

CPU, CUDA = NAMES["cpu"], NAMES["cuda"]


@pytest.mark.parametrize(
    ("device", "order"),
    [
        ("cpu", ["CPU"]),
        ("cuda", ["CUDA", "CPU"]),
        ("openvino", ["OpenVINO", "CPU"]),
        ("ort-tensorrt", ["Tensorrt", "CUDA", "CPU"]),
    ],
)
def test_the_wanted_provider_comes_first(device, order):
    found = [each if isinstance(each, str) else each[0] for each in provider_list(device, None)]
    assert found == [f"{name}ExecutionProvider" for name in order]


def test_settings_of_openvino_and_tensorrt(monkeypatch, tmp_path):
    """OpenVINO computes in float32 with the threads it was given; TensorRT's engines are kept."""
    config = json.loads(provider_list("openvino", 3)[0][1]["load_config"])["CPU"]
    assert config["INFERENCE_PRECISION_HINT"] == "f32" and config["INFERENCE_NUM_THREADS"] == "3"
    monkeypatch.setenv("AIF_CACHE", str(tmp_path))
    options = provider_list("ort-tensorrt", None)[0][1]
    assert options["trt_engine_cache_path"] == str(tmp_path / "ort-tensorrt")


@pytest.mark.parametrize(
    ("device", "built", "libraries", "said", "fix"),
    [
        ("cuda", ["cpu"], [], "built without CUDA", "--provider cpu"),
        ("openvino", ["cpu", "cuda"], [], "built without OpenVINO", "--provider cpu"),
        ("ort-tensorrt", ["cpu"], [], "built without CUDA", "--provider cpu"),
        ("ort-tensorrt", ["cpu", "cuda"], ["libcuda"], "built without TensorRT", "--provider cuda"),
        ("cuda", ["cpu", "cuda"], [], "no NVIDIA driver", "onnxruntime-gpu[cuda,cudnn]"),
        ("ort-tensorrt", ["cpu", "cuda", "ort-tensorrt"], ["libcuda"], "nvinfer", "tensorrt>=10,<11"),
    ],
)
def test_what_a_provider_lacks(device, built, libraries, said, fix, monkeypatch, tmp_path):
    tried: list[str] = []

    def load(name, mode=0):
        tried.append(name)
        if not name.startswith(tuple(libraries)):
            raise OSError(name)

    monkeypatch.setattr(ort, "get_available_providers", lambda: [NAMES[each] for each in built])
    monkeypatch.setattr(ort, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr("sys.platform", "linux")
    package = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(providers.importlib.util, "find_spec", lambda name: package)
    with pytest.raises(ProviderError, match=said) as caught:
        require(device)
    assert fix in str(caught.value.fix)
    if said == "nvinfer":  # where the loader looks, then where pip puts it
        assert [Path(each).parent for each in tried[1:]] == [Path(), tmp_path]


def session(loaded, nodes):
    """What a session says of itself."""
    found = SimpleNamespace(get_providers=lambda: loaded)
    if nodes is not None:
        found.get_provider_graph_assignment_info = lambda: [
            SimpleNamespace(ep_name=name, get_nodes=lambda count=count: [None] * count)
            for name, count in nodes.items()
        ]
    return found


@pytest.mark.parametrize(
    ("loaded", "nodes", "fine"),
    [
        ([CUDA, CPU], {CUDA: 3}, True),
        ([CUDA, CPU], {CUDA: 3, CPU: 1}, True),
        ([CUDA, CPU], None, True),  # an ONNX Runtime that does not tell
        ([CPU], None, False),
        ([CUDA, CPU], {CPU: 4}, False),  # loaded, and left without work
    ],
)
def test_a_provider_that_does_nothing_is_found_out(loaded, nodes, fine):
    with contextlib.nullcontext() if fine else pytest.raises(ProviderError, match="would have used the"):
        check_placed(session(loaded, nodes), "cuda")


@pytest.mark.parametrize(
    ("provider", "tolerance"),
    [
        pytest.param(
            "openvino",
            1e-4,
            marks=pytest.mark.skipif(
                NAMES["openvino"] not in ort.get_available_providers(), reason="not ONNX Runtime's build"
            ),
        ),
        pytest.param(
            "ort-tensorrt",
            1e-2,
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA driver here"),
            ],
        ),
    ],
)
def test_it_agrees_with_the_processor(provider, tolerance):
    bundle = Bundle.open()
    cpu, other = FaceModel(bundle, "cpu", 1), FaceModel(bundle, provider, 1, precision="fp32")
    assert other.device == provider
    frame = bundle.manifest.face_frame
    crops = np.random.default_rng(0).random((3, 3, cpu.image_size, cpu.image_size), dtype=np.float32)
    points = None if frame is None else np.tile(frame.mean, (3, 1, 1))
    one, two = cpu.encode(crops, points), other.encode(crops, points)
    np.testing.assert_allclose(one.z, two.z, atol=tolerance)
    decoded = [model.decode(one, one.y).image for model in (cpu, other)]
    np.testing.assert_allclose(*decoded, atol=tolerance)
