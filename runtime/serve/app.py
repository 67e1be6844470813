"""The service as a FastAPI application: photos in, edited photos out, through one shared editor."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI, Request, Response
from starlette.formparsers import MultiPartParser
from starlette.middleware.trustedhost import TrustedHostMiddleware

from aif.runtime.editing.editor import Editor
from aif.runtime.serve.errors import add_error_handlers
from aif.runtime.serve.metrics import Metrics
from aif.runtime.serve.places import Places
from aif.runtime.serve.routes import photo_routes
from aif.runtime.serve.schemas import REFUSALS, Attribute, Attributes, BundleInfo, Health
from aif.runtime.serve.service import Service
from aif.runtime.serve.settings import ServeSettings

DESCRIPTION = (
    "Edits attributes of the faces in photos and leaves everything else alone. A photo is kept in memory "
    "only, as long as its request lasts. Every refusal is JSON of one shape: `error` with `code`, `message`, "
    "`fix`."
)


def create_app(editor: Editor, settings: ServeSettings) -> FastAPI:
    """The application; `app.state.service` holds what its requests share."""
    places = Places(settings.workers, settings.queue)
    service = Service(editor, settings, places, Metrics(places))

    # A photo stays in memory while it arrives; larger ones would go to a temporary file.
    MultiPartParser.spool_max_size = max(MultiPartParser.spool_max_size, settings.max_bytes + 1)
    # FastAPI's pages of documentation would fetch scripts from elsewhere: the description alone is offered.
    app = FastAPI(
        title="aif",
        version=version("aif"),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.include_router(photo_routes(service))
    _add_status_routes(app, service)
    add_error_handlers(app)
    if settings.hosts is not None:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=settings.hosts, www_redirect=False)
    return app


def _add_status_routes(app: FastAPI, service: Service) -> None:
    """What can be edited, how the service does, what it has counted."""
    model, places = service.editor.model, service.places
    about = model.manifest

    @app.get("/attributes", summary="List what can be edited")
    async def attributes() -> Attributes:
        """What the bundle can edit, and within which ranges."""
        return Attributes(
            bundle=BundleInfo(
                name=about.name,
                version=about.version,
                image_size=about.image_size,
                precision=model.precision,
                device=model.device,
            ),
            attributes=[Attribute.model_validate(info, from_attributes=True) for info in about.attributes],
            modes=list(service.editor.path.modes),
            default_mode=about.compositing,
        )

    @app.get("/health", summary="Whether the process lives")
    async def health() -> Health:
        """Whether the process lives; says so while it is shutting down, too."""
        return Health(
            status="stopping" if places.stopping else "ok",
            version=version("aif"),
            bundle=about.name,
            queue=places.waiting,
            running=places.running,
            places=places.total,
        )

    @app.get("/ready", summary="Whether a photo would be taken now", responses=REFUSALS)
    async def ready() -> Health:
        """Whether a photo would be taken now: 503 while the service shuts down or all places are taken."""
        with places.take():
            pass
        return await health()

    @app.get("/metrics", summary="Figures for Prometheus", response_class=Response)
    async def metrics(request: Request) -> Response:
        """Prometheus' text format."""
        page, kind = service.metrics.page(request.headers.get("accept", ""))
        return Response(page, headers={"Content-Type": kind})
