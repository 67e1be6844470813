"""Options of several commands: --version, --verbose, --debug of all; the bundle and what runs it of some."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from aif.cli import console
from aif.runtime.errors import AifError, CheckpointError, ConfigError

Result = TypeVar("Result")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"aif {version('aif')}")
        raise typer.Exit


COMMON = {
    "verbose": Annotated[bool, typer.Option("--verbose", "-v", help="Say more about what is done.")],
    "debug": Annotated[bool, typer.Option("--debug", help="Show Python's traceback of every error.")],
    "version": Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ],
}
"""What every command takes."""


def with_common_options(command: Callable[..., Result]) -> Callable[..., Result]:
    """The command with the options in `COMMON`, which it never sees itself."""
    signature = inspect.signature(command, eval_str=True)
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in COMMON.items()
    ]

    @functools.wraps(command)
    def without_them(verbose: bool, debug: bool, version: bool, **options: Any) -> Result:
        console.state.verbose |= verbose
        console.state.debug |= debug
        return command(**options)

    parameters = [*signature.parameters.values(), *common]
    without_them.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return without_them


BuildEngines = Annotated[
    bool,
    typer.Option(
        "--build-engines",
        help="Build TensorRT engines first where none fit, checked on faces in the pictures; takes minutes.",
    ),
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
    Path | None,
    typer.Option(metavar="FILE", help="YuNet's ONNX file, if not fetched (or AIF_YUNET)."),
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
Workers = Annotated[int | None, typer.Option(help="Processes that decode images. None: one a core.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there already.")]


def split_names(text: str) -> tuple[str, ...]:
    """The names in a list with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def check_new(place: Path | None, overwrite: bool, option: str = "--out", a_file: bool = False) -> None:
    """Raise an AifError for what would be replaced unasked or cannot be written; None is no place at all.

    option: what names it on the command line; a_file: it is to be a file, no folder.
    """
    if place is None:
        return
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
    """Raise a CheckpointError where there is no such run or bundle, before PyTorch is loaded (seconds).

    None is no place at all.
    """
    if place is not None and not place.exists():
        raise CheckpointError(f"There is no {what} {place}.", fix)


def check_suffix(place: Path, known: Sequence[str]) -> None:
    """Raise a ConfigError for a name with another ending than such files have, in capitals or not."""
    if place.suffix.lower() not in known:
        raise ConfigError(f"--out {place}: unknown kind of file.", f"Known: {', '.join(known)}")


def first_given(context: typer.Context, names: Collection[str]) -> str | None:
    """The first option of a command that the user wrote, as it was written (`--json`); None if none was."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is not None and source.name == "COMMANDLINE":
            denied = context.params[parameter.name] is False and parameter.secondary_opts
            words = parameter.secondary_opts if denied else parameter.opts
            return max(words, key=len)
    return None
