"""The door to TensorRT and CUDA: every CUDA function that is called is in NVIDIA's real bindings."""

from __future__ import annotations

import inspect
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import aif.runtime
from aif.runtime.errors import ProviderError
from aif.runtime.tensorrt.library import load_library, plain

try:
    from cuda.bindings import runtime as real_cudart
except ImportError:
    real_cudart = None

SOURCES = sorted(Path(aif.runtime.__file__).parent.glob("tensorrt_*.py"))
CALLED = sorted({name for path in SOURCES for name in re.findall(r"cudart\.(cuda\w+)", path.read_text())})


@pytest.mark.skipif(real_cudart is None, reason="cuda-bindings are not installed")
@pytest.mark.parametrize("name", CALLED)
def test_cudas_names_are_real(name: str, stand_in_card: Any) -> None:
    """Present in cuda-bindings, and the stand-in's functions take as many arguments as the real ones."""
    assert real_cudart is not None
    real = getattr(real_cudart, name)
    ours = getattr(stand_in_card, f"_{name}", None)
    if ours is None:
        assert not inspect.isroutine(real)  # a constant or an enumeration
        return
    first = str(real.__doc__).strip().splitlines()[0]
    inside = first[first.index("(") + 1 : first.rindex(")")]
    arguments = [part for part in inside.split(",") if part.strip()]
    assert len(arguments) == len(inspect.signature(ours).parameters)


@pytest.mark.skipif(real_cudart is None, reason="cuda-bindings are not installed")
@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a driver here")
def test_the_real_bindings_without_a_driver(stand_in_card: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cuda-bindings really say where there is no card becomes an error that names it."""
    import cuda.bindings

    monkeypatch.setitem(sys.modules, "cuda.bindings", cuda.bindings)
    monkeypatch.setattr(sys.modules["cuda.bindings"], "runtime", real_cudart)
    with pytest.raises(ProviderError, match="no card to run on: CUDA says cudaError"):
        load_library()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("[E] In node 3", "In node 3"), ("[!] a", "a"), ("a [E] b", "a [E] b"), ("", ""), ("  [I] x", "[I] x")],
)
def test_polygraphys_letters_go(text: str, wanted: str) -> None:
    assert plain(text) == wanted


def test_what_is_called_was_found() -> None:
    assert {"cudaMalloc", "cudaMallocHost", "cudaMemcpyAsync", "cudaGraphLaunch"} <= set(CALLED)
