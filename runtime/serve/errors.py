"""Every refusal of the service: a status, a code for programs, a message and a fix for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aif.runtime.errors import (
    AifError,
    ConfigError,
    ImageError,
    ImageTooLargeError,
    NoFaceError,
    UnknownAttributeError,
    UnsupportedImageError,
)

# Code to status and when it comes; docs/serving.md and the OpenAPI description list the same.
CODES: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The body is no multipart form, or is cut short."),
    "not_found": (404, "There is no such address."),
    "wrong_method": (405, "The address takes another method."),
    "slow_upload": (408, "The body did not arrive in time."),
    "wrong_host": (421, "The service does not answer to this name."),
    "too_large": (413, "The file has more bytes than are allowed."),
    "too_many_pixels": (413, "The picture has more pixels than are allowed."),
    "unsupported_picture": (415, "The photo is no JPEG, PNG, WebP, TIFF or BMP picture, or is animated."),
    "not_a_form": (415, "The body is not multipart/form-data."),
    "no_photo": (422, "The form has no file in its field `photo`."),
    "damaged_picture": (422, "The picture is damaged, empty or cut short."),
    "no_face": (422, "No face was found, or none of that number."),
    "unknown_attribute": (422, "The bundle has no such attribute, the form no such field."),
    "bad_value": (422, "A field has a value that is out of range or makes no sense."),
    "cannot_write": (422, "The wanted format cannot hold the picture."),
    "internal": (500, "A fault of the service."),
    "queue_full": (503, "All places in the queue are taken."),
    "stopping": (503, "The service is shutting down."),
    "timeout": (504, "The edit was not done in time."),
}

_KINDS: tuple[tuple[type[AifError], str], ...] = (
    (UnsupportedImageError, "unsupported_picture"),
    (ImageTooLargeError, "too_many_pixels"),
    (ImageError, "damaged_picture"),
    (NoFaceError, "no_face"),
    (UnknownAttributeError, "unknown_attribute"),
    (ConfigError, "bad_value"),
)


class ServiceError(Exception):
    """A request that gets no picture.

    Attributes:
        code: one of `CODES`.
        status: of HTTP.
        message, fix: what went wrong, and what to do about it.
        headers: of the answer.
    """

    def __init__(
        self, code: str, message: str, fix: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.fix = code, message, fix
        self.status = CODES[code][0]
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        return {"error": {"code": self.code, "message": self.message, "fix": self.fix}}


class ClientGoneError(Exception):
    """The client hung up before its answer was there."""


def refusal(error: AifError) -> ServiceError:
    """The answer to an error of the library."""
    code = next((code for kind, code in _KINDS if isinstance(error, kind)), "internal")
    return ServiceError(code, error.message, error.fix)
