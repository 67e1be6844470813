"""How every command speaks: messages on standard error, errors without tracebacks, exit codes."""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from aif.runtime.errors import AifError
from aif.runtime.signals import Terminated

if TYPE_CHECKING:
    from rich.console import Console

Result = TypeVar("Result")

INTERRUPTED, TERMINATED = 130, 143
REPORT = "This is a fault of aif itself: please report it, with the lines above and the command."

# What each optional set of packages brings, by the name under which Python imports it.
_EXTRAS = {
    "torch": "train",
    "torchvision": "train",
    "lightning": "train",
    "onnx": "train",
    "onnxscript": "train",
    "tensorboard": "train",
    "safetensors": "train",
    "tensorrt": "trt",
    "polygraphy": "trt",
    "skimage": "demo",
    "pooch": "fetch",
    "fastapi": "serve",
    "uvicorn": "serve",
    "python_multipart": "serve",
    "prometheus_client": "serve",
    "gradio": "ui",
    "fsspec": "ray",
    "google": "triton",
    "ray": "ray",
    "tritonclient": "triton",
}


@dataclass
class _State:
    """What the user asked for with --verbose and --debug."""

    verbose: bool = False
    debug: bool = False


state = _State()


def error_console() -> Console:
    """Standard error: colours on a terminal, plain text elsewhere."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def output_console() -> Console:
    """Standard output: colours on a terminal, plain text elsewhere."""
    from rich.console import Console

    return Console(highlight=False)


def say(text: str) -> None:
    """A line on standard error, whether a person is there or a log."""
    error_console().print(text, markup=False)


def notice(text: str) -> None:
    """A line on standard error, when a person is there to read it (or with --verbose)."""
    if error_console().is_terminal or state.verbose:
        say(text)


def show_error(error: AifError, label: str = "Error") -> None:
    """Print an error and how to fix it on standard error, and its traceback with --debug."""
    from rich.text import Text

    console = error_console()
    if state.debug:
        lines = traceback.format_exception(error)
        console.print("".join(lines), markup=False, end="")
    console.print(Text.assemble((f"{label}: ", "bold red"), error.message))
    if error.fix:
        console.print(Text(error.fix, "yellow"))


class _Terminal(logging.Handler):
    """Log lines on standard error as it is at that moment, so that they go around a live progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"{record.levelname.capitalize()}: {record.getMessage()}", file=sys.stderr)


@contextlib.contextmanager
def _logging() -> Iterator[None]:
    logger = logging.getLogger("aif")
    handler = _Terminal()
    level = logging.DEBUG if state.debug else logging.INFO if state.verbose else logging.WARNING
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        with warnings.catch_warnings():
            if not state.debug:
                warnings.filterwarnings("ignore", module=r"PIL\.")  # remarks on damaged metadata
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        state.verbose = state.debug = False


def guard(function: Callable[..., Result]) -> Callable[..., Result]:
    """Wrap a command: errors that a user can fix are printed without a traceback, with their exit code.

    A package of an extra that is not installed is such an error. Ctrl-C exits with 130, SIGTERM with
    143 where the work was finished first; any other exception is a fault of ours, keeps its traceback and
    exits with 1.
    """

    @functools.wraps(function)
    def guarded(*arguments: Any, **options: Any) -> Result:
        with _logging():
            try:
                return function(*arguments, **options)
            except AifError as error:
                show_error(error)
                raise typer.Exit(error.exit_code) from error
            except Terminated as error:
                error_console().print("Terminated.")
                raise typer.Exit(TERMINATED) from error
            except KeyboardInterrupt as error:
                error_console().print("Interrupted.")
                raise typer.Exit(INTERRUPTED) from error
            except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
                raise
            except Exception as error:
                missing = _missing_extra(error) if isinstance(error, ModuleNotFoundError) else None
                if missing is not None:
                    show_error(missing)
                    raise typer.Exit(missing.exit_code) from error
                traceback.print_exc(file=sys.stderr)
                error_console().print(REPORT)
                raise typer.Exit(1) from error

    return guarded


@contextlib.contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar where standard error is a terminal: call it with (done, in all); shown for two items or more."""
    console = error_console()
    if not console.is_terminal:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=None, visible=False)
        yield lambda done, total: progress.update(task, completed=done, total=total, visible=total > 1)


def _missing_extra(error: ModuleNotFoundError) -> AifError | None:
    """The error for a package of an extra that is not installed; None when it is another module."""
    package = (error.name or "").partition(".")[0]
    if package not in _EXTRAS:
        return None
    fix = f'Install it with: pip install "aif[{_EXTRAS[package]}]"'
    return AifError(f"This needs the package {package}, which is not installed.", fix)
