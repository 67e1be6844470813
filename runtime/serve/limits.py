"""Requests with a photo: a place before the body is read, limits while it arrives, and their figures."""

from __future__ import annotations

import contextlib
import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aif.runtime.serve.body import Body
from aif.runtime.serve.errors import ServiceError
from aif.runtime.serve.service import Service

# An answer is sent in such pieces, each when the one before is nearly gone: what waits for a client that does
# not read has a place.
_PIECE = 64 << 10

# Address to the name of its figures.
PHOTO_PATHS = {"/edit": "edit", "/attributes": "attributes"}


class LimitPhotoRequests:
    """Takes a place for a request, `request.state.place`, and gives it back once the answer is sent."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = PHOTO_PATHS.get(scope["path"]) if scope["type"] == "http" else None
        if endpoint is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        begin, settings, metrics = time.perf_counter(), self._service.settings, self._service.metrics
        body = Body(scope, receive, settings.max_bytes, settings.timeout)
        state = scope.setdefault("state", {})
        state["outcome"] = "ok"

        with contextlib.ExitStack() as held:

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    metrics.request(endpoint, "client_gone" if body.gone else state["outcome"], begin)
                    if state["outcome"] != "ok":
                        held.close()
                    headers = MutableHeaders(scope=message)
                    if "connection" not in headers and not await body.discard():
                        headers["connection"] = "close"
                body_left: bytes = message.get("body", b"")
                while len(body_left) > _PIECE:
                    await send({**message, "body": body_left[:_PIECE], "more_body": True})
                    body_left = body_left[_PIECE:]
                await send({**message, "body": body_left} if body_left else message)

            async def arriving() -> Message:
                message = await body.receive()
                if message["type"] == "http.request" and body.ended:
                    metrics.stages({"receive": time.perf_counter() - begin})
                return message

            try:
                state["place"] = held.enter_context(self._service.places.take(settings.timeout))
            except ServiceError as error:
                state["outcome"] = error.code
                await error.response()(scope, receive, answer)
                return
            try:
                await self._app(scope, arriving, answer)
            except Exception:
                metrics.request(endpoint, "internal", begin)
                raise
