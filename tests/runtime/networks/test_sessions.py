"""Sessions: the device that was asked for, or an error; ONNX Runtime's own errors in plain words."""

from __future__ import annotations

import ctypes
import logging
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from aif.runtime.errors import AifError, BundleError, ConfigError, ProviderError
from aif.runtime.networks import sessions
from aif.runtime.networks.sessions import Session, choose_devices


def _relu(element: int = TensorProto.FLOAT) -> bytes:
    info = [helper.make_tensor_value_info(name, element, ["N", 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", info[:1], info[1:])
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9
    ).SerializeToString()


def _without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_require_cuda", lambda: None)
    try:
        Session(_relu(), "cuda", None, "graph", quiet=True)
    except ProviderError:
        return
    pytest.skip("CUDA works on this machine")


@pytest.mark.parametrize("threads", [None, 1, 2])
def test_runs_on_the_cpu(threads: int | None) -> None:
    session = Session(_relu(), "cpu", threads, "graph")
    assert (session.device, session.inputs, session.outputs) == ("cpu", {"x": (None, 3)}, {"y": (None, 3)})
    (y,) = session.run(["y"], {"x": np.array([[-1, 0, 2]], dtype=np.float32)})
    assert y.tolist() == [[0, 0, 2]]


@pytest.mark.parametrize("threads", [0, -1])
def test_thread_numbers(threads: int) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        Session(_relu(), "cpu", threads, "graph")


@pytest.mark.parametrize("data", [b"", b"abc", b"\x00" * 1000, _relu()[:30]])
def test_bytes_that_are_no_graph(data: bytes) -> None:
    with pytest.raises(BundleError, match="cannot load the encoder"):
        Session(data, "cpu", None, "encoder")


def test_a_graph_of_another_type() -> None:
    with pytest.raises(BundleError, match=r"tensor\(float16\), not float32"):
        Session(_relu(TensorProto.FLOAT16), "cpu", None, "encoder")


@pytest.mark.parametrize(
    "inputs", [{}, {"x": np.zeros((1, 4), np.float32)}, {"x": np.zeros((1, 3), np.int64)}]
)
def test_a_failing_call(inputs: dict[str, Any]) -> None:
    with pytest.raises(AifError, match="The encoder failed on cpu"):
        Session(_relu(), "cpu", None, "encoder").run(["y"], inputs)


def test_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(ctypes, "CDLL", absent)
    with pytest.raises(ProviderError, match="no NVIDIA driver"):
        Session(_relu(), "cuda", None, "encoder")


def test_built_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ProviderError, match="built without CUDA"):
        Session(_relu(), "cuda", None, "encoder")


def test_cuda_never_falls_back_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the checks before it out of the way, the session's own word is what counts."""
    _without_cuda(monkeypatch)
    with pytest.raises(ProviderError, match="would have used the processor") as caught:
        Session(_relu(), "cuda", None, "encoder", quiet=True)
    assert "--provider cpu" in str(caught.value)


def test_auto_says_why_it_takes_the_cpu(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with caplog.at_level(logging.INFO):
        assert choose_devices("auto") == ("cpu",)
    assert "Running on the processor: This ONNX Runtime was built without CUDA." in caplog.text


def test_auto_tries_cuda_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_require_cuda", lambda: None)
    assert choose_devices("auto") == ("cuda", "cpu")


@pytest.mark.parametrize("name", ["", "gpu", "CPU", "trt"])
def test_unknown_providers(name: Any) -> None:
    with pytest.raises(ConfigError, match="cpu, cuda, tensorrt, openvino, ort-tensorrt, auto"):
        choose_devices(name)
