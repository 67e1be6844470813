"""`aif doctor`: what works on this machine, what does not, and the command that mends it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aif.cli.options import Debug, Verbose, Version


def doctor(
    bundle: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Look at this bundle, not the embedded one.")
    ] = None,
    json_wanted: Annotated[
        bool, typer.Option("--json", help="Print JSON, as documented in docs/doctor.md.")
    ] = False,
    verbose: Verbose = False,
    debug: Debug = False,
    version: Version = False,
) -> None:
    """Look at versions, devices, providers, bundle, cameras, codecs and display, and try an edit.

    For each problem it names the command that mends it. It installs nothing, downloads nothing and changes
    nothing. Each check runs apart from the others, so that a broken part spoils its own line only.

    The exit code is 0 where editing works and 1 where it cannot.
    """
    import time
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    from aif.cli.doctor.report import as_json, editing_works, show
    from aif.runtime.doctor.run import run_all

    start = time.perf_counter()
    found = run_all("" if bundle is None else str(bundle.absolute()))
    seconds = time.perf_counter() - start
    if json_wanted:
        try:
            number: str | None = version_of("aif")
        except PackageNotFoundError:
            number = None
        typer.echo(as_json(found, number, seconds), nl=False)
    else:
        show(found, seconds)
    if not editing_works(found):
        raise typer.Exit(1)
