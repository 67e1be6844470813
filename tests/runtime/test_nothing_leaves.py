"""Nothing leaves the machine: ONNX Runtime's telemetry is off wherever aif makes a session."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TELEMETRY = "ORT_DISABLE_TELEMETRY"


@pytest.mark.parametrize("package", ["aif.runtime", "aif.export", "aif.train"])
def test_telemetry_is_off_before_any_module_can_import_onnx_runtime(package):
    code = f"import os, sys, {package}\nprint(os.environ['{TELEMETRY}'], 'onnxruntime' in sys.modules)"
    own = {name: value for name, value in os.environ.items() if name != TELEMETRY}
    done = subprocess.run([sys.executable, "-c", code], env=own, capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n"


def test_an_edit_leaves_no_file_at_home(tmp_path):
    """Where ONNX Runtime's telemetry puts a device id and a database."""
    pytest.importorskip("skimage")
    home = tmp_path / "home"
    home.mkdir()
    own = {name: value for name, value in os.environ.items() if name not in (TELEMETRY, "XDG_CACHE_HOME")}
    command = [sys.executable, "-m", "aif.cli.main", "edit", "demo", "--set", "Smiling=1", "-o", "out.png"]
    subprocess.run(command, env={**own, "HOME": str(home)}, cwd=tmp_path, check=True, timeout=300)
    assert (tmp_path / "out.png").is_file() and list(home.rglob("*")) == []
