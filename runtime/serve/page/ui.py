"""The page of `aif serve --ui`: Gradio's parts laid out, mounted on the service, at work in its pool."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.responses import RedirectResponse, Response

from aif.runtime.serve.page.files import page_files
from aif.runtime.serve.page.guard import guard_inputs
from aif.runtime.serve.page.style import CSS, ICON, POLICY, theme
from aif.runtime.serve.page.uploads import BoundedUploads
from aif.runtime.serve.turn import Service

PATH = "/ui"

# Gradio remembers so many pages; the oldest has to begin anew.
PAGES = 100

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
    with page_files() as files:
        # Read by Gradio at every use, and while it is imported.
        wanted = {
            "GRADIO_TEMP_DIR": str(files.folder),
            "GRADIO_ANALYTICS_ENABLED": "False",
            "HF_HUB_OFFLINE": "1",
        }
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            import gradio

            from aif.runtime.serve.page.blocks import build

            service: Service = app.state.service
            blocks = build(service, files)
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
            )
            guard_inputs(blocks, files.folder)
            mounted: Any = app.routes[-1]
            # Browsers and Gradio's page ask for these at the top, wherever it is mounted.
            about = {"name": "aif", "start_url": f"{PATH}/", "display": "standalone"}
            hidden: dict[str, Any] = {"methods": ["GET"], "include_in_schema": False}
            app.add_api_route("/", lambda: RedirectResponse(f"{PATH}/"), **hidden)
            app.add_api_route("/manifest.json", lambda: about, **hidden)
            app.add_api_route("/favicon.ico", lambda: Response(ICON, media_type="image/svg+xml"), **hidden)
            app.add_middleware(BoundedUploads, below=PATH, files=files, settings=service.settings)
            app.add_middleware(_Guarded)
            yield Page(service, mounted.app)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


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
