"""The door to TensorRT: what is missing is named, and what its libraries say arrives in our log."""

import logging
import os
import sys
from types import SimpleNamespace

import pytest

from aif.runtime.errors import ProviderError
from aif.runtime.tensorrt.library import load_library


def refused(match):
    with pytest.raises(ProviderError, match=match) as caught:
        load_library()
    return str(caught.value.fix)


def test_the_machine(stand_in_card):
    machine = load_library()
    assert (machine.tensorrt, machine.capability, machine.gpu) == ("11.3.0.14", "9.0", "Stand-in 9000")
    assert machine.platform.startswith(sys.platform.rstrip("0123456789"))


@pytest.mark.parametrize("lost", ["tensorrt", "cuda.bindings", "polygraphy.cuda"])
def test_without_a_package(lost, stand_in_card, monkeypatch):
    monkeypatch.setitem(sys.modules, lost, None)
    if lost == "polygraphy.cuda":
        monkeypatch.delattr("polygraphy.cuda", raising=False)
    assert 'pip install "aif[trt]"' in refused("TensorRT cannot be used")


def test_a_library_that_does_not_load(stand_in_card, monkeypatch):
    """`import tensorrt` loads libraries itself, and says so in its own way when one is missing."""

    def find(name, *rest):
        if name == "tensorrt":
            raise OSError("libnvinfer.so.11: cannot open")

    monkeypatch.delitem(sys.modules, "tensorrt")
    monkeypatch.setattr(sys, "meta_path", [SimpleNamespace(find_spec=find), *sys.meta_path])
    refused(r"TensorRT cannot be used: libnvinfer\.so\.11: cannot open")


@pytest.mark.parametrize("version", ["9.3.0.post12", "12.0.0.1"])
def test_a_tensorrt_that_aif_is_not_written_for(version, stand_in_card, plug_in):
    stand_in_card.version = version
    plug_in(stand_in_card)
    assert '"tensorrt>=10,<12"' in refused(f"TensorRT {version} is here")


def test_no_driver(stand_in_card, plug_in):
    stand_in_card.cuda = 35
    plug_in(stand_in_card)
    assert "nvidia-smi" in refused("no card to run on: CUDA says cudaErrorInsufficientDriver")


def test_a_driver_without_a_function(stand_in_card, monkeypatch):
    def missing():
        raise RuntimeError('Function "cudaGetDevice" not found')

    monkeypatch.setattr(sys.modules["cuda.bindings.runtime"], "cudaGetDevice", missing)
    refused(r"bindings do not fit the driver: Function .* not found")


def test_polygraphy_finds_pips_cuda(stand_in_card, monkeypatch, tmp_path):
    """It looks along the environment, once; afterwards that is as it was."""
    seen = []
    place = SimpleNamespace(abs_path=str(tmp_path / "libcudart.so.13"))
    monkeypatch.setitem(
        sys.modules, "cuda.pathfinder", SimpleNamespace(load_nvidia_dynamic_lib=lambda name: place)
    )
    monkeypatch.setattr("polygraphy.cuda.wrapper", lambda: seen.append(os.environ["LD_LIBRARY_PATH"]))
    monkeypatch.setattr(sys, "platform", "linux")
    for known in ("/opt/cuda", None):
        monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
        if known is not None:
            monkeypatch.setenv("LD_LIBRARY_PATH", known)
        load_library.cache_clear()
        load_library()
        assert os.environ.get("LD_LIBRARY_PATH") == known
    assert seen == [f"{tmp_path}:/opt/cuda", str(tmp_path)]


def test_what_polygraphy_says(stand_in_card, caplog, capsys):
    """Errors are errors, all else is for --verbose; nothing is printed, and no letter stands in front."""
    from polygraphy.logger import G_LOGGER

    load_library()
    with caplog.at_level(logging.INFO):
        G_LOGGER.error("In node 3 (Resize): UNSUPPORTED_NODE")
        G_LOGGER.warning("a tactic was skipped")
    found = [
        (each.levelname, each.getMessage()) for each in caplog.records if "TensorRT" in each.getMessage()
    ]
    assert found == [
        ("ERROR", "TensorRT: In node 3 (Resize): UNSUPPORTED_NODE"),
        ("INFO", "TensorRT: a tactic was skipped"),
    ]
    assert capsys.readouterr() == ("", "")
