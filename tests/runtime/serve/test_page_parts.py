"""The page without a browser: where its files are, how much of them, and how its parts are laid out."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from staged_faces import Finds
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from tiny_bundles import shape_parts, similarity_parts

from aif.runtime.bundle.bundle import write_bundle
from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.editing.editor import Editor
from aif.runtime.model.model import FaceModel
from aif.runtime.serve.app import create_app
from aif.runtime.serve.page.files import KEPT_SECONDS, folder_for_files, page_files
from aif.runtime.serve.page.guard import PageGuard
from aif.runtime.serve.page.mount import mount_page
from aif.runtime.serve.settings import ServeSettings


def test_files_are_kept_for_as_long_as_they_are_used():
    with page_files() as files:
        assert files.folder.stat().st_mode & 0o077 == 0
        edit, photo = Path(files.write("a.jpg", b"edit")), Path(files.write("b.jpg", b"photo"))
        assert edit.read_bytes() == b"edit" and photo.read_bytes() == b"photo"
        (files.folder / "cut-short").write_bytes(b"upload")
        files.tidy(time.time() + KEPT_SECONDS / 2)
        assert len(list(files.folder.iterdir())) == 3
        for each in files.folder.rglob("*"):
            os.utime(each, (1, 1))
        assert files.use(photo)
        files.tidy(time.time())
        assert [each.name for each in files.folder.rglob("*.jpg")] == ["b.jpg"] and not files.use(photo, edit)
        files.tidy(time.time() + 2 * KEPT_SECONDS)
        assert not list(files.folder.iterdir())
    assert not files.folder.exists()


def test_files_lie_in_memory_only_where_there_is_room(tmp_path, monkeypatch):
    monkeypatch.setattr("aif.runtime.serve.page.files.MOST_BYTES", 1)
    assert folder_for_files(tmp_path) == tmp_path
    monkeypatch.setattr("aif.runtime.serve.page.files.MOST_BYTES", 1 << 60)
    assert folder_for_files(tmp_path) == Path(tempfile.gettempdir())
    assert folder_for_files(tmp_path / "missing") == Path(tempfile.gettempdir())


def test_uploads_are_bounded(monkeypatch):
    """One by one, in all, while they arrive, and in time."""

    async def kept(scope, receive, send):
        """As Gradio's application: what the body raises becomes an answer."""
        try:
            await receive()
        except HTTPException as error:
            await PlainTextResponse(error.detail, error.status_code)(scope, receive, send)
        else:
            await PlainTextResponse("kept")(scope, receive, send)

    async def ask(app, length, arrives=True):
        async def receive():
            await asyncio.sleep(0 if arrives else 60)
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            answers.append(message.get("status", 0))

        answers: list[int] = []
        headers = [] if length is None else [(b"content-length", str(length).encode())]
        await app(
            {"type": "http", "method": "POST", "path": "/ui/gradio_api/upload", "headers": headers},
            receive,
            send,
        )
        return max(answers, default=0)

    async def all_of_it():
        with page_files() as files:
            app = PageGuard(kept, files, ServeSettings(max_bytes=1 << 20, timeout=0.2))
            assert [await ask(app, size) for size in (1 << 20, 2 << 20, None)] == [200, 413, 411]
            slow = asyncio.create_task(ask(app, 1 << 20, arrives=False))
            await asyncio.sleep(0.05)
            monkeypatch.setattr("aif.runtime.serve.page.files.MOST_BYTES", 3 << 19)
            assert await ask(app, 1 << 20) == 503  # beside the one that is still arriving
            assert await slow == 408 and await ask(app, 1 << 20) == 200
            files.write("a.jpg", bytes(1 << 20))
            assert await ask(app, 1 << 20) == 503

    asyncio.run(all_of_it())


@pytest.mark.parametrize("shape", [True, False])
def test_sliders_stand_in_groups_and_one_mode_is_no_choice(tmp_path, shape):
    """The page as Gradio has it, for a bundle of either kind."""
    pytest.importorskip("gradio")
    hair = AttributeInfo(name="Blond_Hair", group="hair")
    smile = AttributeInfo(name="Smiling", group="expression", takes_along={"Blond_Hair": 0.5})
    parts = shape_parts(attributes=(hair, smile)) if shape else similarity_parts()
    bundle = write_bundle(tmp_path / "a.aif", parts.manifest, parts.files)
    with Editor(FaceModel(bundle, "cpu", 1), Finds()) as editor:
        app = create_app(editor, ServeSettings())
        with mount_page(app):
            config = TestClient(app).get("/ui/config").json()["components"]
    sliders = [each["props"] for each in config if each["type"] == "slider"]
    headings = [str(each["props"].get("value")) for each in config if each["type"] == "html"]
    (choice,) = (each["props"] for each in config if each["type"] == "accordion")
    (mode,) = (each["props"] for each in config if each["props"].get("elem_id") == "mode")
    if shape:
        assert [each["elem_id"] for each in sliders] == ["attribute-1", "attribute-0"]
        assert [each["label"] for each in sliders] == ["Smiling", "Blond hair"]
        assert sliders[0]["info"] == "takes blond hair along, unless that is moved, too"
        assert [text for text in headings if "h3" in text] == ["<h3>Expression</h3>", "<h3>Hair</h3>"]
        assert choice["visible"] is False and mode["value"] == "warp"
    else:
        assert [each["elem_id"] for each in sliders] == ["attribute-0", "attribute-1"]
        assert not any("h3" in text for text in headings)
        assert choice["visible"] is True and [value for _, value in mode["choices"]] == ["delta", "replace"]
