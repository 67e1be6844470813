"""Sessions: the device that was asked for, or an error; ONNX Runtime's own errors in plain words."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from aif.runtime.errors import AifError, BundleError, ConfigError, ProviderError
from aif.runtime.networks import sessions
from aif.runtime.networks.sessions import Session


def relu(element=TensorProto.FLOAT):
    info = [helper.make_tensor_value_info(name, element, ["N", 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", info[:1], info[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return bytes(made.SerializeToString())


@pytest.mark.parametrize("threads", [None, 1, 2])
def test_runs_on_the_cpu(threads):
    session = Session(relu(), "cpu", threads, "graph")
    assert (session.device, session.inputs, session.outputs) == ("cpu", {"x": (None, 3)}, {"y": (None, 3)})
    (y,) = session.run(["y"], {"x": np.array([[-1, 0, 2]], dtype=np.float32)})
    assert y.tolist() == [[0, 0, 2]]


def test_thread_numbers():
    with pytest.raises(ConfigError, match="at least 1"):
        Session(relu(), "cpu", 0, "graph")


@pytest.mark.parametrize(
    ("data", "said"),
    [(data, "cannot load the encoder") for data in (b"", b"abc", b"\x00" * 1000, relu()[:30])]
    + [(relu(TensorProto.FLOAT16), r"tensor\(float16\), not float32")],
)
def test_bytes_that_are_no_graph_of_ours(data, said):
    with pytest.raises(BundleError, match=said):
        Session(data, "cpu", None, "encoder")


@pytest.mark.parametrize(
    "inputs", [{}, {"x": np.zeros((1, 4), np.float32)}, {"x": np.zeros((1, 3), np.int64)}]
)
def test_a_failing_call(inputs):
    with pytest.raises(AifError, match="The encoder failed on cpu"):
        Session(relu(), "cpu", None, "encoder").run(["y"], inputs)


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="CUDA may work here")
def test_cuda_never_falls_back_silently(monkeypatch):
    """With the checks before it out of the way, the session's own word is what counts."""
    monkeypatch.setattr(sessions, "require", lambda device: None)
    with pytest.raises(ProviderError, match="would have used the processor") as caught:
        Session(relu(), "cuda", None, "encoder", quiet=True)
    assert "--provider cpu" in str(caught.value)


@pytest.mark.parametrize("vnni", [True, False])
def test_without_dot_products_bytes_are_multiplied_exactly(monkeypatch, vnni):
    """Where they are there, the exact way would cost a third of the speed and change nothing."""
    asked: list[Any] = []
    real = ort.InferenceSession

    def noted(graph, options, **more):
        asked.append(options)
        return real(graph, options, **more)

    monkeypatch.setattr(ort, "InferenceSession", noted)
    monkeypatch.setattr(sessions, "multiplies_int8", lambda: vnni)
    Session(relu(), "cpu", 1, "encoder")
    exact = "session.x64quantprecision"
    if vnni:
        with pytest.raises(RuntimeError):
            asked[0].get_session_config_entry(exact)
    else:
        assert asked[0].get_session_config_entry(exact) == "1"
