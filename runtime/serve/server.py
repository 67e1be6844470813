"""Run the service: its signals, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable
from types import FrameType

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from aif.runtime.editing.editor import Editor
from aif.runtime.serve import settings
from aif.runtime.serve.address import address_of
from aif.runtime.serve.app import create_app
from aif.runtime.serve.service import Service
from aif.runtime.serve.settings import ANSWER_SECONDS, PAGE, ServeSettings


def serve_editor(
    editor: Editor, settings: ServeSettings, bound: socket.socket, page: bool, say: Callable[[str], object]
) -> None:
    """Serve until SIGTERM or SIGINT; then finish the requests that are there, and return.

    Args:
        editor: loaded; left open.
        bound: see `bind`; closed at the end.
        say: called with a line of text once requests are taken.
    """
    app = create_app(editor, settings)
    service: Service = app.state.service
    address, name = address_of(bound), editor.model.manifest.name
    text = f"aif serves {name} at {address} ({settings.workers} at once, {settings.queue} waiting)"
    with contextlib.ExitStack() as stack:
        let_go: Callable[[], None] = lambda: None  # noqa: E731
        if page:
            from aif.runtime.serve.page.mount import mount_page

            let_go = stack.enter_context(mount_page(app))
            text += f"; the page: {address}{PAGE}"

        def stop() -> None:
            service.places.stopping = True
            let_go()

        stack.enter_context(bound)
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
