"""Fixed buffers: the same results as plain runs, in the processor's memory; on CUDA only where it is."""

from __future__ import annotations

import shutil
import threading
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.model.model import FaceModel
from aif.runtime.networks import binding
from aif.runtime.networks.binding import MOST_SHAPES, BoundRunner


def graph(shape: tuple[object, ...] = ("N", 3), output: tuple[object, ...] = ("N", 3)) -> bytes:
    """sum = a + b, difference = a - b."""
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Sub", ["a", "b"], ["difference"]),
    ]
    made = helper.make_graph(
        nodes,
        "g",
        [info(name, TensorProto.FLOAT, shape) for name in ("a", "b")],
        [info(name, TensorProto.FLOAT, output) for name in ("sum", "difference")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return bytes(model.SerializeToString())


def session(data: bytes) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def pair(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {name: random.random((count, 3), dtype=np.float32) for name in ("a", "b")}


@pytest.mark.parametrize("cuda_graph", [False, True])
@pytest.mark.parametrize("outputs", [["sum"], ["sum", "difference"], ["difference", "sum"]])
def test_the_same_as_plain_runs(outputs: list[str], cuda_graph: bool) -> None:
    """`gpu_graph_id` means nothing to the processor."""
    plain = session(graph())
    runner = BoundRunner(plain, "cpu", cuda_graph)
    for seed, count in enumerate([1, 2, 1, 0, 5, 2, 0, 1]):
        inputs = pair(count, seed)
        for found, wanted in zip(runner.run(outputs, inputs), plain.run(outputs, inputs), strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_buffers_are_made_once_for_a_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = BoundRunner(session(graph()), "cpu")
    made = []
    true = runner._buffer
    monkeypatch.setattr(runner, "_buffer", lambda shape: made.append(shape) or true(shape))
    for count in (2, 2, 3, 2, 3):
        runner.run(["sum"], pair(count))
    assert len(made) == 2 * 3  # two inputs and an output of two shapes


def test_results_outlive_the_next_run() -> None:
    runner = BoundRunner(session(graph()), "cpu")
    (first,) = runner.run(["sum"], pair(2, seed=1))
    kept = first.copy()
    runner.run(["sum"], pair(2, seed=2))
    np.testing.assert_array_equal(first, kept)


def test_inputs_that_are_not_contiguous() -> None:
    runner = BoundRunner(session(graph()), "cpu")
    wide = np.random.default_rng(0).random((2, 6), dtype=np.float32)
    inputs = {"a": wide[:, ::2], "b": wide[:, 1::2]}
    np.testing.assert_array_equal(runner.run(["sum"], inputs)[0], wide[:, ::2] + wide[:, 1::2])


def test_no_more_buffers_than_agreed() -> None:
    runner = BoundRunner(session(graph()), "cpu", cuda_graph=True)
    for count in range(1, MOST_SHAPES + 5):
        assert runner.run(["sum"], pair(count))[0].shape == (count, 3)
    assert len(runner._slots) == MOST_SHAPES


def test_outputs_of_unknown_shape_run_the_plain_way() -> None:
    plain = session(graph(output=("M", 3)))
    runner = BoundRunner(plain, "cpu")
    inputs = pair(2)
    np.testing.assert_array_equal(runner.run(["sum"], inputs)[0], plain.run(["sum"], inputs)[0])
    assert not runner._slots


@pytest.mark.parametrize(
    ("outputs", "inputs"),
    [
        (["sum"], {}),
        (["sum"], {"a": np.zeros((1, 3), np.float32)}),
        (["sum"], {name: np.zeros((1, 4), np.float32) for name in "ab"}),
        (["sum"], {name: np.zeros((1, 3), np.int64) for name in "ab"}),
        (["sum"], {name: np.zeros((1, 3), np.float32) for name in "abc"}),
        (["sum"], {name: np.zeros(3, np.float32) for name in "ab"}),
        (["nonsense"], {name: np.zeros((1, 3), np.float32) for name in "ab"}),
    ],
)
def test_what_cannot_run_is_an_error_and_leaves_no_buffers(
    outputs: list[str], inputs: dict[str, np.ndarray]
) -> None:
    runner = BoundRunner(session(graph()), "cpu")
    with pytest.raises(Exception, match=r"."):
        runner.run(outputs, inputs)
    assert not runner._slots
    assert runner.run(["sum"], pair(1))[0].shape == (1, 3)


@pytest.mark.parametrize("cuda_graph", [False, True])
def test_threads_do_not_mix_their_inputs(cuda_graph: bool) -> None:
    runner = BoundRunner(session(graph()), "cpu", cuda_graph)
    wrong: list[int] = []

    def work(number: int) -> None:
        for turn in range(100):
            inputs = pair(2, 1000 * number + turn)
            if not np.array_equal(runner.run(["sum"], inputs)[0], inputs["a"] + inputs["b"]):
                wrong.append(turn)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class Recorder:
    """A session that only notes with which graph's number it was run."""

    def __init__(self, true: Any) -> None:
        self._true = true
        self.graphs: list[str | None] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._true, name)

    def run(self, outputs: Any, inputs: Any, options: Any = None) -> Any:
        self.graphs.append(options and options.get_run_config_entry("gpu_graph_id"))
        return self._true.run(outputs, inputs)

    def run_with_iobinding(self, bound: Any, options: Any = None) -> None:
        self.graphs.append(options and options.get_run_config_entry("gpu_graph_id"))
        self._true.run_with_iobinding(bound)


@pytest.mark.parametrize(
    ("cuda_graph", "numbers"), [(False, [None] * 6), (True, ["1", "2", "1", "-1", "-1", "2"])]
)
def test_each_shape_has_a_graph_of_its_own(
    cuda_graph: bool, numbers: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding, "MOST_SHAPES", 2)
    recorder = Recorder(session(graph()))
    runner = BoundRunner(recorder, "cpu", cuda_graph)
    for count in (1, 4, 1, 0, 3, 4):
        runner.run(["sum"], pair(count))
    assert recorder.graphs == numbers


@pytest.mark.gpu
@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA driver here")
@pytest.mark.parametrize("cuda_graph", [False, True])
def test_cuda_agrees_with_the_processor(cuda_graph: bool) -> None:
    bundle = Bundle.open()
    cpu, cuda = FaceModel(bundle, "cpu"), FaceModel(bundle, "cuda", precision="fp32", cuda_graph=cuda_graph)
    size = cpu.image_size
    for seed, count in enumerate([1, 2, 16, 1, 2, 16, 1]):
        crops = np.random.default_rng(seed).random((count, 3, size, size), dtype=np.float32)
        one, other = cpu.encode(crops), cuda.encode(crops)
        np.testing.assert_allclose(one.z, other.z, atol=1e-3)
        np.testing.assert_allclose(cpu.decode(one, one.y), cuda.decode(one, one.y), atol=1e-3)
