"""Optional files: where they lie, and that only the right one is ever kept."""

import http.server
import threading

import pytest

from aif.runtime import fetch
from aif.runtime.errors import AifError, ConfigError
from aif.runtime.fetch import cache_folder, fetch_yunet, yunet_path

FILE = "face_detection_yunet_2023mar.onnx"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("AIF_YUNET", raising=False)
    monkeypatch.setenv("AIF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("platform", "variables", "ends"),
    [
        ("linux", {"AIF_CACHE": "/own"}, "/own"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/aif"),
        ("linux", {}, ".cache/aif"),
        ("darwin", {}, "Library/Caches/aif"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/aif"),
        ("win32", {}, "AppData/Local/aif"),
    ],
)
def test_cache_folder(monkeypatch, platform, variables, ends):
    for name in ("AIF_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(fetch.sys, "platform", platform)
    assert cache_folder().as_posix().endswith(ends)


def test_a_damaged_fetched_file(own_cache):
    assert yunet_path() is None
    own_cache.mkdir()
    (own_cache / FILE).write_bytes(b"half a download")
    with pytest.raises(ConfigError, match="aif fetch yunet"):
        yunet_path()


def test_the_variable_wins(tmp_path, monkeypatch):
    mine = tmp_path / "mine.onnx"
    monkeypatch.setenv("AIF_YUNET", str(mine))
    with pytest.raises(ConfigError, match="AIF_YUNET names"):
        yunet_path()
    mine.write_bytes(b"x")
    assert yunet_path() == mine


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/wrong.onnx" else 404)
        self.end_headers()
        self.wfile.write(b"this is not YuNet")

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("page", ["wrong.onnx", "absent.onnx"])
def test_a_wrong_download_is_not_kept(server, own_cache, page):
    pytest.importorskip("pooch")
    with pytest.raises(AifError, match="could not be fetched"):
        fetch_yunet(f"{server}/{page}")
    assert [path for path in own_cache.rglob("*") if path.is_file()] == []
    assert yunet_path() is None
