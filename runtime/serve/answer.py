"""An answer on its way: its request keeps its place until it is sent, and not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from aif.runtime.serve.pool import Place
from aif.runtime.serve.settings import ANSWER_SECONDS

# An answer is handed to the connection in such pieces, each when the one before is nearly gone: of what waits
# for a client that does not read, all but the last piece has a place.
_PIECE = 64 << 10
_KEY = "aif.held"

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[Any]]
_Send = Callable[[_Message], Awaitable[None]]


@dataclass
class Held:
    """The place that a request holds, None where it holds none."""

    place: Place | None = None

    def leave(self) -> None:
        """Give it back; may be called again."""
        place, self.place = self.place, None
        if place is not None:
            place.leave()


def held_by(scope: MutableMapping[str, Any]) -> Held:
    """What the request holds until its answer is sent."""
    held: Held = scope[_KEY]
    return held


class WholeAnswers:
    """Gives places back once answers are sent; cuts connections that take them too slowly."""

    def __init__(self, app: Callable[[_Message, _Receive, _Send], Awaitable[None]], timeout: float) -> None:
        self._app, self._timeout = app, timeout

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        deadline = asyncio.get_running_loop().time() + self._timeout + ANSWER_SECONDS
        held = scope[_KEY] = Held()

        async def slowly(message: _Message) -> None:
            if held.place is None or message["type"] != "http.response.body":
                await send(message)
                return
            body, more = message.get("body", b""), message.get("more_body", False)
            try:
                async with asyncio.timeout_at(deadline):
                    for start in range(0, max(1, len(body)), _PIECE):
                        last = start + _PIECE >= len(body)
                        piece = {"body": body[start : start + _PIECE], "more_body": more or not last}
                        await send({"type": message["type"], **piece})
            except TimeoutError:
                await _cut(receive)

        try:
            await self._app(scope, receive, slowly)
        finally:
            held.leave()


async def _cut(receive: _Receive) -> None:
    """End the connection without waiting for what the client has not taken."""
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionAbortedError("The client did not take its answer in time.")
    transport.abort()
    await receive()  # comes back once the server has noticed
