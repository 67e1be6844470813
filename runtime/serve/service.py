"""What all requests of a service share: its editor, places and threads, and what is counted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import anyio
from anyio import from_thread, to_thread
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from starlette.requests import ClientDisconnect

from aif.runtime.editing.editor import Editor
from aif.runtime.errors import AifError
from aif.runtime.serve.errors import ServiceError, refusal
from aif.runtime.serve.settings import ServeSettings

Result = TypeVar("Result")
Checkpoint = Callable[[], None]
"""Ends a job, by an exception, once its request has been given up."""

# Seconds; an edit takes some hundredths on a processor, a large photo a second or more.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Places:
    """`workers` threads, and `queue` places beside. For the event loop's thread only.

    Attributes:
        total: places that there are.
        taken: requests that hold one: their body is arriving, they wait, or are in work.
        stopping: new requests are refused; those that hold a place are finished.
    """

    def __init__(self, workers: int, queue: int) -> None:
        self.total, self.taken, self.stopping = workers + queue, 0, False
        self._threads = anyio.CapacityLimiter(workers)

    @property
    def waiting(self) -> int:
        """Edits that wait for a thread."""
        return self._threads.statistics().tasks_waiting

    @property
    def running(self) -> int:
        """Edits in work."""
        return self._threads.borrowed_tokens

    @contextlib.contextmanager
    def take(self) -> Iterator[None]:
        """A place for one request, free again at the end of the block.

        Raises:
            ServiceError: queue_full, stopping.
        """
        if self.stopping:
            raise ServiceError(
                "stopping", "The service is shutting down.", "Try again soon.", {"Retry-After": "5"}
            )
        if self.taken >= self.total:
            message = f"All {self.total} places are taken."
            raise ServiceError("queue_full", message, "Try again in a second.", {"Retry-After": "1"})
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def run(self, job: Callable[[Checkpoint], Result]) -> tuple[Result, float]:
        """Have a thread do `job` in its turn, which calls the checkpoint between its stages.

        What it returned, and the seconds that it waited. When this call is cancelled the job ends at its next
        checkpoint, and the call with it.
        """
        asked = time.perf_counter()

        def in_turn() -> tuple[Result, float]:
            waited = time.perf_counter() - asked
            return job(from_thread.check_cancelled), waited

        return await to_thread.run_sync(in_turn, limiter=self._threads)


class Metrics:
    """One service's figures, in a registry of their own."""

    def __init__(self, places: Places) -> None:
        """Gauges are read from `places` when asked for."""
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        text = "Requests with a photo, by what came of them."
        self._requests = Counter("aif_requests", text, ("endpoint", "outcome"), registry=registry)
        text = "Time from a request's headers to its answer."
        self._seconds = Histogram(
            "aif_request_seconds", text, ("endpoint",), buckets=BUCKETS, registry=registry
        )
        text = "Time of each stage of a request."
        self._stages = Histogram("aif_stage_seconds", text, ("stage",), buckets=BUCKETS, registry=registry)
        self.faces = Counter("aif_faces_edited", "Faces edited.", registry=registry)
        for name, text, read in (
            ("aif_queue_length", "Requests that wait for a thread.", lambda: places.waiting),
            ("aif_edits_running", "Edits in work.", lambda: places.running),
            ("aif_places_taken", "Requests that arrive, wait or are in work.", lambda: places.taken),
            ("aif_places", "Requests that there is room for.", lambda: places.total),
        ):
            Gauge(name, text, registry=registry).set_function(read)

    def request(self, endpoint: str, outcome: str, begin: float) -> None:
        """One request is over, which came at `begin` of `time.perf_counter`.

        `outcome`: "ok", "client_gone" or a code of `CODES`.
        """
        self._requests.labels(endpoint, outcome).inc()
        self._seconds.labels(endpoint).observe(time.perf_counter() - begin)

    def stages(self, seconds: Mapping[str, float]) -> None:
        """Times of a request by stage."""
        for stage, value in seconds.items():
            self._stages.labels(stage).observe(value)

    def page(self, accept: str) -> tuple[bytes, str]:
        """The page and its content type, in the format that the `Accept` header asks for."""
        encode, kind = choose_encoder(accept)
        return encode(self._registry), kind


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
