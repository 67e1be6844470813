"""The service as a FastAPI application: photos in, edited photos out, through one shared editor."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from aif.runtime.editing.attributes import contradictions, remarks
from aif.runtime.editing.editor import Editor
from aif.runtime.serve.answer import WholeAnswers
from aif.runtime.serve.edit import analyse_photo, edit_photo
from aif.runtime.serve.errors import ClientGoneError, ServiceError
from aif.runtime.serve.hosts import KnownHosts
from aif.runtime.serve.metrics import Metrics
from aif.runtime.serve.openapi import ADDRESSES, DESCRIPTION, EDIT, LOOK, PAGES, describe_form
from aif.runtime.serve.pool import EditPool
from aif.runtime.serve.request import Wish, check_edits, check_look, parse_wish
from aif.runtime.serve.schemas import Attribute, Attributes, BundleInfo, Faces, Health, brief, faces_of
from aif.runtime.serve.settings import ServeSettings
from aif.runtime.serve.turn import Service, turn_of
from aif.runtime.serve.upload import Upload

# A header of this size passes every proxy's default.
MOST_HEADER = 3500
PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def create_app(editor: Editor, settings: ServeSettings) -> FastAPI:
    """The application; `app.state.service` holds what its requests share.

    Args:
        editor: loaded; left open when the application ends.
        settings: limits.
    """
    pool = EditPool(settings.workers, settings.queue)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            pool.close()

    # FastAPI's pages of documentation would fetch scripts from elsewhere: the description alone is offered.
    app = FastAPI(
        title="aif",
        version=version("aif"),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = Service(editor, settings, pool, Metrics(pool))
    manifest = editor.model.manifest
    add = app.add_api_route
    add(
        "/edit",
        edit,
        methods=["POST"],
        response_class=Response,
        **EDIT,
        openapi_extra=describe_form(manifest, editor.path.modes),
    )
    add(
        "/attributes",
        look,
        methods=["POST"],
        response_model=Faces,
        **LOOK,
        openapi_extra=describe_form(manifest, editor.path.modes, edits=False),
    )
    add("/attributes", attributes, methods=["GET"], response_model=Attributes, **PAGES["attributes"])
    add("/health", health, methods=["GET"], response_model=Health, **PAGES["health"])
    add("/ready", ready, methods=["GET"], response_model=Health, **PAGES["ready"])
    add("/metrics", metrics, methods=["GET"], response_class=Response, **PAGES["metrics"])
    app.add_middleware(WholeAnswers, timeout=settings.timeout)
    if settings.hosts is not None:
        app.add_middleware(KnownHosts, hosts=settings.hosts)
    app.add_exception_handler(ServiceError, _refuse)
    app.add_exception_handler(ClientGoneError, _nobody)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _fault)
    return app


async def edit(request: Request) -> Response:
    """Change attributes of the faces in a photo."""
    service = _service(request)
    async with turn_of(service, request, "edit") as turn:
        upload = await turn.upload()
        wish = _wish(service, upload)
        check_edits(wish)
        limit = service.settings.max_megapixels
        done = await turn.run(partial(edit_photo, service.editor, upload.photo, wish, limit))
    service.metrics.faces(len(done.faces))
    headers = {
        **PRIVATE,
        "X-Aif-Faces": str(len(done.faces)),
        "X-Aif-Predicted": json.dumps(brief(done.faces, MOST_HEADER)),
        **_notes(service, wish),
        "Server-Timing": ", ".join(f"{stage};dur={1000 * s:.1f}" for stage, s in done.seconds.items()),
    }
    return Response(done.data, media_type=f"image/{done.kind.lower()}", headers=headers)


async def look(request: Request, response: Response) -> Faces:
    """Find the faces in a photo and predict their attributes; nothing is changed."""
    service = _service(request)
    async with turn_of(service, request, "attributes") as turn:
        upload = await turn.upload()
        wish = _wish(service, upload)
        check_look(wish)
        limit = service.settings.max_megapixels
        done = await turn.run(partial(analyse_photo, service.editor, upload.photo, wish, limit))
    response.headers.update(PRIVATE)
    return faces_of(done)


async def attributes(request: Request) -> Attributes:
    """What the bundle can edit, and within which ranges."""
    service = _service(request)
    model = service.editor.model
    about = model.manifest
    return Attributes(
        bundle=BundleInfo(
            name=about.name,
            version=about.version,
            image_size=about.image_size,
            precision=model.precision,
            device=model.device,
        ),
        attributes=[Attribute(**a.model_dump(include=set(Attribute.model_fields))) for a in about.attributes],
        modes=list(service.editor.path.modes),
        default_mode=about.compositing,
    )


async def health(request: Request) -> Health:
    """Whether the process lives; says so while it is shutting down, too."""
    service = _service(request)
    pool = service.pool
    return Health(
        status="stopping" if pool.stopping else "ok",
        version=version("aif"),
        bundle=service.editor.model.manifest.name,
        queue=pool.waiting,
        running=pool.running,
        places=pool.places,
    )


async def ready(request: Request) -> Any:
    """Whether a photo would be taken now: 503 while the service shuts down or all places are taken."""
    with _service(request).pool.take():
        pass
    return await health(request)


async def metrics(request: Request) -> Response:
    """Figures for Prometheus."""
    page, kind = _service(request).metrics.page(request.headers.get("accept", ""))
    return Response(page, headers={"Content-Type": kind})


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _wish(service: Service, upload: Upload) -> Wish:
    editor = service.editor
    known = editor.model.manifest.attributes
    return parse_wish(upload.fields, known, editor.path.modes, service.bundle_name())


def _notes(service: Service, wish: Wish) -> dict[str, str]:
    """What the edit takes along or contradicts, as a header; none where there is nothing to say."""
    known = service.editor.model.manifest.attributes
    notes = contradictions(wish.settings, known) + remarks(wish.settings, known)
    return {"X-Aif-Notes": json.dumps(notes)} if notes else {}


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return JSONResponse(error.body(), error.status, {**PRIVATE, **error.headers})


async def _nobody(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # the client has hung up and will not read it


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        known = f"{request.url.path} takes {allowed}."
        return await _refuse(
            request,
            ServiceError(
                "wrong_method", f"{request.method} is not for this address.", known, {"Allow": allowed}
            ),
        )
    return await _refuse(
        request, ServiceError("not_found", "There is no such address.", f"Known: {ADDRESSES}.")
    )


async def _fault(request: Request, error: Exception) -> Response:
    fix = "Please report it, with what the service wrote on standard error."
    closing = {"Connection": "close"}  # as the server does after a fault
    return await _refuse(request, ServiceError("internal", "This is a fault of the service.", fix, closing))
