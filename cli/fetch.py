"""`aif fetch`: download an optional file, verified by its hash. Nothing else in aif uses the network."""

from __future__ import annotations

from typing import Annotated

import typer

from aif.runtime.errors import ConfigError, nearest_names


def fetch(what: Annotated[str, typer.Argument(metavar="WHAT", help="What to fetch: yunet.")]) -> None:
    """Download an optional model, checked against its pinned SHA-256, into the cache folder.

    yunet: OpenCV's face detector YuNet (230 kB, MIT licence), used from then on instead of the bundle's own.

    AIF_CACHE names another cache folder. Prints the path of the file.
    """
    from aif.runtime.fetch import fetch_yunet

    known = {"yunet": fetch_yunet}
    if what not in known:
        raise ConfigError(f"There is nothing called {what!r} to fetch.", nearest_names(what, known))
    typer.echo(known[what]())
