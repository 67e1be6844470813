"""A multipart form as it arrives: one photo and a few short fields, in memory only, within limits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from aif.runtime.serve.errors import ServiceError

PHOTO = "photo"

# All fields but the photo together; and what boundaries, headers and such may take beside them.
MOST_TEXT, MOST_FIELDS, OVERHEAD = 64 << 10, 200, 256 << 10

# A refused body is read on and thrown away for so long, so that clients that send first and listen then get
# their answer and not a broken pipe.
GRACE_SECONDS = 5.0

_SHAPE = "Send a form: curl -F photo=@photo.jpg -F Smiling=1 ADDRESS"


@dataclass(frozen=True)
class Upload:
    """What came: the photo's bytes, its name, and the other fields in their order."""

    photo: bytes
    fields: tuple[tuple[str, str], ...]


class Body:
    """The bytes of a request, counted; `headers` as Starlette gives them (lower-case names)."""

    def __init__(self, headers: Mapping[str, str], chunks: AsyncIterator[bytes], max_bytes: int) -> None:
        self._headers, self._chunks, self._max = headers, chunks, max_bytes
        self._received, self._ended = 0, False

    async def read(self) -> Upload:
        """Read the whole form.

        Raises:
            ServiceError: no form, cut short, without a photo, or too large, which is found out as it arrives.
        """
        kind, options = parse_options_header(self._headers.get("content-type"))
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise ServiceError("not_a_form", "The body is not multipart/form-data.", _SHAPE)
        declared = self._headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:18]) > self._max + MOST_TEXT + OVERHEAD:
            raise self._too_large()
        form = _Form(self._max)
        try:
            parser = MultipartParser(options[b"boundary"], form.callbacks())  # type: ignore[arg-type]
            async for chunk in self._chunks:
                self._received += len(chunk)
                parser.write(chunk)
                if form.photo_is_too_large or self._received > self._max + MOST_TEXT + OVERHEAD:
                    raise self._too_large()
            self._ended = True
            parser.finalize()
        except MultipartParseError as error:
            raise ServiceError("bad_request", f"The form cannot be read: {error}", _SHAPE) from error
        if not form.ended:
            raise ServiceError(
                "bad_request", "The form is cut short: its closing boundary is missing.", _SHAPE
            )
        return form.upload()

    async def discard(self) -> bool:
        """Read on and throw away, within bounds; whether the body has come to its end.

        A client that asked for permission to send (Expect: 100-continue) has not sent anything: nothing is
        read then, which would give the permission.
        """
        if self._ended:
            return True
        if not self._received and "expect" in self._headers:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                async for chunk in self._chunks:
                    self._received += len(chunk)
                    if self._received > 2 * (self._max + MOST_TEXT + OVERHEAD):
                        return False
                self._ended = True
        return self._ended

    def _too_large(self) -> ServiceError:
        return ServiceError(
            "too_large",
            f"The photo is larger than {self._max} bytes.",
            "Shrink the picture, or save it with more compression.",
        )


class _Form:
    """What the parser finds, part by part."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._fields: list[tuple[str, bytearray]] = []
        self._photos = self._text = 0
        self._header, self._value = bytearray(), bytearray()
        self._name = ""
        self._into: bytearray | None = None
        self._photo = bytearray()
        self.photo_is_too_large = self.ended = False

    def callbacks(self) -> dict[str, object]:
        """As `MultipartParser` wants them."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_ends,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def upload(self) -> Upload:
        """The whole form.

        Raises:
            ServiceError: there is no photo in it.
        """
        if not self._photos:
            raise ServiceError("no_photo", f"The form has no field {PHOTO!r}.", _SHAPE)
        try:
            fields = tuple((name, value.decode()) for name, value in self._fields)
        except UnicodeDecodeError as error:
            raise ServiceError("bad_value", "A field is not text in UTF-8.", _SHAPE) from error
        photo = bytes(self._photo)
        self._photo.clear()
        return Upload(photo, fields)

    def _begin(self) -> None:
        self._header.clear()
        self._value.clear()
        self._name = ""

    def _header_ends(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._header.clear()
        self._value.clear()

    def _headers_end(self) -> None:
        if self._name == PHOTO:
            self._photos += 1
            if self._photos > 1:
                raise ServiceError("bad_value", "The form has two photos.", "Send one photo a request.")
            self._into = self._photo
            return
        if len(self._fields) >= MOST_FIELDS:
            raise ServiceError("bad_request", f"The form has more than {MOST_FIELDS} fields.", _SHAPE)
        self._into = bytearray()
        self._fields.append((self._name, self._into))

    def _data(self, data: bytes, start: int, end: int) -> None:
        assert self._into is not None
        if self._into is self._photo:
            if len(self._photo) + end - start > self._max:
                self.photo_is_too_large = True
                self._photo.clear()
                return
        else:
            self._text += end - start
            if self._text > MOST_TEXT:
                raise ServiceError(
                    "bad_request",
                    f"The fields beside the photo are longer than {MOST_TEXT >> 10} KiB.",
                    f"Put the picture into the field {PHOTO!r}.",
                )
        self._into += data[start:end]

    def _end(self) -> None:
        self.ended = True
