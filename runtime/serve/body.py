"""A request's body as it arrives, within limits of size and time."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from aif.runtime.serve.errors import ServiceError

# What the fields beside the photo, boundaries and headers may take.
OVERHEAD = 256 << 10

# After the first seconds a body has to arrive at this rate at least, so that slow clients cannot hold places
# for as long as the time limit: bytes/s.
FIRST_SECONDS, LEAST_RATE = 5.0, 8 << 10

# A refused body is read on and thrown away for so long, so that clients that send first and listen then get
# their answer and not a broken pipe.
DISCARD_SECONDS = 5.0


class Body:
    """Stands in for ASGI's `receive`; counts what comes.

    Args:
        scope, receive: of ASGI.
        max_bytes: of the photo.
        timeout: seconds from now for all of it.

    Attributes:
        ended: all of it has arrived.
        gone: the client has hung up.
    """

    def __init__(self, scope: Scope, receive: Receive, max_bytes: int, timeout: float) -> None:
        self.ended = self.gone = False
        self._headers, self._receive = Headers(scope=scope), receive
        self._max_bytes, self._limit, self._timeout = max_bytes, max_bytes + OVERHEAD, timeout
        self._received, self._begin = 0, asyncio.get_running_loop().time()

    async def receive(self) -> Message:
        """The next message; after the end of the body, that the client has hung up.

        Raises:
            ServiceError: too_large, slow_upload.
        """
        if self.ended:
            return await self._next()
        declared = self._headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:18]) > self._limit:
            raise too_large(self._max_bytes)
        allowed = min(self._timeout, FIRST_SECONDS + self._received / LEAST_RATE)
        try:
            async with asyncio.timeout_at(self._begin + allowed):
                message = await self._next()
        except TimeoutError:
            raise ServiceError(
                "slow_upload",
                f"The photo did not arrive within {self._timeout:g} s, or at less than {LEAST_RATE} bytes/s.",
                "Send a smaller file, or over a faster line.",
                {"Connection": "close"},  # what still comes would be taken for the next request
            ) from None
        if self._received > self._limit:
            raise too_large(self._max_bytes)
        return message

    async def discard(self) -> bool:
        """Read on and throw away, within bounds; whether the body has come to its end.

        A client that asked for permission to send (Expect: 100-continue) has not sent anything: nothing is
        read then, which would give the permission.
        """
        if not self._received and "expect" in self._headers:
            return self.ended
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_SECONDS):
                while not (self.ended or self.gone) and self._received <= 2 * self._limit:
                    await self._next()
        return self.ended

    async def _next(self) -> Message:
        message = await self._receive()
        self.gone = message["type"] == "http.disconnect"
        self._received += len(message.get("body", b""))
        self.ended |= message["type"] == "http.request" and not message.get("more_body", False)
        return message


def too_large(max_bytes: int) -> ServiceError:
    """A photo of more bytes than are allowed."""
    message = f"The photo is larger than {max_bytes} bytes."
    return ServiceError("too_large", message, "Shrink the picture, or save it with more compression.")
