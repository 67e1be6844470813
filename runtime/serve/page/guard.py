"""What browsers may send to the page: uploads within limits, and calls that name nothing but these."""

from __future__ import annotations

import asyncio
import contextlib
import json
import mimetypes
from pathlib import Path
from typing import Any

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aif.runtime.serve.errors import ServiceError
from aif.runtime.serve.limits import bounded
from aif.runtime.serve.page.files import PageFiles
from aif.runtime.serve.settings import PAGE, ServeSettings

# The page may load and send nothing from or to elsewhere, whatever Gradio's code would like.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; frame-ancestors 'self'; form-action 'self'"
)

# Gradio takes recordings and more at other addresses, which the page does not use.
_UPLOAD, _CALL = f"{PAGE}/gradio_api/upload", f"{PAGE}/gradio_api/queue/join"
_TAKEN = (_UPLOAD, _CALL, f"{PAGE}/gradio_api/cancel", f"{PAGE}/gradio_api/reset")
_MOST_CALL = 256 << 10
"""Bytes."""


class PageGuard:
    """Stands before everything below `PAGE`, and adds the page's security policy to its answers.

    Gradio's own check of paths is off until its `launch` has been called, which a mounted page never does;
    addresses (http://...) it would fetch itself, of any size. It writes an upload to a file while it arrives:
    its length has to be declared, and counts until it is there, so that many at once are bounded, too.
    """

    def __init__(self, app: ASGIApp, files: PageFiles, settings: ServeSettings) -> None:
        self._app, self._files, self._settings = app, files, settings
        self._arriving = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PAGE):
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["content-security-policy"] = POLICY
                headers["referrer-policy"] = "no-referrer"
            await send(message)

        path = scope["path"].rstrip("/")
        if scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, guarded)
        elif path not in _TAKEN:
            await PlainTextResponse("The page has no such address.", 404)(scope, receive, guarded)
        elif path == _UPLOAD:
            await self._upload(scope, receive, guarded)
        else:
            await self._call(scope, receive, guarded)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        declared, settings = Headers(scope=scope).get("content-length"), self._settings
        size = int(declared or 0)
        self._arriving += size
        try:
            if declared is None:
                refusal = 411, "The upload does not tell its length."
            elif size > settings.max_bytes:
                refusal = 413, f"The photo is larger than {settings.max_bytes} bytes: shrink it."
            elif not await asyncio.to_thread(self._files.has_room, self._arriving):
                refusal = 503, "The service holds too many photos at the moment: try again in some minutes."
            else:
                refusal = 408, "The photo did not arrive in time."
                with anyio.move_on_after(settings.timeout) as arriving, contextlib.suppress(ClientDisconnect):
                    await self._app(scope, receive, send)
                if not arriving.cancelled_caught:
                    return
            await PlainTextResponse(refusal[1], refusal[0])(scope, receive, send)
        finally:
            self._arriving -= size

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with anyio.fail_after(self._settings.timeout):
                call = await Request(scope, bounded(scope, receive, _MOST_CALL)).json()
        except ClientDisconnect:
            return
        except (ServiceError, TimeoutError, ValueError, RecursionError):
            await PlainTextResponse("This is no call of the page.", 400)(scope, receive, send)
            return
        if not all(self._is_photo(path) for path in _paths(call)):
            await PlainTextResponse("The page takes uploaded files only.", 403)(scope, receive, send)
            return
        # Written anew, so that Gradio reads what was looked at, whatever its parser makes of oddities.
        again = iter([{"type": "http.request", "body": json.dumps(call).encode(), "more_body": False}])

        async def replay() -> Message:
            return next(again, None) or await receive()

        await self._app(scope, replay, send)

    def _is_photo(self, path: Any) -> bool:
        """Whether it is an uploaded file; an SVG would count as a part of the page from then on."""
        try:
            found = Path(path).resolve(strict=True)
        except (OSError, TypeError, ValueError):
            return False
        is_svg = mimetypes.guess_type(str(path))[0] == "image/svg+xml"
        return found.is_file() and found.is_relative_to(self._files.folder.resolve()) and not is_svg


def _paths(data: Any) -> list[Any]:
    """Whatever stands where Gradio looks for a file, at any depth."""
    if isinstance(data, dict):
        found = [data["path"]] if "path" in data else []
        return found + [path for value in data.values() for path in _paths(value)]
    return [path for value in data for path in _paths(value)] if isinstance(data, list) else []
