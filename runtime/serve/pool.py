"""A fixed number of threads that edit, and a queue of bounded length in front of them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from aif.runtime.serve.errors import ServiceError

Result = TypeVar("Result")
Checkpoint = Callable[[], None]
"""Raises `AbandonedError` once nobody waits for the result any more."""


class AbandonedError(Exception):
    """Nobody waits for this edit any more: its time is over or its client gone."""


class EditPool:
    """`workers` threads and `queue` waiting places. All methods may be called from any thread."""

    def __init__(self, workers: int, queue: int) -> None:
        """Threads start with the first edits."""
        self.workers, self.places = workers, workers + queue
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="aif-serve")
        self._lock = threading.Lock()
        self._taken = self._waiting = self._running = 0
        self._stopping = False
        self._seconds = 0.1  # what an edit took of late

    @property
    def taken(self) -> int:
        """Requests that hold a place: their body is arriving, they wait, or they are in work."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Requests that wait for a thread."""
        return self._waiting

    @property
    def running(self) -> int:
        """Edits in work."""
        return self._running

    @property
    def stopping(self) -> bool:
        """Whether new requests are refused."""
        return self._stopping

    def take(self) -> Place:
        """A place for one request, held until it is left.

        Raises:
            ServiceError: all are taken, or the service is shutting down; says when to try again.
        """
        with self._lock:
            if self._stopping:
                raise ServiceError(
                    "stopping", "The service is shutting down.", "Try again soon.", {"Retry-After": "5"}
                )
            if self._taken >= self.places:
                wait = max(1, math.ceil(self._seconds * self._taken / self.workers))
                raise ServiceError(
                    "queue_full",
                    f"All {self.places} places are taken.",
                    f"Try again in {wait} s.",
                    {"Retry-After": str(wait)},
                )
            self._taken += 1
        return Place(self)

    def stop(self) -> None:
        """Refuse new requests from now on; those that hold a place are finished."""
        self._stopping = True

    def close(self) -> None:
        """Stop, drop what still waits, and wait for what is in work."""
        self.stop()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _count(self, taken: int = 0, waiting: int = 0, running: int = 0) -> None:
        with self._lock:
            self._taken += taken
            self._waiting += waiting
            self._running += running

    def _took(self, seconds: float) -> None:
        with self._lock:
            self._seconds += 0.2 * (seconds - self._seconds)


class Place:
    """One request's place in the pool, for at most one edit."""

    def __init__(self, pool: EditPool) -> None:
        self._pool = pool
        self._future: Future[object] | None = None
        self._abandoned = threading.Event()
        self.waited = 0.0
        """Seconds that the edit waited for its thread."""

    def submit(self, job: Callable[[Checkpoint], Result]) -> Future[Result]:
        """Have a thread do `job`, in its turn; the job calls the checkpoint between its stages."""
        asked = time.perf_counter()

        def work() -> Result:
            self._pool._count(waiting=-1, running=1)
            start = time.perf_counter()
            self.waited = start - asked
            try:
                self._check()
                return job(self._check)
            finally:
                self._pool._count(running=-1)
                self._pool._took(time.perf_counter() - start)

        self._pool._count(waiting=1)
        future = self._pool._threads.submit(work)
        self._future = future  # type: ignore[assignment]
        return future

    def leave(self) -> None:
        """Wait no longer: what has not begun is dropped, what is in work ends at its next stage.

        The place becomes free once the thread is done with it, so that places and work never disagree.
        """
        self._abandoned.set()
        if self._future is None:
            self._pool._count(taken=-1)
            return
        if not self._future.done() and self._future.cancel():
            self._pool._count(waiting=-1)
        self._future.add_done_callback(lambda _: self._pool._count(taken=-1))

    def _check(self) -> None:
        if self._abandoned.is_set():
            raise AbandonedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()
