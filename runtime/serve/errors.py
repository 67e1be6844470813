"""Every refusal of the service: a status, a code for programs, a message and a fix for people."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from aif.runtime.errors import (
    AifError,
    ConfigError,
    ImageError,
    ImageTooLargeError,
    NoFaceError,
    UnknownAttributeError,
    UnsupportedImageError,
)

# Code to status; docs/serving.md says when each comes.
CODES = {
    "bad_request": 400,
    "not_found": 404,
    "wrong_method": 405,
    "slow_upload": 408,
    "too_large": 413,
    "too_many_pixels": 413,
    "unsupported_picture": 415,
    "not_a_form": 415,
    "no_photo": 422,
    "damaged_picture": 422,
    "no_face": 422,
    "unknown_attribute": 422,
    "bad_value": 422,
    "cannot_write": 422,
    "internal": 500,
    "queue_full": 503,
    "stopping": 503,
    "timeout": 504,
}

SEND_A_FORM = "Send a form: curl -F photo=@photo.jpg -F Smiling=1 ADDRESS"
PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

_KINDS: tuple[tuple[type[AifError], str], ...] = (
    (UnsupportedImageError, "unsupported_picture"),
    (ImageTooLargeError, "too_many_pixels"),
    (ImageError, "damaged_picture"),
    (NoFaceError, "no_face"),
    (UnknownAttributeError, "unknown_attribute"),
    (ConfigError, "bad_value"),
)


class ServiceError(HTTPException):
    """A request that gets no picture."""

    def __init__(
        self, code: str, message: str, fix: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(CODES[code], message, dict(headers or {}))
        self.code, self.message, self.fix = code, message, fix

    def response(self) -> JSONResponse:
        """The answer."""
        error = {"code": self.code, "message": self.message, "fix": self.fix}
        return JSONResponse({"error": error}, self.status_code, {**PRIVATE, **(self.headers or {})})


def refusal(error: AifError | TimeoutError, seconds: float) -> ServiceError:
    """The answer to an error of the library, or to a request that took more than `seconds`."""
    if isinstance(error, TimeoutError):
        message = f"The request was not done within {seconds:g} s."
        return ServiceError("timeout", message, "Try again later, or send a smaller picture.")
    code = next((code for kind, code in _KINDS if isinstance(error, kind)), "internal")
    return ServiceError(code, error.message, error.fix)


def add_error_handlers(app: FastAPI) -> None:
    """Let every error of `app` be answered in the one shape."""

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        if isinstance(error, ServiceError):
            return error.response()
        if error.status_code == 405:
            fix = f"{request.url.path} takes {(error.headers or {}).get('Allow')}."
            message = f"{request.method} is not for this address."
            return ServiceError("wrong_method", message, fix, error.headers).response()
        known = "POST /edit, POST /attributes, GET /attributes, /health, /ready, /metrics, /openapi.json"
        return ServiceError("not_found", "There is no such address.", f"Known: {known}.").response()

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=400)  # which nobody reads

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> JSONResponse:
        fix = "Please report it, with what the service wrote on standard error."
        close = {"Connection": "close"}  # as the server does after a fault
        return ServiceError("internal", "This is a fault of the service.", fix, close).response()


def form_error(request: Request, error: RequestValidationError) -> ServiceError:
    """What FastAPI finds wrong with a form; unknown fields are found by the form itself, with near names."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return ServiceError("not_a_form", "The body is not multipart/form-data.", SEND_A_FORM)
    first = error.errors()[0]
    name = str(first["loc"][1])
    if name == "photo":
        return ServiceError("no_photo", "The form has no file in its field 'photo'.", SEND_A_FORM)
    return ServiceError("bad_value", f"The field {name[:40]!r}: {first['msg']}.", "Send another value.")
