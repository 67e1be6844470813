"""The page of `aif serve --ui`: Gradio's parts laid out, mounted on the service, at work in its places."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.responses import FileResponse, RedirectResponse

from aif.runtime.machine import environment
from aif.runtime.serve.page.files import page_files
from aif.runtime.serve.page.guard import PageGuard
from aif.runtime.serve.service import Service
from aif.runtime.serve.settings import PAGE

CSS = Path(__file__).with_name("page.css")
ICON = Path(__file__).with_name("icon.svg")
"""A slider, as the sign of the page in the browser's bar."""

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
            theme=_theme(),
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


def _theme() -> Any:
    """Quiet colours, for the photo is to be looked at, and nothing that is fetched from elsewhere."""
    from gradio.themes import Base, colors, sizes

    return Base(
        primary_hue=colors.teal,
        secondary_hue=colors.teal,
        neutral_hue=colors.stone,
        radius_size=sizes.radius_lg,
        # Fonts that every system has; Gradio's themes would take theirs from elsewhere.
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="0px",
        block_shadow="none",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_text_color="white",
        slider_color="*primary_600",
    )
