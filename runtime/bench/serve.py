"""The service under load: a process of its own, many clients on this machine, the bare editor beside it."""

from __future__ import annotations

import contextlib
import json
import secrets
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException
from itertools import chain

from aif.runtime.bench.measure import Rounds, Row, Setup, spread
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import AifError
from aif.runtime.serve.forms import EditOptions
from aif.runtime.serve.photo import edit_photo

CLIENTS = (1, 8, 64)

# Of the benchmark's own limits: nothing is refused for its size or given up for its time.
_MEGAPIXELS, _TIMEOUT = 1000.0, 600

_Client = Callable[[], tuple[int, bytes, float]]
"""Sends a photo: status, body, and how many seconds to wait before the next try."""


@dataclass
class _Load:
    """One turn: status (0: lost) and seconds of each request, and the seconds of the turn."""

    answers: list[tuple[int, float]]
    whole: float


def bench_serve(
    editor: Editor,
    setup: Setup,
    words: Sequence[str],
    workers: int,
    photo: bytes,
    edits: Mapping[str, float],
    clients: Sequence[int],
    rounds: Rounds,
) -> list[Row]:
    """Load the service with clients, each of which sends its next photo when it has its answer.

    A refused client waits for as long as it was told to. Service, clients and editor share this machine.
    docs/benchmarks.md has the figures; `clients` is 0 for the bare editor in as many threads as workers.

    Args:
        editor: of the same setup, for the bare rate: read, edit and write in `workers` threads.
        words: further options of `aif serve`.

    Raises:
        AifError: the photo cannot be edited, the service does not start, or does not answer.
    """

    def edit() -> None:
        edit_photo(editor, photo, EditOptions(dict(edits)), _MEGAPIXELS, lambda: None)

    edit()  # warms up, finds what cannot be edited
    with _service(setup, words) as address:
        client = _client(address, photo, edits)
        status, said, _ = client()
        if status != 200:
            raise AifError(f"The service answered {status}: {said.decode(errors='replace')}")
        turns: dict[int, Callable[[], _Load]] = {0: partial(_bare, edit, workers, rounds)}
        turns |= {count: partial(_together, client, count, rounds.seconds or 0) for count in clients}
        found = rounds.take_turns(turns)
    rows: list[Row] = []
    for count, loads in found.items():
        answered = [[seconds for status, seconds in each.answers if status == 200] for each in loads]
        rates = [len(each) / load.whole for each, load in zip(answered, loads, strict=True)]
        times, figures = [*chain(*answered)], {"photos_per_second": statistics.median(rates)}
        if count:
            statuses = [status for each in loads for status, _ in each.answers]
            refused = statuses.count(503)
            figures |= {
                "ratio_to_editor": figures["photos_per_second"] / rows[0].figures["photos_per_second"],
                "answered": float(len(times)),
                "refused": float(refused),
                "lost": float(len(statuses) - len(times) - refused),
            }
        labels = {"clients": count, **setup.__dict__, "precision": editor.model.precision}
        rows.append(Row(labels, figures, {"answer": spread(times)} if times else {}))
    return rows


def _bare(edit: Callable[[], None], workers: int, rounds: Rounds) -> _Load:
    """The same work without a service, in as many threads."""
    begin = time.perf_counter()
    with ThreadPoolExecutor(workers) as threads:
        found = list(threads.map(rounds.repeat, [edit] * workers))
    return _Load([(200, seconds) for seconds in chain(*found)], time.perf_counter() - begin)


def _together(client: _Client, count: int, seconds: float) -> _Load:
    """So many clients for so long; what is under way at the end is waited for."""
    begin = time.perf_counter()
    with ThreadPoolExecutor(count) as threads:
        found = list(threads.map(partial(_one, client), [begin + seconds] * count))
    return _Load([*chain(*found)], time.perf_counter() - begin)


def _one(client: _Client, until: float) -> list[tuple[int, float]]:
    """One request after the other, each over a connection of its own: status and seconds."""
    answers = []
    while (start := time.perf_counter()) < until:
        try:
            status, _, wait = client()
        except (OSError, HTTPException):
            status, wait = 0, 0.05
        answers.append((status, time.perf_counter() - start))
        if status != 200:
            time.sleep(max(0.0, min(wait, until - time.perf_counter())))
    return answers


def _client(address: str, photo: bytes, edits: Mapping[str, float]) -> _Client:
    """The request, ready to be sent again and again."""
    cut = secrets.token_hex(16)
    named = f'--{cut}\r\nContent-Disposition: form-data; name="edits"\r\n\r\n{json.dumps(dict(edits))}\r\n'
    opening = f'--{cut}\r\nContent-Disposition: form-data; name="photo"; filename="photo"\r\n\r\n'
    body = b"".join((named.encode(), opening.encode(), photo, f"\r\n--{cut}--\r\n".encode()))
    headers = {"Content-Type": f"multipart/form-data; boundary={cut}"}

    def send() -> tuple[int, bytes, float]:
        with contextlib.closing(HTTPConnection(address)) as connection:
            connection.request("POST", "/edit", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(), float(answer.getheader("Retry-After") or 1)

    return send


def address_in(said: Iterable[str]) -> str:
    """Host and port out of the lines that the service writes; an AifError with them where it ends without."""
    lines = []
    for line in said:
        lines.append(line)
        if place := line.partition("http://")[2].split():
            return place[0]
    raise AifError(f"The service does not start: {''.join(lines)}".strip())


@contextlib.contextmanager
def _service(setup: Setup, words: Sequence[str]) -> Iterator[str]:
    """`aif serve` on a free port: its host and port."""
    where = ["--port", "0", "--provider", setup.provider, "--threads", str(setup.threads)]
    limits = ["--max-megapixels", f"{_MEGAPIXELS:g}", "--max-bytes", str(1 << 30), "--timeout", str(_TIMEOUT)]
    process = subprocess.Popen(
        [sys.executable, "-m", "aif.cli.main", "serve", *where, *limits, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        address = address_in(process.stderr)
        # Its later words must not fill the pipe.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield address
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
