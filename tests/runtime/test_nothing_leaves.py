"""Nothing leaves the machine: ONNX Runtime's telemetry is off wherever aif makes a session."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time

import pytest

TELEMETRY = "ORT_DISABLE_TELEMETRY"


class Recorder:
    """A proxy that connects nobody: what wants to reach a host through it is noted.

    Attributes:
        asked: the first line of each request.
    """

    def __init__(self):
        self.asked: list[str] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                self.asked.append(connection.recv(4096).split(b"\r\n")[0].decode())


@pytest.fixture
def recorder():
    made = Recorder()
    yield made
    made.socket.close()


def environment(home, recorder):
    """That of a user who has never run anything, behind the recorder."""
    home.mkdir()
    own = {name: value for name, value in os.environ.items() if name not in (TELEMETRY, "XDG_CACHE_HOME")}
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), recorder.address)
    return {**own, **proxies, "HOME": str(home)}


@pytest.mark.parametrize("package", ["aif.runtime", "aif.export", "aif.train"])
def test_telemetry_is_off_before_any_module_can_import_onnx_runtime(package):
    code = f"import os, sys, {package}\nprint(os.environ['{TELEMETRY}'], 'onnxruntime' in sys.modules)"
    own = {name: value for name, value in os.environ.items() if name != TELEMETRY}
    done = subprocess.run([sys.executable, "-c", code], env=own, capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n"


def test_an_edit_leaves_no_file_at_home(tmp_path, recorder):
    pytest.importorskip("skimage")
    home = tmp_path / "home"
    command = [sys.executable, "-m", "aif.cli.main", "edit", "demo", "--set", "Smiling=1", "-o", "out.png"]
    subprocess.run(command, env=environment(home, recorder), cwd=tmp_path, check=True, timeout=300)
    assert (tmp_path / "out.png").is_file()
    assert list(home.rglob("*")) == [] and recorder.asked == []


@pytest.mark.slow
def test_a_service_that_idles_asks_nobody_anything(tmp_path, recorder):
    """Beside it ONNX Runtime as it comes, which shows that the recorder records (where it has telemetry)."""
    service = subprocess.Popen(
        [sys.executable, "-m", "aif.cli.main", "serve", "--port", "0"],
        env=environment(tmp_path / "aif", recorder),
        stderr=subprocess.PIPE,
    )
    try:
        assert service.stderr is not None and service.stderr.readline() and service.stderr.readline()
        control = Recorder()
        idle = [sys.executable, "-c", "import onnxruntime, time; time.sleep(20)"]
        with subprocess.Popen(idle, env=environment(tmp_path / "bare", control)) as beside:
            while beside.poll() is None and not control.asked:
                time.sleep(0.1)
            beside.kill()
        control.socket.close()
        if not control.asked:
            pytest.skip("this ONNX Runtime has no telemetry")
        assert recorder.asked == [] and list((tmp_path / "aif").rglob("*")) == []
    finally:
        service.terminate()
        service.wait(60)
