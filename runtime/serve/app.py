"""The service as a FastAPI application: photos in, edited photos out, through one shared editor."""

# Without `from __future__ import annotations`: FastAPI has to see the form's type, which the bundle makes.

import json
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Annotated, cast

import python_multipart  # noqa: F401 - without it FastAPI raises an error that names no module
from anyio import from_thread
from fastapi import APIRouter, Depends, FastAPI, Form, Request, Response, UploadFile
from starlette.formparsers import MultiPartParser
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect

from aif.runtime.editing.attributes import contradictions, exceptions, moves_along, remarks
from aif.runtime.editing.editor import Editor
from aif.runtime.image.kinds import FORMATS
from aif.runtime.serve import schemas
from aif.runtime.serve.errors import PRIVATE, add_error_handlers
from aif.runtime.serve.forms import EditForm, PhotoForm, each_once, edit_form
from aif.runtime.serve.limits import PhotoRoute
from aif.runtime.serve.photo import Edited, analyse_photo, edit_photo
from aif.runtime.serve.service import Checkpoint, Metrics, Places, Service
from aif.runtime.serve.settings import ServeSettings

DESCRIPTION = (
    "Edits attributes of the faces in photos and leaves everything else alone. A photo is kept in memory "
    "only, as long as its request lasts. Every refusal is JSON of one shape: `error` with `code`, `message`, "
    "`fix`."
)

# A header of this size passes every proxy's default.
MOST_HEADER = 3500
MOST_EXCEPTIONS = 10

_HEADERS = {
    "X-Aif-Faces": "How many faces were edited.",
    "X-Aif-Predicted": "JSON: the attribute values of each face before the edit, left to right, of as many "
    "as fit into 3.5 KB.",
    "X-Aif-Notes": "JSON: what the edit takes along, what contradicts, and which faces were not edited, or "
    "in part only, and why; left out where there is nothing to say.",
    "Server-Timing": "Milliseconds by stage.",
}
_EDITED = {
    "description": "The edited photo, as a file.",
    "content": {
        f"image/{name.lower()}": {"schema": {"type": "string", "format": "binary"}} for name in FORMATS
    },
    "headers": {name: {"description": text, "schema": {"type": "string"}} for name, text in _HEADERS.items()},
}


def create_app(editor: Editor, settings: ServeSettings) -> FastAPI:
    """The application; `app.state.service` holds what its requests share."""
    places = Places(settings.workers, settings.queue)
    service = Service(editor, settings, places, Metrics(places))
    # A photo stays in memory while it arrives; larger ones would go to a temporary file.
    MultiPartParser.spool_max_size = max(MultiPartParser.spool_max_size, settings.max_bytes + 1)
    # FastAPI's pages of documentation would fetch scripts from elsewhere: the description alone is offered.
    app = FastAPI(title="aif", version=version("aif"), description=DESCRIPTION, docs_url=None, redoc_url=None)
    app.state.service = service
    app.include_router(_photo_routes(service))
    _add_status_routes(app, service)
    add_error_handlers(app)
    if settings.hosts is not None:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=settings.hosts, www_redirect=False)
    return app


def _add_status_routes(app: FastAPI, service: Service) -> None:
    """What can be edited, how the service does, what it has counted."""
    model, places = service.editor.model, service.places
    about = model.manifest
    known = [schemas.Attribute.model_validate(info, from_attributes=True) for info in about.attributes]

    @app.get("/attributes", summary="List what can be edited")
    async def attributes() -> schemas.Attributes:
        """What the bundle can edit, and within which ranges."""
        return schemas.Attributes(
            bundle=schemas.BundleInfo(
                **about.model_dump(include={"name", "version", "image_size"}),
                precision=model.precision,
                device=model.device,
            ),
            attributes=known,
            modes=list(service.editor.path.modes),
            default_mode=about.compositing,
        )

    @app.get("/health", summary="Whether the process lives")
    async def health() -> schemas.Health:
        """Whether the process lives; says so while it is shutting down, too."""
        return schemas.Health(
            status="stopping" if places.stopping else "ok",
            version=version("aif"),
            bundle=about.name,
            queue=places.waiting,
            running=places.running,
            places=places.total,
        )

    @app.get("/ready", summary="Whether a photo would be taken now", responses=schemas.REFUSALS)
    async def ready() -> schemas.Health:
        """Whether a photo would be taken now: 503 while the service shuts down or all places are taken."""
        with places.take():
            return await health()

    @app.get("/metrics", summary="Figures for Prometheus", response_class=Response)
    async def metrics(request: Request) -> Response:
        """Prometheus' text format."""
        page, kind = service.metrics.page(request.headers.get("accept", ""))
        return Response(page, headers={"Content-Type": kind})


def _photo_routes(service: Service) -> APIRouter:
    """The two addresses for the service's bundle."""
    router = APIRouter(route_class=PhotoRoute, dependencies=[Depends(each_once)])
    editor = service.editor
    known, limit = editor.model.manifest.attributes, service.settings.max_megapixels
    bundle_form = edit_form(editor.model.manifest, editor.path.modes)

    @router.post(
        "/edit",
        summary="Edit a photo",
        response_class=Response,
        responses={200: _EDITED, **schemas.REFUSALS},
    )
    async def edit(
        request: Request,
        form: Annotated[bundle_form, Form(media_type="multipart/form-data")],  # type: ignore[valid-type]
    ) -> Response:
        """Change attributes of the faces in a photo."""
        asked = cast(EditForm, form)
        options = asked.options(known, f"the bundle {editor.model.manifest.name}")
        photo = await _taken(asked.photo)
        done = await _run(service, request, partial(edit_photo, editor, photo, options, limit))
        service.metrics.faces.inc(len(done.faces))
        notes = contradictions(options.settings, known) + remarks(options.settings, known)
        notes += moves_along(done.faces, options.settings)
        notes += exceptions(done.faces, options.settings, done.found, options.faces)[:MOST_EXCEPTIONS]
        headers = {
            **PRIVATE,
            "X-Aif-Faces": str(len(done.faces)),
            "X-Aif-Predicted": json.dumps(schemas.brief(done.faces, MOST_HEADER)),
            **({"X-Aif-Notes": json.dumps(notes)} if notes else {}),
            "Server-Timing": ", ".join(f"{stage};dur={1000 * s:.1f}" for stage, s in done.seconds.items()),
        }
        return Response(done.data, media_type=f"image/{done.kind.lower()}", headers=headers)

    @router.post(
        "/attributes",
        summary="Predict the attributes of the faces in a photo",
        responses=schemas.REFUSALS,
    )
    async def look(
        request: Request,
        response: Response,
        form: Annotated[PhotoForm, Form(media_type="multipart/form-data")],
    ) -> schemas.PhotoFaces:
        """Find the faces in a photo and predict their attributes; nothing is changed."""
        photo = await _taken(form.photo)
        done = await _run(service, request, partial(analyse_photo, editor, photo, form.faces, limit))
        response.headers.update(PRIVATE)
        return schemas.faces_of(done)

    return router


async def _taken(upload: UploadFile) -> bytes:
    """The file's bytes, which are in memory once only after that."""
    data = await upload.read()
    await upload.close()
    return data


async def _run(service: Service, request: Request, job: Callable[[Checkpoint], Edited]) -> Edited:
    """Have a thread do `job`, unless the client has hung up meanwhile; its times are counted, too."""
    arrived = time.perf_counter() - request.state.begin

    def in_turn(checkpoint: Checkpoint) -> Edited:
        if from_thread.run(request.is_disconnected):
            raise ClientDisconnect
        return job(checkpoint)

    done, waited = await service.places.run(in_turn)
    done.seconds = {"receive": arrived, "wait": waited, **done.seconds}
    service.metrics.stages(done.seconds)
    return done
