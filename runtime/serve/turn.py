"""One request with a photo, from its first byte to its answer: place, body, time limit, thread, figures."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from aif.runtime.editing.editor import Editor
from aif.runtime.errors import AifError
from aif.runtime.serve.answer import held_by
from aif.runtime.serve.edit import Edited
from aif.runtime.serve.errors import ClientGoneError, ServiceError, refusal
from aif.runtime.serve.metrics import Metrics
from aif.runtime.serve.pool import Checkpoint, EditPool, Place
from aif.runtime.serve.settings import ServeSettings
from aif.runtime.serve.upload import Body, Upload

Result = TypeVar("Result")


@dataclass(frozen=True)
class Service:
    """What all requests share."""

    editor: Editor
    settings: ServeSettings
    pool: EditPool
    metrics: Metrics

    def bundle_name(self) -> str:
        """What to call the bundle in an error."""
        return f"the bundle {self.editor.model.manifest.name}"


class Turn:
    """What a request may do: read its form once, have one job done."""

    def __init__(self, service: Service, request: Request, body: Body, place: Place) -> None:
        self._service, self._request, self._body, self._place = service, request, body, place
        self._begin = time.perf_counter()
        self._deadline = asyncio.get_running_loop().time() + service.settings.timeout

    async def upload(self) -> Upload:
        """The whole form.

        Raises:
            ServiceError: see `Body.read`; it did not arrive in time.
        """
        try:
            async with asyncio.timeout_at(self._deadline):
                form = await self._body.read()
        except TimeoutError as error:
            raise ServiceError(
                "slow_upload",
                f"The photo did not arrive within {self._service.settings.timeout:g} s.",
                "Send a smaller file, or over a faster line.",
            ) from error
        self._service.metrics.stages({"receive": time.perf_counter() - self._begin})
        return form

    async def run(self, job: Callable[[Checkpoint], Edited]) -> Edited:
        """Have a thread do `job`, in its turn.

        Raises:
            ServiceError: it was not done in time; then it is given up.
            ClientGoneError: the client hung up; likewise.
            Exception: whatever the job raised.
        """
        future = asyncio.wrap_future(self._place.submit(job))
        gone = asyncio.ensure_future(self._until_gone())
        left = self._deadline - asyncio.get_running_loop().time()
        try:
            either: set[asyncio.Future[Any]] = {future, gone}
            await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not future.done():
                future.add_done_callback(_fetch)
                if gone.done():
                    raise ClientGoneError
                raise _too_late(self._service)
        finally:
            gone.cancel()
        done = future.result()
        self._service.metrics.stages({"wait": self._place.waited, **done.seconds})
        done.seconds = {"wait": self._place.waited, **done.seconds}
        return done

    async def _until_gone(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass


def _fetch(future: asyncio.Future[Any]) -> None:
    """Take the error of a job that was given up, which nobody else will."""
    if not future.cancelled():
        future.exception()


async def run_job(service: Service, endpoint: str, job: Callable[[Checkpoint], Result]) -> Result:
    """Have a thread do a job that came without a request of its own: the page's.

    Raises:
        ServiceError: there is no place, it was not done in time, or what the job raised.
    """
    begin, outcome = time.perf_counter(), "internal"
    try:
        with service.pool.take() as place:
            done = asyncio.wrap_future(place.submit(job))
            await asyncio.wait({done}, timeout=service.settings.timeout)
            if not done.done():
                done.add_done_callback(_fetch)
                raise _too_late(service)
            result = done.result()
        outcome = "ok"
        return result
    except AifError as error:
        outcome = refusal(error).code
        raise refusal(error) from error
    except ServiceError as error:
        outcome = error.code
        raise
    finally:
        service.metrics.request(endpoint, outcome, time.perf_counter() - begin)


def _too_late(service: Service) -> ServiceError:
    return ServiceError(
        "timeout",
        f"The edit was not done within {service.settings.timeout:g} s.",
        "Try again later, or send a smaller picture.",
    )


@contextlib.asynccontextmanager
async def turn_of(service: Service, request: Request, endpoint: str) -> AsyncIterator[Turn]:
    """A place for the request, counted by what comes of it; `WholeAnswers` gives it back after the answer.

    Raises:
        ServiceError: there is no place, or what the block raised, in the service's words.
        ClientGoneError: the client hung up.
    """
    begin = time.perf_counter()
    body = Body(request.headers, request.stream(), service.settings.max_bytes)
    outcome, held = "internal", held_by(request.scope)
    try:
        try:
            held.place = service.pool.take()
            try:
                yield Turn(service, request, body, held.place)
            except BaseException:
                held.leave()
                raise
            outcome = "ok"
        except AifError as error:
            raise refusal(error) from error
        except ClientDisconnect as error:
            raise ClientGoneError from error
    except ClientGoneError:
        outcome = "client_gone"
        raise
    except ServiceError as error:
        outcome = error.code
        with contextlib.suppress(ClientDisconnect):
            # What comes after a body that was too slow would be taken for the next request.
            if error.code == "slow_upload" or not await body.discard():
                error.headers["Connection"] = "close"
        raise
    finally:
        service.metrics.request(endpoint, outcome, time.perf_counter() - begin)
