"""An endpoint that edits a posted photo. One editor serves all requests, in threads beside the event loop.

pip install fastapi uvicorn
uvicorn fastapi_endpoint:app
curl --data-binary @photo.jpg "localhost:8000/edit?attribute=Smiling&value=1" -o edited.jpg
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import cv2
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from aif.runtime import Editor
from aif.runtime.errors import AifError, ImageError, NoFaceError
from aif.runtime.image.io import read_image

MOST_BYTES, MOST_MEGAPIXELS, AT_ONCE = 20 << 20, 24, 2


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load once, at the start; close at the end."""
    with Editor.load() as editor:
        app.state.editor, app.state.turns = editor, asyncio.Semaphore(AT_ONCE)
        yield


app = FastAPI(lifespan=lifespan)


@app.exception_handler(AifError)
async def tell(request: Request, error: AifError) -> JSONResponse:
    """What went wrong, and what to do about it: no face is 422, no picture 415, a wrong wish 400."""
    kinds = ((NoFaceError, 422), (ImageError, 415))
    status = next((status for kind, status in kinds if isinstance(error, kind)), 400)
    return JSONResponse({"message": error.message, "fix": error.fix}, status)


@app.get("/attributes")
async def attributes(request: Request) -> list[str]:
    """What can be edited."""
    return list(request.app.state.editor.attributes)


@app.post("/edit")
async def edit(request: Request, attribute: str, value: float = 1.0) -> Response:
    """The photo in the body with one attribute changed, as JPEG."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_BYTES:
            return JSONResponse({"message": "The picture is too large."}, 413)

    def work() -> bytes:
        picture = read_image(bytes(data), "The upload", MOST_MEGAPIXELS)
        result = request.app.state.editor.edit(picture.pixels_hwc_bgr, {attribute: value})
        return cv2.imencode(".jpg", result.image_hwc_bgr)[1].tobytes()

    async with request.app.state.turns:
        return Response(await asyncio.to_thread(work), media_type="image/jpeg")
