"""Providers by name: what they are set up with, and that one which does nothing is found out."""

from __future__ import annotations

import ctypes
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import onnxruntime as ort
import pytest

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import ConfigError, ProviderError
from aif.runtime.model.model import FaceModel
from aif.runtime.networks import providers, sessions
from aif.runtime.networks.providers import (
    HELP,
    LABELS,
    NAMES,
    Device,
    check_placed,
    placed_nodes,
    provider_list,
)
from aif.runtime.networks.sessions import Provider, Session


def test_every_device_has_a_name_and_help() -> None:
    names = set(get_args(Device))
    assert names == set(NAMES) == set(LABELS) == set(HELP) == set(get_args(Provider)) - {"auto", "tensorrt"}
    assert set(NAMES.values()) <= set(ort.get_all_providers())


def plain(provider: Any) -> str:
    return str(provider if isinstance(provider, str) else provider[0])


@pytest.mark.parametrize(
    ("device", "order"),
    [
        ("cpu", ["CPU"]),
        ("cuda", ["CUDA", "CPU"]),
        ("openvino", ["OpenVINO", "CPU"]),
        ("ort-tensorrt", ["Tensorrt", "CUDA", "CPU"]),
    ],
)
def test_the_wanted_provider_comes_first(device: Device, order: list[str]) -> None:
    found = [plain(each) for each in provider_list(device, None)]
    assert found == [f"{name}ExecutionProvider" for name in order]


@pytest.mark.parametrize(
    ("device", "wanted", "graph"),
    [("cuda", True, "1"), ("cuda", False, None), ("ort-tensorrt", True, None)],
)
def test_cuda_graph(device: Device, wanted: bool, graph: str | None) -> None:
    options = dict(provider_list(device, None, wanted)[-2][1])
    assert options.get("enable_cuda_graph") == graph


@pytest.mark.parametrize("threads", [None, 1, 3])
def test_openvino_computes_in_float32_with_the_threads_it_was_given(threads: int | None) -> None:
    options = provider_list("openvino", threads)[0][1]
    config = json.loads(options["load_config"])["CPU"]
    assert config["INFERENCE_PRECISION_HINT"] == "f32"
    assert config.get("INFERENCE_NUM_THREADS") == (None if threads is None else str(threads))


def test_tensorrts_engines_are_kept_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIF_CACHE", str(tmp_path))
    options = provider_list("ort-tensorrt", None)[0][1]
    assert options["trt_engine_cache_path"] == str(tmp_path / "ort-tensorrt")


@pytest.mark.parametrize("device", ["cpu", "openvino", "ort-tensorrt"])
def test_a_cuda_graph_needs_cuda(device: Device) -> None:
    with pytest.raises(ConfigError, match="A CUDA graph needs CUDA"):
        Session(b"", device, None, "graph", cuda_graph=True)


def test_a_graph_that_cannot_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("This session cannot use the graph capture feature")

    monkeypatch.setattr(sessions, "_require_cuda", lambda: None)
    monkeypatch.setattr(ort, "InferenceSession", refuse)
    with pytest.raises(ProviderError, match="graph capture") as caught:
        Session(b"", "cuda", None, "encoder", cuda_graph=True)
    assert "cuda_graph=False" in str(caught.value)


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("cuda", "built without CUDA"),
        ("openvino", "built without OpenVINO"),
        ("ort-tensorrt", "built without TensorRT"),
    ],
)
def test_a_provider_that_was_not_built_in(device: Device, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    if device == "ort-tensorrt":
        monkeypatch.setattr(sessions, "_require_cuda", lambda: None)
    with pytest.raises(ProviderError, match=said) as caught:
        Session(b"", device, None, "graph")
    assert "--provider cpu" in str(caught.value) or "--provider cuda" in str(caught.value)


def test_tensorrts_library_is_looked_for_where_pip_puts_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tried: list[str] = []

    def load(name: str, mode: int = 0) -> None:
        tried.append(name)
        raise OSError(name)

    monkeypatch.setattr(ort, "get_available_providers", lambda: [NAMES["ort-tensorrt"]])
    monkeypatch.setattr(ctypes, "CDLL", load)
    package = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(providers.importlib.util, "find_spec", lambda name: package)
    with pytest.raises(ProviderError, match="nvinfer") as caught:
        providers.require_tensorrt()
    assert len(tried) == 2 and Path(tried[1]).parent == tmp_path
    assert "tensorrt>=10,<11" in str(caught.value)


class Fake:
    """What a session says of itself."""

    def __init__(self, loaded: list[str], nodes: dict[str, int] | None) -> None:
        self._loaded = loaded
        if nodes is not None:
            self.get_provider_graph_assignment_info = lambda: [
                SimpleNamespace(ep_name=name, get_nodes=lambda count=count: [None] * count)
                for name, count in nodes.items()
            ]

    def get_providers(self) -> list[str]:
        return self._loaded


CPU, CUDA = NAMES["cpu"], NAMES["cuda"]


@pytest.mark.parametrize(
    ("loaded", "nodes", "fine"),
    [
        ([CUDA, CPU], {CUDA: 3}, True),
        ([CUDA, CPU], {CUDA: 3, CPU: 1}, True),
        ([CUDA, CPU], None, True),  # an ONNX Runtime that does not tell
        ([CUDA, CPU], {}, True),
        ([CPU], None, False),
        ([CPU], {CPU: 4}, False),
        ([CUDA, CPU], {CPU: 4}, False),  # loaded, and left without work
        ([], {}, False),
    ],
)
def test_a_provider_that_does_nothing_is_found_out(
    loaded: list[str], nodes: dict[str, int] | None, fine: bool
) -> None:
    if fine:
        check_placed(Fake(loaded, nodes), "cuda")
        return
    with pytest.raises(ProviderError, match="would have used the processor"):
        check_placed(Fake(loaded, nodes), "cuda")


def test_nodes_are_counted_on_a_real_session() -> None:
    options = ort.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    graph = Bundle.open().graph_bytes("fp32", "decoder")
    counted = placed_nodes(ort.InferenceSession(graph, options, providers=[CPU]))
    assert set(counted) <= {CPU} and (not counted or counted[CPU] > 5)


@pytest.mark.skipif(NAMES["openvino"] not in ort.get_available_providers(), reason="not ONNX Runtime's build")
def test_openvino_agrees_with_the_processor() -> None:
    _agrees("openvino", 1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA driver here")
def test_tensorrt_agrees_with_the_processor() -> None:
    _agrees("ort-tensorrt", 1e-2)


def _agrees(provider: Provider, tolerance: float) -> None:
    bundle = Bundle.open()
    cpu, other = FaceModel(bundle, "cpu", 1), FaceModel(bundle, provider, 1, precision="fp32")
    assert other.device == provider
    crops = np.random.default_rng(0).random((3, 3, cpu.image_size, cpu.image_size), dtype=np.float32)
    one, two = cpu.encode(crops), other.encode(crops)
    np.testing.assert_allclose(one.z, two.z, atol=tolerance)
    np.testing.assert_allclose(cpu.decode(one, one.y), other.decode(one, one.y), atol=tolerance)
