"""What the service counts, as Prometheus reads it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from aif.runtime.serve.places import Places

# Seconds; an edit takes some hundredths on a processor, a large photo a second or more.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """One service's figures, in a registry of their own."""

    def __init__(self, places: Places) -> None:
        """Gauges are read from `places` when asked for."""
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "aif_requests",
            "Requests with a photo, by what came of them.",
            ("endpoint", "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "aif_request_seconds",
            "Time from a request's headers to its answer.",
            ("endpoint",),
            buckets=BUCKETS,
            registry=registry,
        )
        self._stages = Histogram(
            "aif_stage_seconds",
            "Time of each stage of a request.",
            ("stage",),
            buckets=BUCKETS,
            registry=registry,
        )
        self.faces = Counter("aif_faces_edited", "Faces edited.", registry=registry)
        for name, text, read in (
            ("aif_queue_length", "Requests that wait for a thread.", lambda: places.waiting),
            ("aif_edits_running", "Edits in work.", lambda: places.running),
            ("aif_places_taken", "Requests that arrive, wait or are in work.", lambda: places.taken),
            ("aif_places", "Requests that there is room for.", lambda: places.total),
        ):
            Gauge(name, text, registry=registry).set_function(read)

    def request(self, endpoint: str, outcome: str, begin: float) -> None:
        """One request is over.

        Args:
            outcome: "ok", "client_gone" or a code of `CODES`.
            begin: when it came, as `time.perf_counter`.
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
