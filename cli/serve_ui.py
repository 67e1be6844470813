"""The page of `aif serve --ui`: Gradio's parts laid out, mounted on the service, at work in its pool."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.responses import RedirectResponse

from aif.cli.serve_turn import Service
from aif.cli.serve_ui_style import CSS, HEAD, POLICY, theme

PATH = "/ui"

# Gradio keeps photos as files while a page works with them: so long at most, and for so many pages.
KEPT_SECONDS, PAGES = 1800, 100

_Scope = MutableMapping[str, Any]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_App = Callable[[_Scope, Callable[[], Awaitable[Any]], _Send], Awaitable[None]]


@dataclass(frozen=True)
class Page:
    """The mounted page; `stop` refuses new edits and lets go of the browsers that listen."""

    service: Service
    gradio: Any

    def stop(self) -> None:
        """At the signal to end: an open page would otherwise keep its connection, and the service alive."""
        self.service.pool.stop()
        self.gradio.stop_event.set()


@contextlib.contextmanager
def mount_page(app: FastAPI) -> Iterator[Page]:
    """Mount the page at `PATH`; its files are deleted at the end.

    Args:
        app: of `create_app`.
    """
    with _private_folder() as folder:
        # Read by Gradio at every use, and while it is imported.
        wanted = {"GRADIO_TEMP_DIR": str(folder), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            import gradio

            from aif.cli.serve_ui_blocks import build

            service: Service = app.state.service
            blocks = build(service, folder)
            blocks.state_session_capacity = PAGES
            gradio.mount_gradio_app(
                app,
                blocks,
                PATH,
                footer_links=[],
                run_history=False,
                show_error=False,
                max_file_size=service.settings.max_bytes,
                ssr_mode=False,
                enable_monitoring=False,
                pwa=False,
                theme=theme(),
                css=CSS,
                head=HEAD,
            )
            mounted: Any = app.routes[-1]
            # Gradio's page asks for a manifest at the top, wherever it is mounted.
            about = {"name": "aif", "start_url": f"{PATH}/", "display": "standalone"}
            hidden: dict[str, Any] = {"methods": ["GET"], "include_in_schema": False}
            app.add_api_route("/", lambda: RedirectResponse(f"{PATH}/"), **hidden)
            app.add_api_route("/manifest.json", lambda: about, **hidden)
            app.add_middleware(_Guarded)
            yield Page(service, mounted.app)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """A folder that nobody else may look into, in memory where the system has such a place."""
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() and os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix=f"aif-page-{os.getpid()}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_private(folder: Path, name: str, data: bytes) -> str:
    """A file for one browser, under a name that cannot be guessed; its path."""
    own = folder / "made" / secrets.token_hex(16)
    own.mkdir(parents=True)
    path = own / name
    path.write_bytes(data)
    return str(path)


class _Guarded:
    """Adds the page's security policy to everything below `PATH`."""

    def __init__(self, app: _App) -> None:
        self._app = app

    async def __call__(self, scope: _Scope, receive: Callable[[], Awaitable[Any]], send: _Send) -> None:
        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        inside = scope["type"] == "http" and scope["path"].startswith(PATH)
        await self._app(scope, receive, guarded if inside else send)
