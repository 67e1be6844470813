"""By which names the service may be called; others are refused, a web page's that points here above all."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from starlette.responses import JSONResponse

from aif.runtime.errors import ConfigError
from aif.runtime.serve.errors import ServiceError

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[Any]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def known_hosts(address: str, more: Sequence[str]) -> tuple[str, ...] | None:
    """The names to answer to; None = any.

    A page on the web can make its own name point to this machine and then read what its visitor's service
    says; the browser still sends the page's name. So a service for this machine only answers to this
    machine's names, and one for others to any, until names are given.

    Args:
        address: where the service listens, an IP address.
        more: names of `--allow-host`, without port.

    Raises:
        ConfigError: no name of a host.
    """
    for name in more:
        if not re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]", name):
            raise ConfigError(
                f"--allow-host takes a name without scheme and port, not {name!r}.",
                "For example: --allow-host photos.example.org",
            )
    listens = ipaddress.ip_address(address.partition("%")[0])
    if not listens.is_loopback and not more:
        return None
    own = f"[{listens}]" if listens.version == 6 else str(listens)
    return (*LOOPBACK, own, *(name.lower() for name in more))


class KnownHosts:
    """Refuses requests whose `Host` is none of `hosts`."""

    def __init__(
        self, app: Callable[[_Scope, _Receive, _Send], Awaitable[None]], hosts: Sequence[str]
    ) -> None:
        self._app, self._hosts = app, frozenset(hosts)

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
            if re.sub(r":\d*$", "", given).lower() not in self._hosts:
                error = ServiceError(
                    "wrong_host",
                    f"The service does not answer to the name {given[:100]!r}.",
                    "Call it at localhost, or start it with --allow-host and the name.",
                    {"Connection": "close", "Cache-Control": "no-store"},
                )
                await JSONResponse(error.body(), error.status, error.headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)
