"""Which engine fits which machine, as a table; sidecars that are damaged; the names of files."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from sidecars import GRAPH, HERE, sidecar

from aif.runtime.errors import BundleError
from aif.runtime.tensorrt.sidecar import Machine, misfits, parse_sidecar, remark
from aif.runtime.tensorrt.store import engine_name


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"onnx_sha256": "c" * 64}, "another graph"),
        ({"tensorrt": "11.3.0.13"}, "TensorRT 11.3.0.13 built it, here is 11.3.0.14"),
        ({"tensorrt": "11.4.0.1"}, "TensorRT 11.4.0.1 built it"),
        ({"tensorrt": "11.0.0.1", "version_compatible": True}, None),
        ({"tensorrt": "10.13.3.9", "version_compatible": True}, None),
        ({"tensorrt": "11.10.0.1", "version_compatible": True}, "even its version-compatible"),
        ({"tensorrt": "12.0.0.1", "version_compatible": True}, "even its version-compatible"),
        ({"capability": "8.9", "gpu": "NVIDIA L4"}, r"8\.9 \(NVIDIA L4\), here is 9\.0 \(NVIDIA H100\)"),
        ({"capability": "8.6", "hardware_compatible": True}, None),
        ({"capability": "12.0", "version_compatible": True}, "compute capability 12.0"),
        ({"tensorrt": "10.9.0.1", "hardware_compatible": True}, "TensorRT 10.9.0.1 built it"),
        ({"platform": "win32-x86_64"}, "built on win32-x86_64, this is linux-x86_64"),
        ({"platform": "linux-aarch64", "version_compatible": True, "hardware_compatible": True}, "built on"),
        ({"gpu": "NVIDIA H200"}, None),  # the same compute capability: it runs
    ],
)
def test_fit(changes, said):
    found = misfits(sidecar(**changes), HERE, GRAPH)
    assert len(found) == (said is not None)
    assert said is None or re.search(said, found[0])


def test_every_reason_is_given():
    wrong = {"onnx_sha256": "c" * 64, "tensorrt": "10.0.1.6", "capability": "7.5", "platform": "win32-x86_64"}
    assert len(misfits(sidecar(**wrong), HERE, GRAPH)) == 4


@pytest.mark.parametrize(
    ("capability", "fits"), [("8.0", True), ("10.0", True), ("7.5", False), ("6.1", False)]
)
def test_hardware_compatible_engines_begin_with_ampere(capability, fits):
    machine = Machine(HERE.tensorrt, capability, "another", HERE.platform)
    assert (not misfits(sidecar(hardware_compatible=True), machine, GRAPH)) is fits


def test_another_card_of_the_same_kind_is_remarked_upon():
    assert remark(sidecar(), HERE) is None
    assert "tuned on NVIDIA H200" in str(remark(sidecar(gpu="NVIDIA H200"), HERE))


def test_round_trip():
    assert parse_sidecar(sidecar().to_json(), "x") == sidecar()


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"sha256": "B" * 64}, "sha256"),
        ({"file": "../encoder.engine"}, "file"),
        ({"file": "encoder.json"}, "file"),
        ({"profile": {"min": 2, "opt": 1, "max": 3}}, "profile"),
        ({"tensorrt": "newest"}, "tensorrt"),
        ({"gate": {"z": float("nan")}}, "gate"),
    ],
)
def test_sidecars_that_say_something_impossible(changes, place):
    data = json.loads(sidecar().to_json()) | changes
    with pytest.raises(BundleError, match=f"at {place}"):
        parse_sidecar(json.dumps(data), "x")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\x00"])
def test_sidecars_that_are_damaged(text):
    with pytest.raises(BundleError, match="damaged"):
        parse_sidecar(text, "encoder.json")


def test_engines_for_several_machines_lie_side_by_side():
    other = Machine("10.13.3.9", "12.0", "x", HERE.platform)
    assert engine_name("decoder", "fp16", HERE) == "decoder.fp16.trt11.3.0.14.sm90.linux-x86_64.engine"
    assert engine_name("decoder", "fp16", other) == "decoder.fp16.trt10.13.3.9.sm120.linux-x86_64.engine"
    arm = replace(HERE, platform="linux-aarch64")
    assert engine_name("decoder", "fp16", arm) != engine_name("decoder", "fp16", HERE)
