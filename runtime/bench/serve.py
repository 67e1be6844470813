"""The service under load: a process of its own, many clients on this machine, the bare editor beside it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from aif.runtime.bench.measure import Progress, Row, Setup, Spread, median_figures, take_turns
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import AifError
from aif.runtime.serve.edit import edit_photo
from aif.runtime.serve.forms import EditOptions

CLIENTS = (1, 8, 64)

# Of the benchmark's own limits: nothing is refused for its size or given up for its time.
_MEGAPIXELS, _TIMEOUT = 1000.0, 600


_Client = Callable[[], Coroutine[Any, Any, tuple[int, bytes, float]]]


@dataclass(frozen=True)
class LoadRow(Row):
    """What so many clients at once got; `clients` is 0 for the bare editor in as many threads as workers.

    Figures: `photos_per_second`, `p50_ms` and `p99_ms` of the answers with a photo, `answered`, `refused`
    (503) and `lost` (no answer, or another one), summed over the rounds; `ratio_to_editor` of the rates.
    """

    clients: int = 0

    @property
    def title(self) -> str:
        """Of its column."""
        if not self.clients:
            return "bare editor"
        return f"{self.clients} client{'s' * (self.clients != 1)}"


@dataclass
class _Load:
    """One turn: seconds of each answer with a photo, refused and lost requests, length of the turn."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    lost: int = 0
    whole: float = 0.0


@dataclass(frozen=True)
class ServeLoad:
    """What is served: the options of `aif serve` beside the setup."""

    bundle: Path | None
    detector: str
    yunet: Path | None
    workers: int
    queue: int


def bench_serve(
    editor: Editor,
    setup: Setup,
    load: ServeLoad,
    photo: bytes,
    edits: Mapping[str, float],
    clients: Sequence[int],
    seconds: float,
    rounds: int,
    progress: Progress | None = None,
) -> list[LoadRow]:
    """Load the service with clients, each of which sends its next photo when it has its answer.

    A refused client waits for as long as it was told to. Service, clients and editor share this machine.

    Args:
        editor: of the same setup, for the bare rate: read, edit and write in `load.workers` threads.
        setup, load: what is served.
        photo: a file's bytes.
        edits: attribute to value.
        clients: how many at once, one row each.
        seconds: of each turn.
        rounds: turns of each row.

    Raises:
        AifError: the photo cannot be edited, the service does not start, or does not answer.
    """
    options = EditOptions(dict(edits))
    edit_photo(editor, photo, options, _MEGAPIXELS, lambda: None)  # warms up, finds what cannot be edited
    with _service(setup, load) as (host, port):
        client = partial(_once, host, port, _request(photo, edits))
        status, said, _ = asyncio.run(client())
        if status != 200:
            raise AifError(f"The service answered {status}: {said.decode(errors='replace')}")
        turns: dict[int, Callable[[], _Load]] = {
            0: partial(_bare, editor, load.workers, photo, options, seconds)
        }
        for count in clients:
            turns[count] = lambda count=count: asyncio.run(_together(client, count, seconds))  # type: ignore[misc]
        found = take_turns(turns, rounds, progress)
    return _rows(setup, editor.model.precision, found)


def _rows(setup: Setup, precision: str, found: Mapping[int, Sequence[_Load]]) -> list[LoadRow]:
    rows: list[LoadRow] = []
    for count, loads in found.items():
        times = [value for each in loads for value in each.seconds]
        figures = median_figures([{"photos_per_second": len(each.seconds) / each.whole} for each in loads])
        if count:
            figures |= {
                "ratio_to_editor": figures["photos_per_second"] / rows[0].figures["photos_per_second"],
                "answered": float(len(times)),
                "refused": float(sum(each.refused for each in loads)),
                "lost": float(sum(each.lost for each in loads)),
            }
        stages = {"answer": Spread.of(times)} if times else {}
        for spread in stages.values():
            figures |= {"p50_ms": spread.p50_ms, "p99_ms": spread.p99_ms}
        rows.append(LoadRow(setup, precision, stages, figures, count))
    return rows


def _bare(editor: Editor, workers: int, photo: bytes, options: EditOptions, seconds: float) -> _Load:
    """The same work without a service, in as many threads."""
    begin = time.perf_counter()

    def loop(_: int) -> list[float]:
        times: list[float] = []
        while not times or time.perf_counter() - begin < seconds:
            start = time.perf_counter()
            edit_photo(editor, photo, options, _MEGAPIXELS, lambda: None)
            times.append(time.perf_counter() - start)
        return times

    with ThreadPoolExecutor(workers) as threads:
        found = list(threads.map(loop, range(workers)))
    return _Load([value for each in found for value in each], whole=time.perf_counter() - begin)


async def _together(client: _Client, count: int, seconds: float) -> _Load:
    """So many clients for so long; what is under way at the end is waited for."""
    load, begin = _Load(), time.perf_counter()
    await asyncio.gather(*(_one(client, begin + seconds, load) for _ in range(count)))
    load.whole = time.perf_counter() - begin
    return load


async def _one(client: _Client, until: float, load: _Load) -> None:
    """One request after the other, each over a connection of its own."""
    while (start := time.perf_counter()) < until:
        try:
            status, _, wait = await client()
        except (OSError, EOFError, ValueError):
            load.lost += 1
            await asyncio.sleep(0.05)
            continue
        if status == 200:
            load.seconds.append(time.perf_counter() - start)
        elif status == 503:
            load.refused += 1
            await asyncio.sleep(max(0.0, min(wait, until - time.perf_counter())))
        else:
            load.lost += 1


async def _once(host: str, port: int, request: bytes) -> tuple[int, bytes, float]:
    """Status, body, and how many seconds to wait before the next try."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        await writer.drain()
        lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in lines[1:] if line)
        body = await reader.readexactly(int(headers[b"content-length"]))
        return int(lines[0].split()[1]), body, float(headers.get(b"retry-after", b"1"))
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _request(photo: bytes, edits: Mapping[str, float]) -> bytes:
    """The request, ready to be sent again and again."""
    cut = secrets.token_hex(16)
    named = f'--{cut}\r\nContent-Disposition: form-data; name="edits"\r\n\r\n{json.dumps(dict(edits))}\r\n'
    opening = f'--{cut}\r\nContent-Disposition: form-data; name="photo"; filename="photo"\r\n\r\n'
    body = b"".join((named.encode(), opening.encode(), photo, f"\r\n--{cut}--\r\n".encode()))
    head = (
        "POST /edit HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: multipart/form-data; boundary={cut}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def address_in(said: Iterable[str]) -> str:
    """Host and port out of the lines that the service writes; others may come before.

    Raises:
        AifError: it ended without; tells what it said.
    """
    lines = []
    for line in said:
        lines.append(line)
        if place := line.partition("http://")[2].split():
            return place[0]
    raise AifError(f"The service does not start: {''.join(lines)}".strip())


@contextlib.contextmanager
def _service(setup: Setup, load: ServeLoad) -> Iterator[tuple[str, int]]:
    """`aif serve` on a free port: host and port.

    Raises:
        AifError: it does not start; tells what it said.
    """
    words = ["serve", "--port", "0", "--provider", setup.provider, "--threads", str(setup.threads)]
    words += ["--detector", load.detector, "--workers", str(load.workers), "--queue", str(load.queue)]
    words += ["--max-megapixels", f"{_MEGAPIXELS:g}", "--max-bytes", str(1 << 30), "--timeout", str(_TIMEOUT)]
    for option, value in (("--bundle", load.bundle), ("--yunet", load.yunet)):
        words += [option, str(value)] if value is not None else []
    process = subprocess.Popen(
        [sys.executable, "-m", "aif.cli.main", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        place = address_in(process.stderr)
        # Its later words must not fill the pipe.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        host, _, port = place.rpartition(":")
        yield host, int(port)
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
