"""Uploads to the page, within limits: how much lies there in all, how large each is, how long it takes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse

from aif.runtime.serve.page import files as serve_ui_files
from aif.runtime.serve.settings import ServeSettings
from aif.runtime.serve.upload import OVERHEAD

# What a page sends; Gradio takes recordings and more at other addresses.
_UPLOAD, _CALLS = "gradio_api/upload", ("gradio_api/queue/join", "gradio_api/cancel", "gradio_api/reset")

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[Any]]
_Send = Callable[[_Message], Awaitable[None]]


class BoundedUploads:
    """Refuses uploads for which there is no room, in words that the page shows.

    Gradio writes an upload to a file while it arrives. Its length has to be told first, and counts until it
    is there, so that many at once are bounded, too.
    """

    def __init__(
        self,
        app: Callable[[_Message, _Receive, _Send], Awaitable[None]],
        below: str,
        files: serve_ui_files.PageFiles,
        settings: ServeSettings,
    ) -> None:
        self._app, self._below, self._files, self._settings = app, f"{below}/", files, settings
        self._arriving = 0

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        name = scope["path"].removeprefix(self._below).strip("/") if scope["type"] == "http" else ""
        if not scope.get("path", "").startswith(self._below) or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        if name != _UPLOAD:
            if name in _CALLS:
                await self._app(scope, receive, send)
            else:
                await PlainTextResponse("The page has no such address.", 404)(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"").decode("latin-1")
        size = max(int(told), serve_ui_files.LEAST_COUNTED) if told.isdecimal() and len(told) < 16 else None
        self._arriving += size or 0
        try:
            refusal = await self._refusal(size)
            if refusal is not None:
                status, text = refusal
                await PlainTextResponse(text, status, {"Connection": "close"})(scope, receive, send)
                return
            deadline = asyncio.get_running_loop().time() + self._settings.timeout

            async def soon() -> Any:
                try:
                    async with asyncio.timeout_at(deadline):
                        return await receive()
                except TimeoutError:
                    return {"type": "http.disconnect"}

            with contextlib.suppress(ClientDisconnect):
                await self._app(scope, soon, send)
        finally:
            self._arriving -= size or 0

    async def _refusal(self, size: int | None) -> tuple[int, str] | None:
        """Status and text, where an upload of `size` bytes is not to be taken."""
        if size is None:
            return 411, "The upload does not tell its length."
        if size > self._settings.max_bytes + OVERHEAD:
            return 413, f"The photo is larger than {self._settings.max_bytes} bytes: shrink it."
        lies = await asyncio.to_thread(self._files.taken)
        if lies + self._arriving > serve_ui_files.MOST_BYTES:
            return 503, "The service holds too many photos at the moment: try again in some minutes."
        return None
