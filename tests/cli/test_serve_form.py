"""The form: read as it arrives, within limits; what it asks for; the settings of the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.errors import ConfigError, UnknownAttributeError
from aif.runtime.serve.errors import ServiceError
from aif.runtime.serve.request import Wish, check_edits, check_look, parse_wish
from aif.runtime.serve.settings import ServeSettings
from aif.runtime.serve.upload import MOST_FIELDS, MOST_TEXT, OVERHEAD, Body, Upload

KNOWN = (AttributeInfo(name="Smiling"), AttributeInfo(name="Blond_Hair", minimum=0, maximum=1))
HEADERS = {"content-type": "multipart/form-data; boundary=cut"}
MOST = 100


def part(name: str, value: bytes, filename: str | None = None) -> bytes:
    named = "" if filename is None else f'; filename="{filename}"'
    head = f'--cut\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode() + value + b"\r\n"


END = b"--cut--\r\n"
PHOTO = part("photo", b"pixels", "a.jpg")


class Arriving:
    """A body in chunks, and how much of it was taken."""

    def __init__(self, data: bytes, step: int) -> None:
        self.data, self.step, self.taken = data, step, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.data), self.step):
            self.taken = min(start + self.step, len(self.data))
            yield self.data[start : self.taken]


def read(data: bytes, step: int = 1000, headers: dict[str, str] = HEADERS) -> Upload:
    return asyncio.run(Body(headers, aiter(Arriving(data, step)), MOST).read())


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_form_in_chunks_of_any_size(step: int) -> None:
    body = part("Smiling", b"1") + PHOTO + part("faces", "größte".encode()) + END
    assert read(body, step) == Upload(b"pixels", (("Smiling", "1"), ("faces", "größte")))


def test_a_photo_may_be_exactly_as_large_as_allowed() -> None:
    assert len(read(part("photo", bytes(MOST)) + END).photo) == MOST


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_request"),
        (b"no form at all", "bad_request"),
        (PHOTO, "bad_request"),  # its closing boundary is missing
        (PHOTO[:-8], "bad_request"),
        (part("Smiling", b"1") + END, "no_photo"),
        (part("image", b"pixels", "a.jpg") + END, "no_photo"),
        (PHOTO + PHOTO + END, "bad_value"),
        (PHOTO + part("faces", b"\xff\xfe") + END, "bad_value"),
        (part("photo", bytes(MOST + 1)) + END, "too_large"),
        (PHOTO + part("edits", bytes(MOST_TEXT + 1)) + END, "bad_request"),
        (PHOTO + part("a", b"") * (MOST_FIELDS + 1) + END, "bad_request"),
        (b"--cut\r\nContent-Disposition\r\n\r\nx\r\n" + END, "bad_request"),
        (b"--cut\r\n" + b"x" * 9000 + b": y\r\n\r\nx\r\n" + END, "bad_request"),
    ],
)
def test_forms_that_are_refused(body: bytes, code: str) -> None:
    with pytest.raises(ServiceError) as refused:
        read(body)
    assert refused.value.code == code and refused.value.fix


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "image/jpeg"},
        {"content-type": "multipart/form-data"},
        {"content-type": '\xff;;="'},
    ],
)
def test_what_is_no_form(headers: dict[str, str]) -> None:
    with pytest.raises(ServiceError, match="not multipart") as refused:
        read(PHOTO + END, headers=headers)
    assert refused.value.status == 415


@pytest.mark.parametrize("inside", [True, False])
def test_too_much_is_refused_while_it_arrives(inside: bool) -> None:
    """In the photo, and outside of every part, where the parser keeps nothing."""
    opening = b"--cut\r\nContent-Disposition: form-data; name=photo\r\n\r\n" if inside else PHOTO + END
    arriving = Arriving(opening + bytes(5_000_000), 64)
    body = Body(HEADERS, aiter(arriving), MOST)
    with pytest.raises(ServiceError) as refused:
        asyncio.run(body.read())
    assert refused.value.code == "too_large"
    assert arriving.taken <= (300 if inside else MOST + MOST_TEXT + OVERHEAD + 64)


def test_a_declared_length_is_refused_before_a_byte_is_read() -> None:
    arriving = Arriving(bytes(10), 1)
    body = Body({**HEADERS, "content-length": "9" * 30}, aiter(arriving), MOST)
    with pytest.raises(ServiceError, match="larger than 100 bytes"):
        asyncio.run(body.read())
    assert arriving.taken == 0


@pytest.mark.parametrize(
    ("length", "headers", "whole", "taken"),
    [
        (5000, {}, True, 5000),
        (50_000_000, {}, False, 2 * (MOST + MOST_TEXT + OVERHEAD) + 50_000),
        (5000, {"expect": "100-continue"}, False, 0),
    ],
)
def test_what_is_left_of_a_refused_body(
    length: int, headers: dict[str, str], whole: bool, taken: int
) -> None:
    arriving = Arriving(bytes(length), 50_000)
    body = Body({**HEADERS, **headers}, aiter(arriving), MOST)
    assert asyncio.run(body.discard()) is whole
    assert arriving.taken <= taken and (arriving.taken == taken or not whole)


@pytest.mark.parametrize(
    ("fields", "wish"),
    [
        ({}, Wish()),
        ({"Smiling": "1"}, Wish({"Smiling": 1.0})),
        ({"Smiling": "", "Blond_Hair": "off"}, Wish({"Smiling": 1.0, "Blond_Hair": 0.0})),
        ({"edits": '{"Smiling": -0.5, "Blond_Hair": true}'}, Wish({"Smiling": -0.5, "Blond_Hair": 1.0})),
        ({"edits": '{"Smiling": "off"}', "Blond_Hair": "1"}, Wish({"Smiling": 0.0, "Blond_Hair": 1.0})),
        ({"faces": "largest", "mode": "delta"}, Wish(faces="largest", mode="delta")),
        ({"faces": "2", "format": "jpg", "quality": "80"}, Wish(faces=2, kind="JPEG", quality=80)),
        ({"format": "PNG"}, Wish(kind="PNG")),
    ],
)
def test_wishes(fields: dict[str, str], wish: Wish) -> None:
    assert parse_wish(fields.items(), KNOWN, ("delta", "replace"), "it") == wish


@pytest.mark.parametrize(
    ("fields", "kind", "said"),
    [
        ([("Smilng", "1")], UnknownAttributeError, "Did you mean Smiling"),
        ([("fcaes", "all")], UnknownAttributeError, "Did you mean faces"),
        ([("", "1")], UnknownAttributeError, "Known names"),
        ([("edits", '{"Smilng": 1}')], UnknownAttributeError, "Did you mean Smiling"),
        ([("Smiling", "3")], ConfigError, "-1 to 2"),
        ([("Smiling", "nan")], ConfigError, "out of range"),
        ([("edits", '{"Smiling": NaN}')], ConfigError, "out of range"),
        ([("Smiling", "much")], ConfigError, "no value"),
        ([("Smiling", "1"), ("Smiling", "0")], ConfigError, "set twice"),
        ([("Smiling", "1"), ("edits", '{"Smiling": 0}')], ConfigError, "set twice"),
        ([("faces", "all"), ("faces", "0")], ConfigError, "comes twice"),
        ([("edits", "Smiling=1")], ConfigError, "no JSON"),
        ([("edits", "[" * 100_000)], ConfigError, "no JSON"),
        ([("edits", "[1]")], ConfigError, "no JSON object"),
        ([("edits", '{"Smiling": null}')], ConfigError, "no value"),
        ([("faces", "9" * 5000)], ConfigError, "no choice of faces"),
        ([("mode", "magic")], ConfigError, "composes by: delta, replace"),
        ([("mode", "warp")], ConfigError, "mode cannot be 'warp'"),
        ([("format", "gif")], ConfigError, "jpeg, png"),
        ([("quality", "0")], ConfigError, "1 to 100"),
        ([("quality", "²")], ConfigError, "1 to 100"),
    ],
)
def test_wrong_wishes(fields: list[tuple[str, str]], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        parse_wish(fields, KNOWN, ("delta", "replace"), "it")


def test_an_edit_needs_a_wish_and_a_look_takes_none() -> None:
    check_edits(Wish({"Smiling": 1.0}))
    check_look(Wish(faces=1))
    with pytest.raises(ConfigError, match="nothing to do"):
        check_edits(Wish(kind="PNG"))
    for wish in (Wish({"Smiling": 1.0}), Wish(kind="PNG")):
        with pytest.raises(ConfigError, match="Nothing is edited here"):
            check_look(wish)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"workers": 0}, "--workers must be at least 1"),
        ({"queue": -1}, "--queue must be at least 0"),
        ({"max_bytes": 0}, "--max-bytes must be at least 1"),
        ({"max_megapixels": 0}, "--max-megapixels must be above 0"),
        ({"timeout": float("inf")}, "--timeout must be above 0"),
        ({"timeout": float("nan")}, "--timeout must be above 0"),
    ],
)
def test_settings_that_make_no_sense(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ServeSettings(**wrong)
