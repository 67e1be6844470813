"""The service under load: full queues, slow and vanished clients, large uploads, signals."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from running_service import OPENING, Running, answer_of, decoded, form, head, png, until

from aif.runtime.bench.serve import address_in
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import AifError

Start = Callable[..., Running]


def test_a_full_queue_refuses_and_loses_nothing(start: Start, photo: bytes) -> None:
    service = start(workers=1, queue=2)
    service.gate.open.clear()
    with ThreadPoolExecutor(8) as threads:
        accepted = [threads.submit(service.post, "/edit", photo, Smiling="1") for _ in range(3)]
        until(lambda: service.places.taken == 3 and service.places.waiting == 2)
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


def test_an_edit_that_takes_too_long_is_given_up(start: Start, photo: bytes) -> None:
    """Its thread finishes the stage that it is in; the place is taken until then, and free afterwards."""
    service = start(workers=1, queue=1, timeout=1.5)
    service.gate.open.clear()
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(service.post, "/edit", photo, Smiling="1") for _ in range(2)]
        for each in both:
            assert (each.result().status_code, each.result().json()["error"]["code"]) == (504, "timeout")
    until(lambda: service.places.taken == 1)  # the one that waited is gone, the other still in work
    assert service.places.running == 1 and service.places.waiting == 0
    service.gate.open.set()
    until(lambda: service.places.taken == 0)
    assert service.outcomes("timeout") == 2 and service.figure("aif_faces_edited_total") == 0


def test_a_client_that_hangs_up_gives_its_place_back(start: Start, photo: bytes) -> None:
    service = start(workers=1, queue=1)
    service.gate.open.clear()
    body = form(photo)
    calls = [service.call(head(len(body)) + body) for _ in range(2)]
    # An edit that is not at the gate yet would end at its next checkpoint.
    until(lambda: service.gate.reached.acquire(blocking=False))
    until(lambda: service.places.running == 1 and service.places.waiting == 1)
    for call in calls:
        call.close()
    until(lambda: service.places.taken == 1)
    with service.call(head(len(body)) + body[:100]):  # and one that goes while it sends
        until(lambda: service.places.taken == 2)
    service.gate.open.set()
    until(lambda: service.places.taken == 0)
    assert service.outcomes("client_gone") == 3 and service.figure("aif_faces_edited_total") == 0


def test_an_endless_upload_is_answered_while_it_arrives(start: Start) -> None:
    service = start(max_bytes=100_000)
    chunk = b"10000\r\n" + OPENING + bytes(0x10000 - len(OPENING)) + b"\r\n"
    with service.call(head(None)) as call:
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 100 << 20:
                call.sendall(chunk)
                sent += len(chunk)
        assert sent < 20 << 20
    until(lambda: service.outcomes("too_large") == 1)
    assert service.places.taken == 0


LARGE = OPENING + bytes(500_000)


@pytest.mark.parametrize(
    "sent",
    [
        head(len(LARGE), "Connection: close") + LARGE,
        head(None, "Connection: close") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(LARGE), LARGE),
        head(10**9, "Expect: 100-continue"),
    ],
    ids=["length", "chunked", "asks first"],
)
def test_a_large_upload_gets_its_answer_and_not_a_broken_pipe(start: Start, sent: bytes) -> None:
    """A client that sends all before it listens; one that asks first is refused at once."""
    service = start(max_bytes=100_000)
    with service.call(sent) as call:
        status, said = answer_of(call)
    assert status == 413 and b'"code":"too_large"' in said and b"100 Continue" not in said


@pytest.mark.parametrize(("timeout", "first_seconds"), [(0.3, 5.0), (60.0, 0.3)], ids=["in all", "rate"])
def test_an_upload_that_is_too_slow(
    start: Start, monkeypatch: pytest.MonkeyPatch, timeout: float, first_seconds: float
) -> None:
    monkeypatch.setattr("aif.runtime.serve.body.FIRST_SECONDS", first_seconds)
    service = start(timeout=timeout)
    with service.call(head(1000) + OPENING) as call:
        status, said = answer_of(call)  # the service hangs up by itself
    assert status == 408 and b'"code":"slow_upload"' in said and b"connection: close" in said.lower()
    assert service.places.taken == 0


def test_headers_that_do_not_come_are_not_waited_for(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aif.runtime.serve.server.HEADER_SECONDS", 0.5)
    service = start()
    half = head(100)[:60]
    whole = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for data in (half, b"", whole + half):
        with service.call(data) as call, contextlib.suppress(ConnectionError):
            while call.recv(65536):
                pass
    until(lambda: len(service.server.server_state.connections) == 0)
    assert service.client.get("/health").status_code == 200


def test_a_client_that_does_not_read_keeps_its_place_and_is_cut_off(
    start: Start, portrait_bgr: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aif.runtime.serve.server.ANSWER_SECONDS", 0)
    service = start(workers=1, queue=0, timeout=4.0)
    large = np.zeros((1000, 3000, 3), np.uint8)
    large[: portrait_bgr.shape[0], : portrait_bgr.shape[1]] = portrait_bgr
    body = form(png(large), format="bmp")
    connections = service.server.server_state.connections
    with socket.socket() as call:
        call.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        call.connect(service.address)
        call.sendall(head(len(body)) + body)
        until(lambda: service.outcomes("ok") == 1)
        assert service.client.get("/ready").status_code == 503
        until(lambda: service.places.taken == 0 and len(connections) <= 1, 20)
    assert service.client.get("/ready").status_code == 200


# Any write to a file is an error from here on.
NO_FILES = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGTERM and limits of a process")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_ends_it_in_peace(toy_bundle: Bundle, photo: bytes, number: signal.Signals) -> None:
    """A real process that can write no file: it finishes what is there, refuses new calls, exits with 0."""
    words = ["serve", "--port", "0", "--bundle", str(toy_bundle.path), "--detector", "haar", "--workers", "1"]
    process = subprocess.Popen(
        [sys.executable, "-c", f"{NO_FILES}; from aif.cli.main import main; main()", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert "aif serves toy at http://127.0.0.1:" in said, said + process.stderr.read()
        address = ("127.0.0.1", int(said.split("127.0.0.1:")[1].split()[0]))
        body = form(png(np.pad(decoded(photo), ((0, 900), (0, 900), (0, 0)))) + bytes(1_500_000))
        with socket.create_connection(address) as call:
            call.sendall(head(len(body)) + body[:5000])
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


def test_a_request_on_an_open_connection_is_refused_while_it_stops(start: Start, photo: bytes) -> None:
    service = start()
    assert service.client.get("/ready").status_code == 200
    service.places.stopping = True
    for answer in (service.post("/edit", photo, Smiling="1"), service.client.get("/ready")):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "stopping")
        assert answer.headers["retry-after"]
    assert service.client.get("/health").json()["status"] == "stopping"


def test_the_benchmark_finds_the_address_behind_other_lines() -> None:
    assert address_in(["a warning\n", "aif serves toy at http://[::1]:80 (1 at once)\n", "x"]) == "[::1]:80"
    with pytest.raises(AifError, match="does not start: one\ntwo"):
        address_in(["one\n", "two\n"])
