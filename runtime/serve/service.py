"""What all requests of a service share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from aif.runtime.editing.editor import Editor
from aif.runtime.errors import AifError
from aif.runtime.serve.errors import ServiceError, refusal
from aif.runtime.serve.metrics import Metrics
from aif.runtime.serve.places import Checkpoint, Places
from aif.runtime.serve.settings import ServeSettings

Result = TypeVar("Result")


@dataclass(frozen=True)
class Service:
    """One editor, its limits, the places for requests, and what is counted."""

    editor: Editor
    settings: ServeSettings
    places: Places
    metrics: Metrics

    async def run(self, endpoint: str, job: Callable[[Checkpoint], Result]) -> Result:
        """Have a thread do a job that came without a photo's request: the page's.

        Args:
            endpoint: of the figures.
            job: see `Place.run`.

        Raises:
            ServiceError: there is no place, it was not done in time, or an error of the library.
        """
        begin, outcome = time.perf_counter(), "internal"
        try:
            with self.places.take(self.settings.timeout) as place:
                result = await place.run(job)
            outcome = "ok"
            return result
        except (AifError, ServiceError) as error:
            refused = refusal(error) if isinstance(error, AifError) else error
            outcome = refused.code
            raise refused from error
        finally:
            self.metrics.request(endpoint, outcome, begin)
