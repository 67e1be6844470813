"""The page of `aif serve --ui`: Gradio's parts laid out, mounted on the service, at work in its places."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI
from starlette.responses import FileResponse, RedirectResponse

from aif.runtime.machine import environment
from aif.runtime.serve.page.files import page_files
from aif.runtime.serve.page.guard import PageGuard
from aif.runtime.serve.page.style import CSS, ICON, theme
from aif.runtime.serve.service import Service
from aif.runtime.serve.settings import PAGE

# Gradio remembers so many open pages; the oldest has to begin anew.
SESSIONS = 100


@contextlib.contextmanager
def mount_page(app: FastAPI) -> Iterator[Callable[[], None]]:
    """Mount the page at `PAGE`; its files are deleted at the end.

    Yields:
        Lets go of the browsers that listen: an open page would otherwise keep its connection, and the
        service alive.
    """
    service: Service = app.state.service
    # What Gradio reads while it is imported and at every use: where files go; that nothing is reported.
    quiet = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    with page_files() as files, environment(GRADIO_TEMP_DIR=str(files.folder), **quiet):
        import gradio

        from aif.runtime.serve.page.blocks import build

        blocks = build(service, files)
        blocks.state_session_capacity = SESSIONS
        gradio.mount_gradio_app(
            app,
            blocks,
            PAGE,
            footer_links=[],
            run_history=False,
            show_error=False,
            max_file_size=service.settings.max_bytes,
            ssr_mode=False,
            enable_monitoring=False,
            pwa=False,
            theme=theme(),
            css_paths=CSS,
        )
        mounted: Any = app.routes[-1]
        # Browsers and Gradio's page ask for these at the top, wherever it is mounted.
        about = {"name": "aif", "start_url": f"{PAGE}/", "display": "standalone"}
        hidden: dict[str, Any] = {"methods": ["GET"], "include_in_schema": False}
        app.add_api_route("/", lambda: RedirectResponse(f"{PAGE}/"), **hidden)
        app.add_api_route("/manifest.json", lambda: about, **hidden)
        app.add_api_route("/favicon.ico", lambda: FileResponse(ICON), **hidden)
        app.add_middleware(PageGuard, files=files, settings=service.settings)
        yield mounted.app.stop_event.set
