"""Run the service: its address, its signals, and an end at which nothing is lost."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import typer
import uvicorn

from aif.runtime.errors import AifError
from aif.runtime.serve.settings import ANSWER_SECONDS


def bind(host: str, port: int) -> socket.socket:
    """A socket that is bound and does not listen yet; port 0 takes any free one.

    Raises:
        AifError: the address is taken, not this machine's, or not to be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as error:
        raise _cannot_listen(host, port, error) from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, OverflowError) as error:
        bound.close()
        raise _cannot_listen(host, port, error) from error
    return bound


def _cannot_listen(host: str, port: int, error: Exception) -> AifError:
    reason = getattr(error, "strerror", None) or error
    return AifError(
        f"Cannot listen at {host}:{port}: {reason}.",
        "Choose another --host or --port; --port 0 takes a free one.",
    )


def address_of(bound: socket.socket) -> str:
    """`http://127.0.0.1:8000`."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run_server(
    app: Any, bound: socket.socket, timeout: float, on_stop: Callable[[], None], told: str
) -> None:
    """Serve until SIGTERM or SIGINT; then finish the requests that are there, and return.

    Args:
        app: of ASGI.
        bound: see `bind`; closed at the end.
        timeout: seconds that a request may take.
        on_stop: called at the signal, before anything is waited for.
        told: printed on standard error once requests are taken.
    """
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(timeout) + ANSWER_SECONDS,
    )
    with bound:
        _Server(config, on_stop, told).run([bound])


class _Server(uvicorn.Server):
    """A server whose signals end it in peace: the exit code is then 0."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None], told: str) -> None:
        super().__init__(config)
        self._on_stop, self._told = on_stop, told

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            typer.echo(self._told, err=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ours while the server runs; unlike uvicorn's they are not raised again at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._on_stop()
        super().handle_exit(sig, frame)
