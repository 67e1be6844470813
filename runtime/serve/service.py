"""What all requests of a service share."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import anyio
from starlette.requests import ClientDisconnect

from aif.runtime.editing.editor import Editor
from aif.runtime.errors import AifError
from aif.runtime.serve.errors import ServiceError, refusal
from aif.runtime.serve.metrics import Metrics
from aif.runtime.serve.places import Places
from aif.runtime.serve.settings import ServeSettings


@dataclass(frozen=True)
class Service:
    """One editor, its limits, the places for requests, and what is counted."""

    editor: Editor
    settings: ServeSettings
    places: Places
    metrics: Metrics

    @contextlib.contextmanager
    def request(self, endpoint: str) -> Iterator[None]:
        """One request's work, in a place, within the time limit, counted under the name `endpoint`.

        Raises:
            ServiceError: there is no place, it was not done in time, or an error of the library.
        """
        begin, outcome, seconds = time.perf_counter(), "internal", self.settings.timeout
        try:
            with self.places.take(), anyio.fail_after(seconds):
                yield
            outcome = "ok"
        except ClientDisconnect:
            outcome = "client_gone"
            raise
        except (TimeoutError, AifError, ServiceError) as error:
            refused = error if isinstance(error, ServiceError) else refusal(error, seconds)
            outcome = refused.code
            raise refused from error
        finally:
            self.metrics.request(endpoint, outcome, begin)
