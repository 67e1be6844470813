"""How every command speaks: messages on standard error, errors without tracebacks, exit codes."""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from aif.runtime.errors import AifError, file_error, without_passwords
from aif.runtime.signals import Terminated

if TYPE_CHECKING:
    from rich.console import Console

Result = TypeVar("Result")

INTERRUPTED, TERMINATED = 130, 143

LINE_EVERY = 30.0
"""Seconds between lines that say how far something is, where there is no terminal for a bar."""

REPORT = "This is a fault of aif itself: please report it, with the lines above and the command."

# The modules that each optional set of packages brings.
EXTRAS = {
    "demo": ("skimage",),
    "fetch": ("pooch",),
    "serve": ("anyio", "fastapi", "h11", "prometheus_client", "python_multipart", "starlette", "uvicorn"),
    "ui": ("gradio",),
    "ray": ("fsspec", "ray"),
    "triton": ("google", "onnx", "tritonclient"),
    "train": (
        *("lightning", "matplotlib", "onnx", "onnxscript", "pandas", "safetensors"),
        *("tensorboard", "torch", "torchmetrics", "torchvision"),
    ),
    "trt": ("cuda", "polygraphy", "tensorrt"),
    "camera": ("pyvirtualcam",),
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
    error_console().print(without_passwords(text), markup=False)


def notice(text: str) -> None:
    """A line on standard error, when a person is there to read it (or with --verbose)."""
    if error_console().is_terminal or state.verbose:
        say(text)


def show_error(error: AifError, cause: Exception | None = None) -> None:
    """Print an error and how to fix it on standard error, and its traceback, or its cause's, with --debug."""
    from rich.text import Text

    console = error_console()
    if state.debug:
        show_traceback(cause or error)
    console.print(Text.assemble(("Error: ", "bold red"), error.message))
    if error.fix:
        console.print(Text(error.fix, "yellow"))


def show_traceback(error: BaseException) -> None:
    """Print Python's traceback on standard error, without the passwords of addresses in it."""
    sys.stderr.write(without_passwords("".join(traceback.format_exception(error))))


class _Terminal(logging.Handler):
    """Log lines on standard error as it is at that moment, so that they go around a live progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        text = without_passwords(record.getMessage())
        print(f"{record.levelname.capitalize()}: {text}", file=sys.stderr)


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

    A package of an extra that is not installed is such an error, and a place that cannot be used. Ctrl-C
    exits with 130, SIGTERM with 143 where the work was finished first; any other exception is a fault of
    ours, keeps its traceback and exits with 1.
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
                if (known := _of_the_user(error)) is not None:
                    show_error(known, cause=error)
                    raise typer.Exit(known.exit_code) from error
                show_traceback(error)
                error_console().print(REPORT)
                raise typer.Exit(1) from error

    return guarded


@contextlib.contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar where standard error is a terminal: call it with (done, in all); shown for two items or more.

    Elsewhere a line every half minute.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console, printed = error_console(), time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None, visible=False)

        def show(done: int, total: int) -> None:
            nonlocal printed
            bar.update(task, completed=done, total=total, visible=total > 1)
            if not console.is_terminal and time.monotonic() - printed >= LINE_EVERY:
                printed = time.monotonic()
                say(f"{what}: {done} of {total}")

        yield show


def _of_the_user(error: Exception) -> AifError | None:
    """What a user can do about an exception that is not ours; None where it is a fault of aif."""
    if isinstance(error, OSError):
        return file_error(error)
    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    lines = [f'pip install "aif[{extra}]"' for extra, modules in EXTRAS.items() if package in modules]
    if not lines:
        return None
    fix = f"Install it with: {' or '.join(lines)}"
    return AifError(f"This needs the package {package}, which is not installed.", fix)
