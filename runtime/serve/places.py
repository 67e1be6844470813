"""Places for requests, a bounded number of them, and the threads that edit."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from aif.runtime.serve.errors import ServiceError

Result = TypeVar("Result")
Checkpoint = Callable[[], None]
"""Raises `AbandonedError` once nobody waits for the result any more."""


class AbandonedError(Exception):
    """Nobody waits for this edit any more: its time is over or its client gone."""


class Places:
    """`workers` threads, and `queue` places beside. For the event loop's thread only.

    Attributes:
        total: places that there are.
        taken: requests that hold one: their body is arriving, they wait, are in work, or are being answered.
        stopping: new requests are refused; those that hold a place are finished.
    """

    def __init__(self, workers: int, queue: int) -> None:
        """Threads start with the first edits."""
        self.total, self.taken, self.stopping = workers + queue, 0, False
        self._workers, self._jobs = workers, 0
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="aif-serve")
        self._seconds = 0.1  # what an edit took of late

    @property
    def running(self) -> int:
        """Edits in work."""
        return min(self._jobs, self._workers)

    @property
    def waiting(self) -> int:
        """Edits that wait for a thread."""
        return self._jobs - self.running

    @contextlib.contextmanager
    def take(self, timeout: float) -> Iterator[Place]:
        """A place for one request, at the end of the block free again: once its thread is done, too.

        Args:
            timeout: seconds that the request may take.

        Raises:
            ServiceError: queue_full, stopping; says when to try again.
        """
        if self.stopping:
            raise ServiceError(
                "stopping", "The service is shutting down.", "Try again soon.", {"Retry-After": "5"}
            )
        if self.taken >= self.total:
            wait = str(max(1, math.ceil(self._seconds * self.taken / self._workers)))
            message, fix = f"All {self.total} places are taken.", f"Try again in {wait} s."
            raise ServiceError("queue_full", message, fix, {"Retry-After": wait})
        self.taken += 1
        place = Place(self, timeout)
        try:
            yield place
        finally:
            if place.work is None or place.work.done():
                self._free()
            else:
                place.work.add_done_callback(self._free)

    def submit(self, job: Callable[[], Result]) -> tuple[asyncio.Future[Result], Callable[[], object]]:
        """Have a thread do `job` in its turn: the result to come, and what takes it back while it waits."""

        def timed() -> Result:
            begin = time.perf_counter()
            try:
                return job()
            finally:
                self._seconds += 0.2 * (time.perf_counter() - begin - self._seconds)

        work = self._threads.submit(timed)
        future = asyncio.wrap_future(work)
        self._jobs += 1
        future.add_done_callback(self._job_done)
        return future, work.cancel

    def close(self) -> None:
        """Stop, drop what still waits, and wait for what is in work."""
        self.stopping = True
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _job_done(self, work: asyncio.Future[Any]) -> None:
        self._jobs -= 1
        if not work.cancelled():
            work.exception()  # of work that was given up, which nobody else asks for

    def _free(self, _: object = None) -> None:
        self.taken -= 1


class Place:
    """One request's place, for at most one edit.

    Attributes:
        work: the edit's result to come; None before.
        waited: seconds that the edit waited for its thread.
    """

    def __init__(self, places: Places, timeout: float) -> None:
        self.work: asyncio.Future[Any] | None = None
        self.waited = 0.0
        self._places, self._timeout = places, timeout
        self._deadline = asyncio.get_running_loop().time() + timeout

    async def run(self, job: Callable[[Checkpoint], Result], receive: Receive | None = None) -> Result:
        """Have a thread do `job`, which calls the checkpoint between its stages.

        Work that is given up is dropped where it still waits, and ends at its next checkpoint otherwise.

        Args:
            job: the edit.
            receive: of ASGI, to notice when the client hangs up; None = it cannot.

        Raises:
            ServiceError: timeout: not done in time, and given up.
            ClientDisconnect: the client has hung up; given up, too.
            Exception: whatever the job raises.
        """
        asked, abandoned = time.perf_counter(), threading.Event()

        def check() -> None:
            if abandoned.is_set():
                raise AbandonedError

        def work() -> Result:
            self.waited = time.perf_counter() - asked
            check()
            return job(check)

        future, take_back = self._places.submit(work)
        self.work = future
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            left = self._deadline - asyncio.get_running_loop().time()
            either: set[asyncio.Future[Any]] = {future, gone}
            await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if future.done():
                return future.result()
            if gone.done():
                raise ClientDisconnect
            message = f"The edit was not done within {self._timeout:g} s."
            raise ServiceError("timeout", message, "Try again later, or send a smaller picture.")
        finally:
            gone.cancel()
            if not future.done():
                abandoned.set()
                take_back()


async def _until_gone(receive: Receive | None) -> None:
    if receive is None:
        await asyncio.Event().wait()  # for ever
        return
    while (await receive())["type"] != "http.disconnect":
        pass
