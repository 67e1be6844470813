"""Places for requests, a bounded number of them, and the threads that edit."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from anyio import from_thread, to_thread
from starlette.requests import ClientDisconnect

from aif.runtime.serve.errors import ServiceError

Result = TypeVar("Result")
Checkpoint = Callable[[], None]
"""Ends a job, by an exception, once its request has been given up."""


class Places:
    """`workers` threads, and `queue` places beside. For the event loop's thread only.

    Attributes:
        total: places that there are.
        taken: requests that hold one: their body is arriving, they wait, or are in work.
        waiting, running: edits that wait for a thread, and those in work.
        stopping: new requests are refused; those that hold a place are finished.
    """

    def __init__(self, workers: int, queue: int) -> None:
        self.total, self.stopping = workers + queue, False
        self.taken = self.waiting = self.running = 0
        self._threads = asyncio.Semaphore(workers)

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

    async def run(
        self, job: Callable[[Checkpoint], Result], is_gone: Callable[[], Awaitable[bool]] | None = None
    ) -> tuple[Result, float]:
        """Have a thread do `job` in its turn, which calls the checkpoint between its stages.

        Args:
            job: the edit. When this call is cancelled it ends at its next checkpoint, and the call with it.
            is_gone: whether the client has hung up; asked when the turn has come. None = it cannot.

        Returns:
            What the job returned, and the seconds that it waited for its turn.

        Raises:
            ClientDisconnect: nobody waits for the result any more.
            Exception: whatever the job raises.
        """
        asked = time.perf_counter()
        with _counted(self, "waiting"):
            await self._threads.acquire()
        try:
            if is_gone is not None and await is_gone():
                raise ClientDisconnect
            waited = time.perf_counter() - asked
            with _counted(self, "running"):
                return await to_thread.run_sync(job, from_thread.check_cancelled), waited
        finally:
            self._threads.release()


@contextlib.contextmanager
def _counted(places: Places, name: str) -> Iterator[None]:
    setattr(places, name, getattr(places, name) + 1)
    try:
        yield
    finally:
        setattr(places, name, getattr(places, name) - 1)
