"""Run the service: where it listens, by which names it may be called, its signals, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import signal
import socket
from collections.abc import Callable, Sequence
from types import FrameType

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from aif.runtime.editing.editor import Editor
from aif.runtime.errors import AifError, ConfigError
from aif.runtime.serve import settings
from aif.runtime.serve.app import create_app
from aif.runtime.serve.service import Service
from aif.runtime.serve.settings import ANSWER_SECONDS, PAGE, ServeSettings

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def serve_editor(
    editor: Editor, settings: ServeSettings, bound: socket.socket, page: bool, say: Callable[[str], object]
) -> None:
    """Serve until SIGTERM or SIGINT; then finish the requests that are there, and return.

    Args:
        bound: see `bind`; closed at the end.
        say: called with a line of text once requests are taken.
    """
    app = create_app(editor, settings)
    service: Service = app.state.service
    address, name = address_of(bound), editor.model.manifest.name
    text = f"aif serves {name} at {address} ({settings.workers} at once, {settings.queue} waiting)"
    let_go: list[Callable[[], None]] = []

    def stop() -> None:
        service.places.stopping = True
        for each in let_go:
            each()

    with contextlib.ExitStack() as stack:
        stack.enter_context(bound)
        if page:
            from aif.runtime.serve.page.mount import mount_page

            let_go.append(stack.enter_context(mount_page(app)))
            text += f"; the page: {address}{PAGE}"
        Server(app, settings.timeout, stop, lambda: say(text)).run([bound])


class PromptProtocol(H11Protocol):
    """HTTP whose connections are closed where the head of a request does not arrive in time."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._watch(False)

    def _watch(self, connected: bool = True) -> None:
        """The clock runs while a head is awaited; it is not set anew by what arrives of one."""
        awaited = connected and self.conn.their_state is h11.IDLE
        if awaited and self._late is None:
            self._late = self.loop.call_later(settings.HEAD_SECONDS, self.transport.close)
        elif not awaited and self._late is not None:
            self._late.cancel()
            self._late = None


class Server(uvicorn.Server):
    """A server whose signals end it in peace: what has a place is finished, and the exit code is 0."""

    def __init__(
        self,
        app: ASGIApp,
        timeout: float,
        on_stop: Callable[[], object],
        on_start: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=PromptProtocol,
                ws="none",
                loop="asyncio",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=int(timeout) + ANSWER_SECONDS,
            )
        )
        self._on_stop, self._on_start = on_stop, on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """At a signal; a second Ctrl-C does not wait. Unlike uvicorn's, it is not raised again at the end."""
        self._on_stop()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


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
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise AifError(
            f"Cannot listen at {host}:{port}: {error.strerror}.",
            "Choose another --host or --port; --port 0 takes a free one.",
        ) from error
    return bound


def address_of(bound: socket.socket) -> str:
    """`http://127.0.0.1:8000`."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def known_hosts(address: str, more: Sequence[str]) -> tuple[str, ...] | None:
    """The names to answer to; None = any.

    A page on the web can make its own name point to this machine and then read what its visitor's service
    says; the browser still sends the page's name. So a service for this machine only (`address`: where it
    listens, as an IP address) answers to this machine's names, and one for others to any, until names are
    given: `more`, without port.

    Raises:
        ConfigError: no name of a host.
    """
    for name in more:
        if not re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]", name):
            raise ConfigError(
                f"--allow-host takes a name without scheme and port, not {name!r}.",
                "For example: --allow-host photos.example.org",
            )
    listens = ipaddress.ip_address(address.partition("%")[0])
    if not listens.is_loopback and not more:
        return None
    own = f"[{listens}]" if listens.version == 6 else str(listens)
    return (*LOOPBACK, own, *more)
