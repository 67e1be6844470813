"""Where the page's files lie, and how much of them."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse

from aif.cli import serve_ui_files
from aif.cli.serve_settings import ServeSettings
from aif.cli.serve_ui_files import page_files
from aif.cli.serve_ui_uploads import BoundedUploads


def test_files_lie_in_memory_only_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve_ui_files, "MOST_BYTES", 1)
    assert serve_ui_files._parent(tmp_path) == tmp_path
    monkeypatch.setattr(serve_ui_files, "MOST_BYTES", 1 << 60)
    assert serve_ui_files._parent(tmp_path) == Path(tempfile.gettempdir())
    assert serve_ui_files._parent(tmp_path / "missing") == Path(tempfile.gettempdir())


def test_uploads_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one, in all, while they arrive, and in time."""

    async def kept(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        await PlainTextResponse("kept")(scope, receive, send)

    async def ask(app: Any, length: int | None, arrives: bool = True) -> int:
        async def receive() -> Any:
            await asyncio.sleep(0 if arrives else 60)
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            answers.append(message.get("status", 0))

        answers: list[int] = []
        headers = [] if length is None else [(b"content-length", str(length).encode())]
        await app(
            {"type": "http", "method": "POST", "path": "/page/gradio_api/upload", "headers": headers},
            receive,
            send,
        )
        return max(answers, default=0)

    async def all_of_it() -> None:
        with page_files() as files:
            app = BoundedUploads(kept, "/page", files, ServeSettings(max_bytes=1 << 20, timeout=0.2))
            assert [await ask(app, size) for size in (1 << 20, 2 << 20, None)] == [200, 413, 411]
            slow = asyncio.create_task(ask(app, 1 << 20, arrives=False))
            await asyncio.sleep(0.05)
            monkeypatch.setattr(serve_ui_files, "MOST_BYTES", 3 << 19)
            assert await ask(app, 1 << 20) == 503  # beside the one that is still arriving
            assert await slow == 0 and await ask(app, 1 << 20) == 200
            files.write("a.jpg", bytes(1 << 20))
            assert await ask(app, 1 << 20) == 503

    asyncio.run(all_of_it())
