"""What the service counts, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from aif.runtime.serve.errors import CODES
from aif.runtime.serve.pool import EditPool

# Seconds; an edit takes some hundredths on a processor, a large photo a second or more.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

OUTCOMES = ("ok", "client_gone", *CODES)


class Metrics:
    """One service's figures, in a registry of their own."""

    def __init__(self, pool: EditPool) -> None:
        """Gauges are read from `pool` when asked for."""
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "aif_requests",
            "Requests with a photo, by what came of them.",
            ("endpoint", "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "aif_stage_seconds",
            "Time of each stage of a request.",
            ("stage",),
            buckets=BUCKETS,
            registry=registry,
        )
        self._whole = Histogram(
            "aif_request_seconds",
            "Time from a request's headers to its answer.",
            ("endpoint",),
            buckets=BUCKETS,
            registry=registry,
        )
        self._faces = Counter("aif_faces_edited", "Faces edited.", registry=registry)
        for name, text, read in (
            ("aif_queue_length", "Requests that wait for a thread.", lambda: pool.waiting),
            ("aif_edits_running", "Edits in work.", lambda: pool.running),
            ("aif_places_taken", "Requests that arrive, wait or are in work.", lambda: pool.taken),
        ):
            Gauge(name, text, registry=registry).set_function(read)
        Gauge("aif_places", "Requests that there is room for.", registry=registry).set(pool.places)

    def request(self, endpoint: str, outcome: str, seconds: float) -> None:
        """One request is over: "ok", "client_gone" or a code of `CODES`."""
        self._requests.labels(endpoint, outcome).inc()
        self._whole.labels(endpoint).observe(seconds)

    def stages(self, seconds: Mapping[str, float]) -> None:
        """Times of a request by stage."""
        for stage, value in seconds.items():
            self._seconds.labels(stage).observe(value)

    def faces(self, count: int) -> None:
        """So many faces were edited."""
        self._faces.inc(count)

    def page(self, accept: str) -> tuple[bytes, str]:
        """The page and its content type, in the format that the `Accept` header asks for."""
        encode, kind = choose_encoder(accept)
        return encode(self._registry), kind
