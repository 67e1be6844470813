"""Requests with a photo: a place before the body is read, and limits while it arrives."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

from aif.runtime.serve import settings
from aif.runtime.serve.errors import SEND_A_FORM, ServiceError, form_error
from aif.runtime.serve.service import Service


class PhotoRoute(APIRoute):
    """An address that takes a photo; `request.state.begin` is when it was asked for."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, in a place and within the limits of `app.state.service`."""
        handle, endpoint = super().get_route_handler(), self.path.removeprefix("/")

        async def limited(request: Request) -> Response:
            service: Service = request.app.state.service
            request.state.begin = time.perf_counter()
            receive = bounded(request.scope, request.receive, service.settings.max_bytes)
            with service.request(endpoint):
                try:
                    return await handle(Request(request.scope, receive))
                except RequestValidationError as error:
                    raise form_error(request, error) from error
                except HTTPException as error:
                    if isinstance(error, ServiceError):
                        raise
                    if isinstance(error.__cause__, ClientDisconnect):
                        raise error.__cause__ from None
                    raise ServiceError("bad_request", str(error.detail), SEND_A_FORM) from error

        return limited


def bounded(scope: Scope, receive: Receive, max_bytes: int) -> Receive:
    """ASGI's `receive`, which raises a ServiceError (too_large, slow_upload) once a body is larger or slower
    than it may be.
    """
    received, begin, whole = 0, time.monotonic(), False
    declared = Headers(scope=scope).get("content-length", "0")

    async def receive_within_limit() -> Message:
        nonlocal received, whole
        if received or int(declared) <= max_bytes:
            left = begin + settings.UPLOAD_GRACE + received / settings.UPLOAD_RATE - time.monotonic()
            try:
                with anyio.fail_after(None if whole else max(0, left)):
                    message = await receive()
            except TimeoutError:
                text = f"The photo comes at less than {settings.UPLOAD_RATE >> 10} KiB a second."
                fix = "Send it again, smaller or over a better connection."
                raise ServiceError("slow_upload", text, fix, {"Connection": "close"}) from None
            received += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if received <= max_bytes:
                return message
        text = f"The request is larger than {max_bytes} bytes."
        raise ServiceError("too_large", text, "Shrink the picture, or save it with more compression.")

    return receive_within_limit
