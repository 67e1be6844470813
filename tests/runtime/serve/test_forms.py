"""What a form asks for, and which forms are refused."""

from typing import Annotated, Any, cast

import pytest
from fastapi import FastAPI, Form
from fastapi.testclient import TestClient

from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.serve.errors import add_error_handlers
from aif.runtime.serve.forms import EditOptions, edit_form
from aif.runtime.serve.limits import PhotoRoute
from aif.runtime.serve.service import Metrics, Places, Service
from aif.runtime.serve.settings import ServeSettings

PHOTO = {"photo": ("a.jpg", b"pixels")}


@pytest.fixture(scope="module")
def client(toy_parts):
    """Answers what a form asks for."""
    known = (AttributeInfo(name="Smiling"), AttributeInfo(name="5_o_Clock_Shadow", minimum=0, maximum=1))
    asked = edit_form(toy_parts.manifest.model_copy(update={"attributes": known}), ("delta", "replace"))
    app = FastAPI()
    add_error_handlers(app)

    app.router.route_class = PhotoRoute
    places = Places(1, 0)
    app.state.service = Service(cast(Any, None), ServeSettings(), places, Metrics(places))

    async def options(form):
        return form.options(known, "it")

    options.__annotations__ |= {"form": Annotated[asked, Form(media_type="multipart/form-data")]}
    options.__annotations__["return"] = EditOptions
    app.post("/")(options)
    return TestClient(app)


@pytest.mark.parametrize(
    ("fields", "settings", "others"),
    [
        ({"smiling": "1", "5_O_CLOCK_shadow": "off"}, {"Smiling": 1, "5_o_Clock_Shadow": 0}, {}),
        ({"edits": '{"Smiling": true}', "5_o_Clock_Shadow": "1"}, {"Smiling": 1, "5_o_Clock_Shadow": 1}, {}),
        ({"edits": '{"Smiling": "off"}'}, {"Smiling": 0}, {}),
        ({"Smiling": "1", "faces": "2", "mode": "delta"}, {"Smiling": 1}, {"faces": 2, "mode": "delta"}),
        ({"Smiling": "1", "format": "jpg", "quality": "80"}, {"Smiling": 1}, {"kind": "JPEG", "quality": 80}),
    ],
)
def test_forms(client, fields, settings, others):
    answer = client.post("/", data=fields, files=PHOTO)
    assert EditOptions(**answer.json()) == EditOptions(settings, **others)


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"Smilng": "1"}, "unknown_attribute", "Did you mean Smiling"),
        ({"edits": '{"Smilng": 1}'}, "unknown_attribute", "Did you mean Smiling"),
        ({}, "bad_value", "Say what to change"),
        ({"Smiling": "3"}, "bad_value", "-1 to 2"),
        ({"edits": '{"Smiling": NaN}'}, "bad_value", "out of range"),
        ({"Smiling": "1", "edits": '{"Smiling": 0}'}, "bad_value", "set twice"),
        ({"edits": "[" * 100_000}, "bad_value", "Invalid JSON"),
        ({"edits": "[1]"}, "bad_value", "valid dictionary"),
        ({"edits": '{"Smiling": null}'}, "bad_value", "'edits'"),
        ({"Smiling": "1", "faces": "9" * 5000}, "bad_value", "no choice of faces"),
        ({"Smiling": "1", "mode": "warp"}, "bad_value", "mode cannot be 'warp'"),
        ({"Smiling": "1", "format": "gif"}, "bad_value", "jpeg, png"),
        ({"Smiling": "1", "quality": "0"}, "bad_value", "greater than or equal to 1"),
    ],
)
def test_forms_that_are_refused(client, fields, code, said):
    answer = client.post("/", data=fields, files=PHOTO)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, code)
    assert said in f"{error['message']} {error['fix']}"


FORM = "multipart/form-data; boundary=cut"


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"", FORM, "no_photo"),
        (b"--cut\r\nContent-Disposition\r\n\r\nx\r\n--cut--\r\n", FORM, "bad_request"),
        (b'--cut\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\npix', FORM, "no_photo"),
        (b'--cut\r\nContent-Disposition: form-data; name="photo"\r\n\r\n\r\n--cut--\r\n', FORM, "no_photo"),
        (b"", "multipart/form-data", "bad_request"),
        (b"pixels", "image/jpeg", "not_a_form"),
        (b"Smiling=1", "application/x-www-form-urlencoded", "not_a_form"),
        (b"pixels", '\xff;;="', "not_a_form"),
    ],
)
def test_what_is_no_form(client, body, kind, code):
    answer = client.post("/", content=body, headers={"content-type": kind.encode("latin-1")})
    error = answer.json()["error"]
    assert error["code"] == code and "Send a form" in error["fix"]
