"""Where the service listens, and by which names it may be called."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence

from aif.runtime.errors import AifError, ConfigError

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def bind(host: str, port: int) -> socket.socket:
    """A socket that is bound and does not listen yet; port 0 takes any free one.

    Raises:
        AifError: the address is taken, not this machine's, or not to be used.
    """
    bound: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, OverflowError) as error:
        if bound is not None:
            bound.close()
        reason = getattr(error, "strerror", None) or error
        raise AifError(
            f"Cannot listen at {host}:{port}: {reason}.",
            "Choose another --host or --port; --port 0 takes a free one.",
        ) from error
    return bound


def address_of(bound: socket.socket) -> str:
    """`http://127.0.0.1:8000`."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


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
    return (*LOOPBACK, own, *more)
