"""A service on a free port, with a detector that can be made to wait, and raw requests to it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from email.message import Message
from http.client import HTTPResponse
from typing import Any

import cv2
import httpx
import numpy as np

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.editing.editor import Editor
from aif.runtime.faces.detect import Detection, make_detector
from aif.runtime.model.model import FaceModel
from aif.runtime.serve.app import create_app
from aif.runtime.serve.server import Server, bind
from aif.runtime.serve.settings import ServeSettings

OPENING = b'--cut\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'


class Gate:
    """A detector behind a gate: edits stay in work for as long as it is shut."""

    def __init__(self, bundle: Bundle) -> None:
        self._detector = make_detector("haar", bundle)
        self.open = threading.Event()
        self.open.set()

    def detect(self, frame: np.ndarray) -> Sequence[Detection]:
        assert self.open.wait(60)
        return self._detector.detect(frame)


class Running:
    """A service on a free port of this machine."""

    def __init__(self, bundle: Bundle, **limits: Any) -> None:
        self.gate = Gate(bundle)
        self.editor = Editor(FaceModel(bundle, "cpu", 1), self.gate)
        settings = ServeSettings(**limits)
        self.app = create_app(self.editor, settings)
        self.places = self.app.state.service.places
        self.server = Server(self.app, settings.timeout, lambda: None)
        bound = bind("127.0.0.1", 0)
        self.address = bound.getsockname()
        self.thread = threading.Thread(target=self.server.run, args=([bound],))
        self.thread.start()
        until(lambda: self.server.started)
        self.client = httpx.Client(base_url="http://{}:{}".format(*self.address), timeout=60, trust_env=False)

    def post(self, path: str, photo: bytes, **fields: str) -> Any:
        return self.client.post(path, files={"photo": ("me.png", photo)}, data=fields)

    def figure(self, line: str) -> float:
        """One figure of the metrics page; 0 where it is not there yet."""
        page = self.client.get("/metrics").text.splitlines()
        return next((float(each.rpartition(" ")[2]) for each in page if each.startswith(f"{line} ")), 0.0)

    def outcomes(self, outcome: str, endpoint: str = "edit") -> float:
        return self.figure(f'aif_requests_total{{endpoint="{endpoint}",outcome="{outcome}"}}')

    def call(self, data: bytes) -> socket.socket:
        """A connection over which `data` was sent."""
        connection = socket.create_connection(self.address)
        connection.settimeout(30)
        connection.sendall(data)
        return connection

    def close(self) -> None:
        self.gate.open.set()
        self.client.close()
        self.server.should_exit = True
        self.thread.join(60)
        assert not self.thread.is_alive()
        self.editor.close()


def until(condition: Callable[[], Any], seconds: float = 120.0) -> Any:
    """Wait for something to become true; what it became."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return found


def png(pixels_hwc_bgr: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels_hwc_bgr)[1].tobytes()


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def head(length: int | None, *headers: str) -> bytes:
    """The headers of a request for an edit; None = a body of unknown length."""
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    kind = "Content-Type: multipart/form-data; boundary=cut"
    return "\r\n".join(("POST /edit HTTP/1.1", "Host: localhost", kind, *headers, framing, "", "")).encode()


def form(photo: bytes, **fields: str) -> bytes:
    """A body with a smile and other fields."""
    parts = [
        f'\r\n--cut\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}'
        for name, value in {"Smiling": "1", **fields}.items()
    ]
    return OPENING + photo + "".join(parts).encode() + b"\r\n--cut--\r\n"


def answer_of(connection: socket.socket) -> tuple[int, Message, bytes]:
    """Status, headers and body."""
    answer = HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.headers, answer.read()
