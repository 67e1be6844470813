"""POST /edit and POST /attributes: a photo comes in, its edit or its faces' attributes go out."""

# Without `from __future__ import annotations`: FastAPI has to see the form's type, which the bundle makes.

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, cast

import python_multipart  # noqa: F401 - without it FastAPI raises an error that names no module
from fastapi import APIRouter, Form, Request, Response, UploadFile

from aif.runtime.editing.attributes import contradictions, exceptions, moves_along, remarks
from aif.runtime.image.kinds import FORMATS
from aif.runtime.serve.errors import PRIVATE
from aif.runtime.serve.forms import EditForm, PhotoForm, edit_form
from aif.runtime.serve.limits import PhotoRoute
from aif.runtime.serve.photo import Edited, analyse_photo, edit_photo
from aif.runtime.serve.places import Checkpoint
from aif.runtime.serve.schemas import REFUSALS, PhotoFaces, brief, faces_of
from aif.runtime.serve.service import Service

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


def photo_routes(service: Service) -> APIRouter:
    """The two addresses for the service's bundle."""
    router, editor = APIRouter(route_class=PhotoRoute), service.editor
    known, limit = editor.model.manifest.attributes, service.settings.max_megapixels
    bundle_form = edit_form(editor.model.manifest, editor.path.modes)

    @router.post(
        "/edit",
        summary="Edit a photo",
        response_class=Response,
        responses={200: _EDITED, **REFUSALS},
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
            "X-Aif-Predicted": json.dumps(brief(done.faces, MOST_HEADER)),
            **({"X-Aif-Notes": json.dumps(notes)} if notes else {}),
            "Server-Timing": ", ".join(f"{stage};dur={1000 * s:.1f}" for stage, s in done.seconds.items()),
        }
        return Response(done.data, media_type=f"image/{done.kind.lower()}", headers=headers)

    @router.post(
        "/attributes",
        summary="Predict the attributes of the faces in a photo",
        responses=REFUSALS,
    )
    async def look(
        request: Request,
        response: Response,
        form: Annotated[PhotoForm, Form(media_type="multipart/form-data")],
    ) -> PhotoFaces:
        """Find the faces in a photo and predict their attributes; nothing is changed."""
        photo = await _taken(form.photo)
        done = await _run(service, request, partial(analyse_photo, editor, photo, form.faces, limit))
        response.headers.update(PRIVATE)
        return faces_of(done)

    return router


async def _taken(upload: UploadFile) -> bytes:
    """The file's bytes, which are in memory once only after that."""
    data = await upload.read()
    await upload.close()
    return data


async def _run(service: Service, request: Request, job: Callable[[Checkpoint], Edited]) -> Edited:
    """Have a thread do `job`; its times are counted, too."""
    arrived = time.perf_counter() - request.state.begin
    done, waited = await service.places.run(job, request.is_disconnected)
    done.seconds = {"receive": arrived, "wait": waited, **done.seconds}
    service.metrics.stages(done.seconds)
    return done
