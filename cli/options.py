"""Options that every command has: --version, --verbose, --debug."""

from __future__ import annotations

from typing import Annotated

import typer

from aif.cli import console


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"aif {version('aif')}")
        raise typer.Exit


def _be_verbose(wanted: bool) -> None:
    if wanted:
        console.state.verbose = True


def _debug(wanted: bool) -> None:
    if wanted:
        console.state.debug = True


# For a command's signature: `verbose: Verbose = False, debug: Debug = False, version: Version = False`.
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Say more about what is done.", callback=_be_verbose, is_eager=True),
]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Show Python's traceback of every error.", callback=_debug, is_eager=True),
]
BuildEngines = Annotated[
    bool,
    typer.Option(
        "--build-engines",
        help="Build TensorRT engines first where none fit, checked on faces in the pictures; takes minutes.",
    ),
]
Version = Annotated[
    bool,
    typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
]
