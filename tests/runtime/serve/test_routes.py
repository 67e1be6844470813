"""The service over real connections: what it answers, what it refuses, what it says of itself."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from running_service import Running, decoded, png
from tiny_bundles import shape_parts

from aif.runtime.bundle.bundle import write_bundle
from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.serve.errors import CODES
from aif.runtime.serve.server import LOOPBACK, known_hosts

STAGES = ["receive", "wait", "read", "detect", "align", "encode", "decode_faces", "composite", "write"]


def test_an_edit_is_what_the_editor_makes(service, photo, portrait_bgr):
    answer = service.post("/edit", photo, Smiling="1", Blond_Hair="off", mode="replace")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    wanted = service.editor.edit(portrait_bgr, {"Smiling": 1.0, "Blond_Hair": 0.0}, "replace")
    assert np.array_equal(decoded(answer.content), wanted.image_hwc_bgr)
    assert not np.array_equal(wanted.image_hwc_bgr, portrait_bgr)
    jpeg = service.post("/edit", photo, edits='{"Smiling": 0.5}', format="jpeg", quality="80")
    assert jpeg.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-aif-faces"] == "1" and answer.headers["cache-control"] == "no-store"
    assert "x-aif-notes" not in answer.headers
    (predicted,) = json.loads(answer.headers["x-aif-predicted"])
    assert predicted == pytest.approx(wanted.faces[0].y_source, abs=0.006)
    assert [part.split(";")[0] for part in answer.headers["server-timing"].split(", ")] == STAGES


def test_a_look(service, photo, portrait_bgr):
    answer = service.post("/attributes", photo, faces="0").json()
    (face,) = service.editor.analyse(portrait_bgr)
    assert (answer["width"], answer["height"]) == portrait_bgr.shape[1::-1]
    (seen,) = answer["faces"]
    assert set(seen) == {"box", "score", "residual", "attributes"}
    assert seen["attributes"] == pytest.approx(face.y, abs=1e-4)
    assert seen["box"] == pytest.approx(face.detection.box_xywh.tolist(), abs=0.06)
    refused = service.post("/attributes", photo, Smiling="1")
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "unknown_attribute")


def test_what_can_be_edited(service):
    about = service.client.get("/attributes").json()
    smiling = {"name": "Smiling", "minimum": -1.0, "maximum": 2.0, "default_on": 1.0, "group": "face"}
    assert about["attributes"][0] == {**smiling, "takes_along": {}, "takes_along_off": {}, "excludes": []}
    assert [each["name"] for each in about["attributes"]] == ["Smiling", "Blond_Hair"]
    wanted = {"name": "toy", "version": "1", "image_size": 32, "precision": "fp32", "device": "cpu"}
    assert about["bundle"] == wanted
    assert about["modes"] == ["delta", "replace"] and about["default_mode"] in about["modes"]


def test_a_bundle_with_shape(tmp_path, photo):
    """The answer says what an edit takes along; how it composes is no choice."""
    hair = AttributeInfo(name="Blond_Hair", group="hair", excludes=("Smiling",))
    smile = AttributeInfo(name="Smiling", group="expression", takes_along={"Blond_Hair": 0.5})
    parts = shape_parts(attributes=(smile, hair))
    bundle = write_bundle(tmp_path / "shape.aif", parts.manifest, parts.files)
    with contextlib.closing(Running(bundle)) as running:
        about = running.client.get("/attributes").json()
        assert (about["modes"], about["default_mode"]) == (["warp"], "warp")
        assert [each["group"] for each in about["attributes"]] == ["expression", "hair"]
        assert about["attributes"][0]["takes_along"] == {"Blond_Hair": 0.5}
        fields = running.client.get("/openapi.json").json()["components"]["schemas"]["EditForm"]["properties"]
        assert fields["mode"]["enum"] == ["warp"]
        for fields, said in (
            ({"Smiling": "1"}, "Smiling takes Blond_Hair along by 0.5"),
            ({"Smiling": "1", "Blond_Hair": "1"}, "Blond_Hair and Smiling exclude each other"),
        ):
            answer = running.post("/edit", photo, faces="largest", **fields)
            notes = json.loads(answer.headers["x-aif-notes"])
            assert answer.status_code == 200 and notes[0].startswith(said)
            assert ("Blond_Hair" in fields) != any(note.startswith("Blond_Hair 0.") for note in notes)
        refused = running.post("/edit", photo, Smiling="1", mode="delta").json()["error"]
        assert refused["code"] == "bad_value" and refused["fix"] == "It composes by: warp."


def test_refusals(service, photo):
    """Each with its status, its code and a fix, in one shape; nothing is edited meanwhile."""
    before = service.figure("aif_faces_edited_total")
    empty = png(np.full((64, 64, 3), 90, np.uint8))
    huge = png(np.zeros((1001, 1000, 3), np.uint8))
    for content, status, code, said in (
        (empty, 422, "no_face", "No face"),
        (b"GIF89a", 415, "unsupported_picture", "a GIF"),
        (photo[:2000], 422, "damaged_picture", "The photo"),
        (huge, 413, "too_many_pixels", "at most 1 megapixels"),
        (bytes(600_000), 413, "too_large", "300000 bytes"),
    ):
        answer = service.post("/edit", content, Smiling="1")
        assert answer.status_code == status == CODES[code], answer.text
        error = answer.json()["error"]
        assert answer.json() == {"error": error} and set(error) == {"code", "message", "fix"}
        assert error["code"] == code and said in f"{error['message']} {error['fix']}", error
        assert "--max" not in answer.text and "--set" not in answer.text
        assert answer.headers["cache-control"] == "no-store" and service.outcomes(code) >= 1
    assert service.figure("aif_faces_edited_total") == before


@pytest.mark.parametrize("again", ["Smiling", "smiling", "photo"])
def test_a_field_that_comes_twice_is_refused(service, photo, again):
    sent = [("photo", ("photo.png", photo)), ("Smiling", (None, "1"))]
    sent.append((again, ("b.png", photo)) if again == "photo" else (again, (None, "0")))
    for path in ("/edit", "/attributes"):
        answer = service.client.post(path, files=sent)
        assert answer.status_code == 422 and f"{again!r} twice" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/edit", 405, "wrong_method"),
        ("POST", "/edit", 415, "not_a_form"),
    ],
)
def test_wrong_addresses(service, method, path, status, code):
    answer = service.client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_fault_of_ours_is_answered_in_the_same_shape(service, photo, monkeypatch):
    def fault(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(service.editor, "edit", fault)
    answer = service.post("/edit", photo, Smiling="1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert service.outcomes("internal") == 1 and service.places.taken == 0


def test_openapi_describes_the_form_the_files_and_every_refusal(service):
    about = service.client.get("/openapi.json").json()
    assert set(about["paths"]) == {"/edit", "/attributes", "/health", "/ready", "/metrics"}
    post, schemas = about["paths"]["/edit"]["post"], about["components"]["schemas"]
    form = post["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form == {"$ref": "#/components/schemas/EditForm"}
    fields = schemas["EditForm"]["properties"]
    assert set(fields) == {"photo", "Smiling", "Blond_Hair", "edits", "faces", "mode", "format", "quality"}
    assert schemas["EditForm"]["required"] == ["photo"]
    assert fields["Blond_Hair"]["anyOf"][0] == {"type": "number", "minimum": -1, "maximum": 2}
    success = post["responses"]["200"]
    assert "image/png" in success["content"] and "X-Aif-Faces" in success["headers"]
    assert {"4XX", "5XX"} <= set(post["responses"])
    assert schemas["Problem"]["properties"]["code"]["enum"] == list(CODES)


def test_only_known_names_are_answered_to(start):
    """A page on the web that lets its name point to this machine gets nothing."""
    service = start(hosts=known_hosts("127.0.0.1", ["Photos.example.org"]))
    known = ("localhost", "LOCALHOST:1", "[::1]:8000", "photos.example.org")
    unknown = ("evil.example:8000", "localhost.evil.example", "[::2]", "")
    for host, status in (*((name, 200) for name in known), *((name, 400) for name in unknown)):
        assert service.client.get("/health", headers={"host": host}).status_code == status, host


@pytest.mark.parametrize(
    ("address", "more", "names"),
    [
        ("127.0.0.1", [], {*LOOPBACK}),
        ("127.0.0.2", [], {*LOOPBACK, "127.0.0.2"}),
        ("::1", [], {*LOOPBACK}),
        ("0.0.0.0", [], None),
        ("::", [], None),
        ("0.0.0.0", ["a.example"], {*LOOPBACK, "0.0.0.0", "a.example"}),
    ],
)
def test_names_to_answer_to(address, more, names):
    known = known_hosts(address, more)
    assert (None if known is None else set(known)) == names


def test_metrics_are_in_both_of_prometheus_formats(service, photo):
    assert service.post("/edit", photo, Smiling="1").status_code == 200
    plain: Any = service.client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=")
    for stage in STAGES:
        assert service.figure(f'aif_stage_seconds_count{{stage="{stage}"}}') >= 1, stage
    assert service.figure('aif_request_seconds_count{endpoint="edit"}') >= 1
    assert service.figure("aif_faces_edited_total") >= 1
    assert service.figure("aif_places") == service.places.total == 17
    modern = service.client.get("/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0"})
    assert modern.text.endswith("# EOF\n")
