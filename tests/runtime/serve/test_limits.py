"""The service under load: full queues, slow and vanished clients, large uploads, signals."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from running_service import OPENING, answer_of, decoded, form, head, png, until

from aif.runtime.serve import settings


def test_a_full_queue_refuses_and_loses_nothing(start, photo):
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


def test_an_edit_that_takes_too_long_is_given_up(start, photo):
    """The one in work ends at its next stage, the one that waits at once; both places are free again."""
    service = start(workers=1, queue=1, timeout=1.0)
    service.gate.open.clear()
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(service.post, "/edit", photo, Smiling="1") for _ in range(2)]
        until(lambda: service.outcomes("timeout") == 1)
        assert (service.places.taken, service.places.running, service.places.waiting) == (1, 1, 0)
        service.gate.open.set()
        for each in both:
            assert (each.result().status_code, each.result().json()["error"]["code"]) == (504, "timeout")
    assert service.places.taken == 0
    assert service.outcomes("timeout") == 2 and service.figure("aif_faces_edited_total") == 0


@pytest.mark.parametrize("sent", [b"", b"POST /edit HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_head_that_does_not_arrive_ends_its_connection(start, photo, monkeypatch, sent):
    """Of a new connection and of one that is kept; others go on meanwhile."""
    monkeypatch.setattr(settings, "HEAD_SECONDS", 0.3)
    service = start(workers=1, queue=1)
    slow = [service.call(sent) for _ in range(40)]
    kept = service.call(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer_of(kept)[0] == 200
    kept.sendall(b"GET /he")
    assert service.post("/edit", photo, Smiling="1").status_code == 200
    assert all(each.recv(1) == b"" for each in (*slow, kept)), "closed by the service"


def test_uploads_by_the_drop_give_their_places_back(start, photo, monkeypatch):
    monkeypatch.setattr(settings, "UPLOAD_GRACE", 0.5)
    service = start(workers=1, queue=1)
    slow = [service.call(head(1 << 20) + OPENING) for _ in range(2)]
    until(lambda: service.places.taken == 2)
    for each in slow:
        status, headers, body = answer_of(each)
        assert (status, json.loads(body)["error"]["code"]) == (408, "slow_upload")
        assert headers["connection"] == "close" and each.recv(1) == b""
    assert service.places.taken == 0 and service.outcomes("slow_upload") == 2
    body, pieces = form(photo), 12
    steady = service.call(head(len(body)))
    for at in range(pieces):  # longer than the grace, and fast enough
        steady.sendall(body[len(body) * at // pieces : len(body) * (at + 1) // pieces])
        time.sleep(0.05)
    assert answer_of(steady)[0] == 200


def test_a_client_that_hangs_up_gives_its_place_back(start, photo):
    """While it waits, and while it sends."""
    service = start(workers=1, queue=2)
    service.gate.open.clear()
    body = form(photo)
    with ThreadPoolExecutor(1) as threads:
        stays = threads.submit(service.post, "/edit", photo, Smiling="1")
        until(lambda: service.places.running == 1)
        with service.call(head(len(body)) + body):
            until(lambda: service.places.waiting == 1)
        with service.call(head(len(body)) + body[:100]):
            until(lambda: service.places.taken == 3)
        until(lambda: service.places.taken == 2)
        service.gate.open.set()
        assert stays.result().status_code == 200
    until(lambda: service.places.taken == 0)
    assert service.outcomes("client_gone") == 2 and service.figure("aif_faces_edited_total") == 1


LARGE = OPENING + bytes(500_000)


@pytest.mark.parametrize(
    "sent",
    [
        head(len(LARGE)) + LARGE,
        head(None) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(LARGE), LARGE),
        head(None) + b"%x\r\n%b\r\n" % (len(LARGE), LARGE),
        head(10**9, "Expect: 100-continue"),
    ],
    ids=["length", "chunked", "endless", "asks first"],
)
def test_a_large_upload_gets_its_answer_and_not_a_broken_pipe(start, sent):
    """A client that sends all before it listens; one that asks first is refused at once."""
    service = start(max_bytes=100_000)
    with service.call(sent) as call:
        status, _, said = answer_of(call)
    assert status == 413 and b'"code":"too_large"' in said
    assert service.places.taken == 0 and service.outcomes("too_large") == 1


# Any write to a file is an error from here on.
NO_FILES = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGTERM and limits of a process")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_ends_it_in_peace(toy_bundle, photo, number):
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
        starting, said = process.stderr.readline(), process.stderr.readline()
        assert starting.startswith(f"Starting: loading {toy_bundle.path}, "), starting
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
            status, headers, _ = answer_of(call)
        assert status == 200 and headers["x-aif-faces"] == "1"
        out, said = process.communicate(timeout=60)
        assert (process.returncode, out, said) == (0, "", "")
    finally:
        process.kill()
        process.communicate()


def places_taken(address):
    page = httpx.get("http://{}:{}/metrics".format(*address), trust_env=False, timeout=30).text
    return float(next(line for line in page.splitlines() if line.startswith("aif_places_taken ")).split()[1])


def refuses(address):
    try:
        socket.create_connection(address).close()
    except ConnectionError:
        return True
    return False


def test_a_request_on_an_open_connection_is_refused_while_it_stops(start, photo):
    service = start()
    assert service.client.get("/ready").status_code == 200
    service.places.stopping = True
    for answer in (service.post("/edit", photo, Smiling="1"), service.client.get("/ready")):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "stopping")
        assert answer.headers["retry-after"]
    assert service.client.get("/health").json()["status"] == "stopping"
