"""Options of several commands: --version, --verbose, --debug of all; the bundle and what runs it of some."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
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

BundlePath = Annotated[
    Path | None, typer.Option(metavar="PATH", help="Model bundle. Default: the one that came with aif.")
]
Detector = Annotated[
    str,
    typer.Option(
        metavar="auto|aif|yunet|haar",
        help="Face detector. auto: YuNet where it has been fetched, else aif, the bundle's own, else Haar.",
    ),
]
Yunet = Annotated[
    Path | None, typer.Option(metavar="FILE", help="YuNet's ONNX file, where it was not fetched.")
]
Provider = Annotated[
    str,
    typer.Option(
        metavar="auto|cpu|cuda|tensorrt|openvino|ort-tensorrt",
        help="Where the networks run; auto: your own TensorRT engines, else CUDA, else the processor.",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        metavar="fp32|fp16|int8", help="Which of the bundle's graphs. Default: what pays here, else FP32."
    ),
]
Table = Annotated[Path | None, typer.Option(help="The CSV of labels, where it is not beside the images.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there already.")]


def split_names(text: str) -> tuple[str, ...]:
    """The names in a list with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def check_new(place: Path | None, overwrite: bool, option: str = "--out", a_file: bool = False) -> None:
    """Find what would be replaced unasked, before anything takes time; None is no place at all.

    option: what names it on the command line; a_file: it is to be a file, no folder.

    Raises:
        ConfigError: a file is there, or a folder that holds something.
        AifError: it cannot be written.
    """
    if place is None:
        return
    from aif.runtime.errors import AifError, ConfigError
    from aif.runtime.files import check_reachable

    check_reachable(place)
    if a_file and place.is_dir():
        raise AifError(f"Cannot write {place}: it is a folder.", f"Name a file with {option}.")
    if overwrite or not (any(place.iterdir()) if place.is_dir() else place.exists()):
        return
    raise ConfigError(
        f"{place} exists already.", f"Add --overwrite to replace it, or choose another place with {option}."
    )


def check_there(place: Path | None, what: str, fix: str) -> None:
    """Find out whether a run, a bundle or a network is there at all, before PyTorch is loaded, which takes
    seconds; None is no place at all.

    Raises:
        CheckpointError: it is not.
    """
    if place is not None and not place.exists():
        from aif.runtime.errors import CheckpointError

        raise CheckpointError(f"There is no {what} {place}.", fix)


def check_suffix(place: Path, known: Sequence[str], option: str = "--out") -> None:
    """Find a name with another ending than such files have, in capitals or not.

    Raises:
        ConfigError: it has.
    """
    if place.suffix.lower() not in known:
        from aif.runtime.errors import ConfigError

        raise ConfigError(f"{option} {place}: unknown kind of file.", f"Known: {', '.join(known)}")


def first_given(context: typer.Context, names: Collection[str]) -> str | None:
    """The first option of a command that the user wrote, as it was written (`--json`); None if none was."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is not None and source.name == "COMMANDLINE":
            denied = context.params[parameter.name] is False and parameter.secondary_opts
            words = parameter.secondary_opts if denied else parameter.opts
            return max(words, key=len)
    return None
