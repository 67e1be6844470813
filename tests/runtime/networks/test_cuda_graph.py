"""Recorded batches: the same results as plain runs, in the processor's memory; on CUDA only where it is."""

from __future__ import annotations

import shutil
import threading
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import helper
from tiny_bundles import graph

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.model.model import FaceModel
from aif.runtime.networks import cuda_graph
from aif.runtime.networks.cuda_graph import CudaGraphRunner


class Recorder:
    """A session of sum = a + b and difference = a - b; notes with which graph's number it was run."""

    def __init__(self):
        nodes = [
            helper.make_node("Add", ["a", "b"], ["sum"]),
            helper.make_node("Sub", ["a", "b"], ["difference"]),
        ]
        rows: list[Any] = ["N", 3]
        data = graph(nodes, {"a": rows, "b": rows}, {"sum": rows, "difference": rows})
        options = ort.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        self.plain = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self.graphs: list[str] = []

    def __getattr__(self, name):
        return getattr(self.plain, name)

    def run(self, outputs, inputs, options):
        self.graphs.append(options.get_run_config_entry("gpu_graph_id"))
        return self.plain.run(outputs, inputs)

    def run_with_iobinding(self, bound, options):
        self.graphs.append(options.get_run_config_entry("gpu_graph_id"))
        self.plain.run_with_iobinding(bound)


@pytest.fixture
def session():
    return Recorder()


@pytest.fixture
def runner(session):
    return CudaGraphRunner(session, "cpu")


def pair(count, seed=0):
    random = np.random.default_rng(seed)
    return {name: random.random((count, 3), dtype=np.float32) for name in ("a", "b")}


@pytest.mark.parametrize("outputs", [["sum"], ["sum", "difference"], ["difference", "sum"]])
def test_the_same_as_plain_runs(outputs, session, runner):
    kept = []
    for seed, count in enumerate([1, 2, 1, 0, 5, 2, 0, 1]):
        inputs = pair(count, seed)
        kept.append((runner.run(outputs, inputs), session.plain.run(outputs, inputs)))
    for found, wanted in kept:  # results outlive the next run
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)


def test_inputs_that_are_not_contiguous(runner):
    wide = np.random.default_rng(0).random((2, 6), dtype=np.float32)
    inputs = {"a": wide[:, ::2], "b": wide[:, 1::2]}
    np.testing.assert_array_equal(runner.run(["sum"], inputs)[0], wide[:, ::2] + wide[:, 1::2])


def test_each_batch_size_has_a_graph_of_its_own(session, runner, monkeypatch):
    """Sizes beyond the most, and empty batches, are not recorded (-1)."""
    monkeypatch.setattr(cuda_graph, "MOST_SHAPES", 2)
    for count in (1, 4, 1, 0, 3, 4):
        runner.run(["sum"], pair(count))
    assert session.graphs == ["1", "2", "1", "-1", "-1", "2"]


@pytest.mark.parametrize(
    ("outputs", "inputs"),
    [
        (["sum"], {}),
        (["sum"], {"a": np.zeros((1, 3), np.float32)}),
        (["sum"], {name: np.zeros((1, 4), np.float32) for name in "ab"}),
        (["sum"], {name: np.zeros((1, 3), np.int64) for name in "ab"}),
        (["sum"], {name: np.zeros((1, 3), np.float32) for name in "abc"}),
        (["nonsense"], {name: np.zeros((1, 3), np.float32) for name in "ab"}),
    ],
)
def test_what_cannot_run_is_an_error_and_keeps_no_number(outputs, inputs, session, runner):
    with pytest.raises(Exception, match=r"."):
        runner.run(outputs, inputs)
    session.graphs.clear()
    assert runner.run(["sum"], pair(1))[0].shape == (1, 3) and session.graphs == ["1"]


def test_threads_do_not_mix_their_inputs(runner):
    wrong: list[int] = []

    def work(number):
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


@pytest.mark.gpu
@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA driver here")
@pytest.mark.parametrize("recorded", [False, True])
def test_cuda_agrees_with_the_processor(recorded):
    bundle = Bundle.open()
    cpu, cuda = FaceModel(bundle, "cpu"), FaceModel(bundle, "cuda", precision="fp32", cuda_graph=recorded)
    frame, size = bundle.manifest.face_frame, cpu.image_size
    for seed, count in enumerate([1, 2, 16, 1, 2, 16, 1]):
        crops = np.random.default_rng(seed).random((count, 3, size, size), dtype=np.float32)
        points = None if frame is None else np.tile(frame.mean, (count, 1, 1))
        one, other = cpu.encode(crops, points), cuda.encode(crops, points)
        np.testing.assert_allclose(one.z, other.z, atol=1e-3)
        np.testing.assert_allclose(cpu.decode(one, one.y).image, cuda.decode(one, one.y).image, atol=1e-3)
