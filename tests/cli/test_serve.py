"""The service over real connections: what it answers, what it refuses, what it counts, how it ends."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image
from tiny_bundles import shape_parts

from aif.runtime.bench.serve import _place
from aif.runtime.bundle.bundle import Bundle, write_bundle
from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import AifError
from aif.runtime.faces.detect import Detection, make_detector
from aif.runtime.model.model import FaceModel
from aif.runtime.serve.app import create_app
from aif.runtime.serve.errors import CODES
from aif.runtime.serve.hosts import LOOPBACK, known_hosts
from aif.runtime.serve.settings import ServeSettings


class Gate:
    """A detector behind a gate: edits stay in work for as long as it is shut."""

    def __init__(self, bundle: Bundle) -> None:
        self._detector = make_detector("haar", bundle)
        self.open, self.reached = threading.Event(), threading.Semaphore(0)
        self.open.set()

    def detect(self, frame: np.ndarray) -> Sequence[Detection]:
        self.reached.release()
        assert self.open.wait(60)
        return self._detector.detect(frame)


class Running:
    """A service on a free port of this machine."""

    def __init__(self, bundle: Path, **limits: Any) -> None:
        opened = Bundle.open(bundle)
        self.gate = Gate(opened)
        self.editor = Editor(FaceModel(opened, "cpu", 1), self.gate)
        self.app = create_app(self.editor, ServeSettings(**limits))
        self.pool = self.app.state.service.pool
        config = uvicorn.Config(self.app, host="127.0.0.1", port=0, http="h11", log_level="warning")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        until(lambda: self.server.started)
        self.address = self.server.servers[0].sockets[0].getsockname()[:2]
        self.client = httpx.Client(base_url="http://{}:{}".format(*self.address), timeout=60, trust_env=False)

    def post(self, path: str, photo: bytes, **fields: str) -> Any:
        return self.client.post(path, files={"photo": ("me.png", photo)}, data=fields)

    def figure(self, line: str) -> float:
        """One figure of the metrics page; 0 where it is not there yet."""
        page = self.client.get("/metrics").text.splitlines()
        return next((float(each.rpartition(" ")[2]) for each in page if each.startswith(f"{line} ")), 0.0)

    def outcomes(self, outcome: str, endpoint: str = "edit") -> float:
        return self.figure(f'aif_requests_total{{endpoint="{endpoint}",outcome="{outcome}"}}')

    def close(self) -> None:
        self.gate.open.set()
        self.client.close()
        self.server.should_exit = True
        self.thread.join(60)
        assert not self.thread.is_alive()
        self.editor.close()


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def png(pixels_hwc_bgr: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels_hwc_bgr)[1].tobytes()


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@pytest.fixture(scope="module")
def portrait_bgr(portrait_rgb: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(portrait_rgb[:, :, ::-1])


@pytest.fixture(scope="module")
def photo(portrait_bgr: np.ndarray) -> bytes:
    return png(portrait_bgr)


@pytest.fixture(scope="module")
def service(bundle: Path) -> Iterator[Running]:
    """One for all tests that do not need limits of their own."""
    running = Running(bundle, max_bytes=300_000, max_megapixels=1.0)
    yield running
    running.close()


@pytest.fixture
def start(bundle: Path) -> Iterator[Callable[..., Running]]:
    """Start a service with limits: start(queue=1)."""
    with contextlib.ExitStack() as stack:
        yield lambda **limits: stack.enter_context(contextlib.closing(Running(bundle, **limits)))


def test_an_edit_is_what_the_editor_makes(service: Running, photo: bytes, portrait_bgr: np.ndarray) -> None:
    answer = service.post("/edit", photo, Smiling="1", Blond_Hair="off", mode="replace")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    wanted = service.editor.edit(portrait_bgr, {"Smiling": 1.0, "Blond_Hair": 0.0}, "replace")
    assert np.array_equal(decoded(answer.content), wanted.image_hwc_bgr)
    assert not np.array_equal(wanted.image_hwc_bgr, portrait_bgr)
    assert answer.headers["x-aif-faces"] == "1" and answer.headers["cache-control"] == "no-store"
    assert "x-aif-notes" not in answer.headers
    (face,) = wanted.faces
    (predicted,) = json.loads(answer.headers["x-aif-predicted"])
    assert predicted == pytest.approx(face.y_source, abs=0.006)
    stages = ["wait", "read", "detect", "align", "encode", "decode_faces", "composite", "write"]
    assert [part.split(";")[0] for part in answer.headers["server-timing"].split(", ")] == stages


def test_json_in_place_of_fields_and_another_format(service: Running, photo: bytes) -> None:
    fields = service.post("/edit", photo, Smiling="0.5", format="jpeg", quality="80")
    listed = service.post("/edit", photo, edits='{"Smiling": 0.5}', format="jpeg", quality="80")
    assert fields.headers["content-type"] == "image/jpeg" and fields.content == listed.content


def test_orientation_and_metadata_stay(service: Running, portrait_rgb: np.ndarray) -> None:
    """A photo that a phone took lying down."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"
    lying, buffer = np.ascontiguousarray(np.rot90(portrait_rgb)), io.BytesIO()
    Image.fromarray(lying).save(buffer, "JPEG", exif=exif, quality=95)
    answer = service.post("/edit", buffer.getvalue(), Smiling="1")
    assert answer.status_code == 200
    image = Image.open(io.BytesIO(answer.content))
    assert image.size == (portrait_rgb.shape[1], portrait_rgb.shape[0])
    assert (image.getexif()[0x0112], image.getexif()[0x010F]) == (1, "Camera")


def test_a_look(service: Running, photo: bytes, portrait_bgr: np.ndarray) -> None:
    answer = service.post("/attributes", photo, faces="0").json()
    (face,) = service.editor.analyse(portrait_bgr)
    assert (answer["width"], answer["height"]) == portrait_bgr.shape[1::-1]
    (seen,) = answer["faces"]
    assert set(seen) == {"box", "score", "residual", "attributes"}
    assert seen["attributes"] == pytest.approx(face.y, abs=1e-4)
    assert seen["box"] == pytest.approx(face.detection.box_xywh.tolist(), abs=0.06)


def test_what_can_be_edited(service: Running) -> None:
    about = service.client.get("/attributes").json()
    smiling = {"name": "Smiling", "minimum": -1.0, "maximum": 2.0, "default_on": 1.0, "group": "face"}
    assert about["attributes"][0] == {**smiling, "takes_along": {}, "excludes": []}
    assert [each["name"] for each in about["attributes"]] == ["Smiling", "Blond_Hair"]
    assert about["bundle"] == {
        **{"name": "toy", "version": "1", "image_size": 32},
        **{"precision": "fp32", "device": "cpu"},
    }
    assert about["modes"] == ["delta", "replace"] and about["default_mode"] in about["modes"]


def test_a_bundle_with_shape(tmp_path: Path, photo: bytes) -> None:
    """What an edit takes along is said, and how it composes is no choice."""
    hair = AttributeInfo(name="Blond_Hair", group="hair", excludes=("Smiling",))
    smile = AttributeInfo(name="Smiling", group="expression", takes_along={"Blond_Hair": 0.5})
    parts = shape_parts(attributes=(smile, hair))
    bundle = write_bundle(tmp_path / "shape.aif", parts.manifest, parts.files).path
    with contextlib.closing(Running(bundle)) as running:
        about = running.client.get("/attributes").json()
        assert (about["modes"], about["default_mode"]) == (["warp"], "warp")
        assert [each["group"] for each in about["attributes"]] == ["expression", "hair"]
        assert about["attributes"][0]["takes_along"] == {"Blond_Hair": 0.5}
        form = running.client.get("/openapi.json").json()["paths"]["/edit"]["post"]["requestBody"]
        fields = form["content"]["multipart/form-data"]["schema"]["properties"]
        assert fields["mode"]["enum"] == ["warp"]
        one = running.post("/edit", photo, Smiling="1", faces="largest")
        (note,) = json.loads(one.headers["x-aif-notes"])
        assert one.status_code == 200 and note.startswith("Smiling takes Blond_Hair along by 0.5")
        both = running.post("/edit", photo, Smiling="1", Blond_Hair="1", faces="largest")
        (note,) = json.loads(both.headers["x-aif-notes"])
        assert both.status_code == 200 and note.startswith("Blond_Hair and Smiling exclude each other")
        refused = running.post("/edit", photo, Smiling="1", mode="delta").json()["error"]
        assert refused["code"] == "bad_value" and refused["fix"] == "It composes by: warp."


def test_refusals(service: Running, photo: bytes) -> None:
    """Each with its status, its code and a fix, in one shape; nothing is edited meanwhile."""
    before = service.figure("aif_faces_edited_total")
    empty = png(np.full((64, 64, 3), 90, np.uint8))
    huge, heavy = png(np.zeros((1001, 1000, 3), np.uint8)), bytes(300_001)
    noisy = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    cut = cv2.imencode(".jpg", noisy)[1].tobytes()[:1500]
    smile = {"Smiling": "1"}
    for content, fields, status, code, said in (
        (empty, smile, 422, "no_face", "No face"),
        (photo, {**smile, "faces": "7"}, 422, "no_face", "numbered 0 to 0"),
        (b"GIF89a", smile, 415, "unsupported_picture", "a GIF"),
        (b"some text", smile, 415, "unsupported_picture", "a text file"),
        (b"", smile, 422, "damaged_picture", "empty"),
        (cut, smile, 422, "damaged_picture", "The photo"),
        (photo[:2000], smile, 422, "damaged_picture", "The photo"),
        (huge, smile, 413, "too_many_pixels", "at most 1 megapixels"),
        (heavy, smile, 413, "too_large", "300000 bytes"),
        (photo, {"Smilng": "1"}, 422, "unknown_attribute", "Did you mean Smiling"),
        (photo, {"Smiling": "99"}, 422, "bad_value", "-1 to 2"),
        (photo, {**smile, "mode": "magic"}, 422, "bad_value", "delta"),
        (photo, {}, 422, "bad_value", "Say what to change"),
    ):
        answer = service.post("/edit", content, **fields)
        assert answer.status_code == status == CODES[code][0], answer.text
        error = answer.json()["error"]
        assert answer.json() == {"error": error} and set(error) == {"code", "message", "fix"}
        assert error["code"] == code and said in f"{error['message']} {error['fix']}", error
        assert "--max" not in answer.text and "--set" not in answer.text
        assert service.outcomes(code) >= 1
    assert service.figure("aif_faces_edited_total") == before


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
        ("GET", "/edit", 405, "wrong_method"),
        ("DELETE", "/attributes", 405, "wrong_method"),
        ("POST", "/edit", 415, "not_a_form"),
    ],
)
def test_wrong_addresses(service: Running, method: str, path: str, status: int, code: str) -> None:
    answer = service.client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_fault_of_ours_is_told_in_the_same_shape(
    service: Running, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(service.editor, "edit", fault)
    answer = service.post("/edit", photo, Smiling="1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert service.outcomes("internal") == 1 and service.pool.taken == 0


def test_openapi_describes_the_form_the_files_and_every_refusal(service: Running) -> None:
    about = service.client.get("/openapi.json").json()
    post = about["paths"]["/edit"]["post"]
    form = post["requestBody"]["content"]["multipart/form-data"]
    fields = form["schema"]["properties"]
    wanted = {"photo", "Smiling", "Blond_Hair", "edits", "faces", "mode", "format", "quality"}
    assert set(fields) == wanted and form["schema"]["required"] == ["photo"] and form["example"]
    assert fields["Blond_Hair"]["anyOf"][0] == {"type": "number", "minimum": 0, "maximum": 1}
    assert (
        "image/png" in post["responses"]["200"]["content"]
        and "X-Aif-Faces" in post["responses"]["200"]["headers"]
    )
    told = {
        code: status
        for status, answer in post["responses"].items()
        for code in answer["content"].get("application/json", {}).get("examples", {})
    }
    assert told == {
        code: str(CODES[code][0]) for code in set(CODES) - {"not_found", "wrong_method", "wrong_host"}
    }
    assert about["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == list(CODES)
    assert set(about["paths"]) == {"/edit", "/attributes", "/health", "/ready", "/metrics"}


def test_only_known_names_are_answered_to(start: Any) -> None:
    """A page on the web that lets its name point to this machine gets nothing."""
    service = start(hosts=known_hosts("127.0.0.1", ["Photos.example.org"]))
    for host, status in (
        *((name, 200) for name in ("localhost", "127.0.0.1:8000", "LOCALHOST:1", "[::1]:8000")),
        ("photos.example.org", 200),
        *(
            (name, 421)
            for name in ("evil.example", "evil.example:8000", "localhost.evil.example", "[::2]", "")
        ),
    ):
        answer = service.client.get("/health", headers={"host": host})
        assert answer.status_code == status, host
        assert status == 200 or answer.json()["error"]["code"] == "wrong_host"


@pytest.mark.parametrize(
    ("address", "more", "names"),
    [
        ("127.0.0.1", [], {*LOOPBACK}),
        ("127.0.0.2", [], {*LOOPBACK, "127.0.0.2"}),
        ("::1", [], {*LOOPBACK}),
        ("0.0.0.0", [], None),
        ("::", [], None),
        ("0.0.0.0", ["a.example"], {*LOOPBACK, "0.0.0.0", "a.example"}),
    ],
)
def test_names_to_answer_to(address: str, more: list[str], names: set[str] | None) -> None:
    known = known_hosts(address, more)
    assert (None if known is None else set(known)) == names


def test_a_full_queue_refuses_and_loses_nothing(start: Any, photo: bytes) -> None:
    service = start(workers=1, queue=2)
    service.gate.open.clear()
    with ThreadPoolExecutor(8) as threads:
        accepted = [threads.submit(service.post, "/edit", photo, Smiling="1") for _ in range(3)]
        until(lambda: service.pool.taken == 3 and service.pool.running == 1 and service.pool.waiting == 2)
        assert (service.figure("aif_queue_length"), service.figure("aif_edits_running")) == (2, 1)
        for path in ("/edit", "/attributes"):
            answer = service.post(path, photo + bytes(2_000_000), Smiling="1")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "queue_full")
            assert int(answer.headers["retry-after"]) >= 1
        assert service.client.get("/ready").status_code == 503
        assert service.client.get("/health").json()["queue"] == 2
        service.gate.open.set()
        assert [each.result().status_code for each in accepted] == [200, 200, 200]
    assert service.client.get("/ready").status_code == 200
    assert (service.outcomes("ok"), service.outcomes("queue_full")) == (3, 1)
    assert service.outcomes("queue_full", "attributes") == 1
    assert service.figure("aif_faces_edited_total") == 3 and service.figure("aif_places_taken") == 0


def test_an_edit_that_takes_too_long_is_given_up(start: Any, photo: bytes) -> None:
    """Its thread finishes the stage that it is in; the place is taken until then, and free afterwards."""
    service = start(workers=1, queue=1, timeout=1.5)
    service.gate.open.clear()
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(service.post, "/edit", photo, Smiling="1") for _ in range(2)]
        for each in both:
            assert (each.result().status_code, each.result().json()["error"]["code"]) == (504, "timeout")
    until(lambda: service.pool.taken == 1)  # the one that waited is gone, the other still in work
    assert service.pool.running == 1 and service.pool.waiting == 0
    service.gate.open.set()
    until(lambda: service.pool.taken == 0)
    assert service.outcomes("timeout") == 2 and service.figure("aif_faces_edited_total") == 0


def request_head(length: int | None, host: str = "localhost") -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return (
        f"POST /edit HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=cut\r\n"
        f"{framing}\r\n\r\n"
    ).encode()


OPENING = b'--cut\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'


def form(photo: bytes) -> bytes:
    wish = b'\r\n--cut\r\nContent-Disposition: form-data; name="Smiling"\r\n\r\n1\r\n--cut--\r\n'
    return OPENING + photo + wish


def answer_of(connection: socket.socket) -> tuple[int, bytes]:
    """Status and all that comes until the connection is closed by the service."""
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    return int(data.split()[1]), data


def test_a_client_that_hangs_up_gives_its_place_back(start: Any, photo: bytes) -> None:
    service = start(workers=1, queue=1)
    service.gate.open.clear()
    body = form(photo)
    calls = [socket.create_connection(service.address) for _ in range(2)]
    for call in calls:
        call.sendall(request_head(len(body)) + body)
    # An edit that is not at the gate yet would end at its next checkpoint.
    until(lambda: service.gate.reached.acquire(blocking=False))
    until(lambda: service.pool.running == 1 and service.pool.waiting == 1)
    for call in calls:
        call.close()
    until(lambda: service.pool.taken == 1)
    with socket.create_connection(service.address) as call:  # and one that goes while it sends
        call.sendall(request_head(len(body)) + body[:100])
        until(lambda: service.pool.taken == 2)
    service.gate.open.set()
    until(lambda: service.pool.taken == 0)
    assert service.outcomes("client_gone") == 3 and service.figure("aif_faces_edited_total") == 0


def test_an_endless_upload_is_answered_while_it_arrives(start: Any) -> None:
    service = start(max_bytes=100_000)
    with socket.create_connection(service.address) as call:
        call.sendall(request_head(None))
        chunk = b"10000\r\n" + OPENING + bytes(0x10000 - len(OPENING)) + b"\r\n"
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 100 << 20:
                call.sendall(chunk)
                sent += len(chunk)
        assert sent < 20 << 20
    until(lambda: service.outcomes("too_large") == 1)
    assert service.pool.taken == 0


def test_a_large_upload_gets_its_answer_and_not_a_broken_pipe(start: Any) -> None:
    """A client that sends all before it listens, of a length that it tells, and of one that it does not."""
    service = start(max_bytes=100_000)
    data = OPENING + bytes(300_000)
    for head, body in ((len(data), data), (None, b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))):
        with socket.create_connection(service.address) as call:
            call.sendall(request_head(head).replace(b"Host", b"Connection: close\r\nHost") + body)
            status, said = answer_of(call)
        assert status == 413 and b'"code":"too_large"' in said


def test_a_client_that_asks_first_is_told_at_once(start: Any) -> None:
    service = start(max_bytes=100_000)
    head = request_head(10**9).replace(b"Host", b"Expect: 100-continue\r\nHost")
    with socket.create_connection(service.address) as call:
        call.sendall(head)
        status, said = answer_of(call)
    assert status == 413 and b"100 Continue" not in said


def test_an_upload_that_takes_too_long(start: Any) -> None:
    service = start(timeout=0.3)
    with socket.create_connection(service.address) as call:
        call.sendall(request_head(1000) + OPENING)
        call.settimeout(20)
        status, said = answer_of(call)  # the service hangs up by itself
    assert status == 408 and b'"code":"slow_upload"' in said and b"connection: close" in said.lower()
    assert service.pool.taken == 0


def test_a_client_that_does_not_read_keeps_its_place_and_is_cut_off(
    start: Any, portrait_bgr: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aif.runtime.serve.answer.ANSWER_SECONDS", 0.0)
    service = start(workers=1, queue=0, timeout=4.0)
    large = np.zeros((1000, 3000, 3), np.uint8)
    large[: portrait_bgr.shape[0], : portrait_bgr.shape[1]] = portrait_bgr
    as_bmp = b'--cut\r\nContent-Disposition: form-data; name="format"\r\n\r\nbmp\r\n'
    body = as_bmp + form(png(large))
    connections = service.server.server_state.connections
    with socket.socket() as call:
        call.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        call.connect(service.address)
        call.sendall(request_head(len(body)) + body)
        until(lambda: service.outcomes("ok") == 1)
        assert service.client.get("/ready").status_code == 503
        until(lambda: service.pool.taken == 0 and len(connections) == 1, 20)
    assert service.client.get("/ready").status_code == 200


def test_metrics_are_in_both_of_prometheus_formats(service: Running, photo: bytes) -> None:
    assert service.post("/edit", photo, Smiling="1").status_code == 200
    plain = service.client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=")
    for stage in (
        "receive",
        "wait",
        "read",
        "detect",
        "align",
        "encode",
        "decode_faces",
        "composite",
        "write",
    ):
        assert service.figure(f'aif_stage_seconds_count{{stage="{stage}"}}') >= 1, stage
    assert service.figure('aif_request_seconds_count{endpoint="edit"}') >= 1
    assert service.figure("aif_faces_edited_total") >= 1
    assert service.figure("aif_places") == service.pool.places == 17
    modern = service.client.get("/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0"})
    assert modern.text.endswith("# EOF\n")


# Any write to a file is an error from here on.
NO_FILES = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGTERM and limits of a process")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_ends_it_in_peace(bundle: Path, photo: bytes, number: signal.Signals) -> None:
    """A real process that can write no file: it finishes what is there, refuses new calls, exits with 0."""
    words = ["serve", "--port", "0", "--bundle", str(bundle), "--detector", "haar", "--workers", "1"]
    process = subprocess.Popen(
        [sys.executable, "-c", f"{NO_FILES}; from aif.cli.main import main; main()", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    try:
        assert process.stderr is not None
        told = process.stderr.readline()
        assert "aif serves toy at http://127.0.0.1:" in told, told + process.stderr.read()
        address = ("127.0.0.1", int(told.split("127.0.0.1:")[1].split()[0]))
        body = form(png(np.pad(decoded(photo), ((0, 900), (0, 900), (0, 0)))) + bytes(1_500_000))
        with socket.create_connection(address) as call:
            call.sendall(request_head(len(body)) + body[:5000])
            until(lambda: places_taken(address) == 1)
            process.send_signal(number)
            until(lambda: refuses(address))
            assert process.poll() is None
            call.sendall(body[5000:])
            status, answer = answer_of(call)
        assert status == 200 and b"x-aif-faces: 1" in answer
        out, said = process.communicate(timeout=60)
        assert (process.returncode, out, said) == (0, "", "")
    finally:
        process.kill()
        process.communicate()


def places_taken(address: tuple[str, int]) -> float:
    page = httpx.get("http://{}:{}/metrics".format(*address), trust_env=False, timeout=30).text
    return float(next(line for line in page.splitlines() if line.startswith("aif_places_taken ")).split()[1])


def refuses(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address).close()
    except ConnectionError:
        return True
    return False


def test_a_request_on_an_open_connection_is_refused_while_it_stops(start: Any, photo: bytes) -> None:
    service = start()
    assert service.client.get("/ready").status_code == 200
    service.pool.stop()
    for answer in (service.post("/edit", photo, Smiling="1"), service.client.get("/ready")):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "stopping")
        assert answer.headers["retry-after"]
    assert service.client.get("/health").json()["status"] == "stopping"


def test_the_benchmark_finds_the_address_behind_other_lines() -> None:
    assert _place(["a warning\n", "aif serves toy at http://[::1]:80 (1 at once)\n", "x"]) == "[::1]:80"
    with pytest.raises(AifError, match="does not start: one\ntwo"):
        _place(["one\n", "two\n"])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--workers", "0"], 2, "--workers must be at least 1"),
        (["--timeout", "0"], 2, "--timeout must be above 0"),
        (["--threads", "0"], 2, "--threads must be at least 1"),
        (["--provider", "magic"], 2, "Known: cpu, cuda"),
        (["--host", "no.such.host.invalid"], 1, "Choose another --host or --port"),
        (["--port", "{taken}"], 1, "Choose another --host or --port"),
        (["--port", "99999"], 2, "65535"),
        (["--bundle", "nowhere.aif", "--port", "0"], 1, "nowhere.aif"),
        (["--allow-host", "http://a.example", "--port", "0"], 2, "without scheme and port"),
    ],
)
def test_wrong_options(run: Callable[..., Any], words: list[str], code: int, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("serve", *(word.format(taken=port) for word in words))
    assert done.code == code and said in done.stderr and "Traceback" not in done.stderr
