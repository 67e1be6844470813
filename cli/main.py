"""The commands `aif`, `aif-train`, `aif-export` and `aif-edit`: a table, each loaded when it is used."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from aif.cli.console import guard
from aif.cli.options import with_common_options
from aif.runtime.errors import without_passwords

# Command to "module:function". The function's signature makes its options, its docstring its help. Its module
# must import nothing heavy at its top (NumPy, OpenCV, ONNX Runtime, torch): `--help` loads it.
COMMANDS: dict[str, str] = {
    "edit": "aif.cli.edit.command:edit",
    "train": "aif.cli.train:train",
    "export": "aif.cli.export.command:export",
    "calibrate": "aif.cli.calibrate:calibrate",
    "export-serving": "aif.cli.export.serving:export_serving",
    "eval": "aif.cli.eval.command:evaluate",
    "fit": "aif.cli.fit:fit",
    "prepare": "aif.cli.prepare:prepare",
    "fetch": "aif.cli.fetch:fetch",
    "serve": "aif.cli.serve:serve",
    "bench": "aif.cli.bench.command:bench",
    "doctor": "aif.cli.doctor:doctor",
}

# Plain help: Rich's costs 0.2 s more.
_PLAIN: dict[str, Any] = {
    "rich_markup_mode": None,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


class _Command(TyperCommand):
    """A command whose complaints about words on the line hold no passwords."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The parameters; raises a UsageError."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if isinstance(said := getattr(error, "message", None), str):
                error.message = without_passwords(said)  # type: ignore[attr-defined]
            raise


def load_command(name: str, add_completion: bool = False) -> Any:
    """The Typer command of that name; errors meant for people are printed, not raised.

    add_completion: with --install-completion, for a command that stands for itself.
    """
    module, function = COMMANDS[name].split(":")
    app = typer.Typer(add_completion=add_completion, pretty_exceptions_enable=False, **_PLAIN)
    app.command(name, cls=_Command)(
        with_common_options(guard(getattr(importlib.import_module(module), function)))
    )
    return typer.main.get_command(app)


class LazyGroup(TyperGroup):
    """A group whose commands stand in `COMMANDS`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Names alone: a mistyped one is corrected from them.
        self.commands = cast(Any, dict.fromkeys(COMMANDS))

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, or None."""
        return load_command(cmd_name) if cmd_name in COMMANDS else None


def build_app() -> typer.Typer:
    """The umbrella command `aif`."""
    app = typer.Typer(cls=LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False, **_PLAIN)

    @app.callback()
    @with_common_options
    def aif() -> None:
        """Edit one attribute of a face and nothing else. `aif COMMAND --help` explains each command."""

    return app


def _run(command: Any, name: str, words: list[str]) -> None:
    # OpenCV's own lines, and those of the FFmpeg in it, come before our error that says what to do: a missing
    # camera's, a refused connection's. With --verbose they are shown, warnings of decoders excepted.
    loud = not {"--verbose", "-v", "--debug"}.isdisjoint(words)
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR" if loud else "FATAL")
    if not loud:
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
    try:
        command(args=words, prog_name=name)
    except KeyboardInterrupt:
        sys.exit(130)


def main() -> None:
    """Entry point of `aif`."""
    words = sys.argv[1:]
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    if words and words[0] in COMMANDS:
        # Straight to the command: Typer's group would load pydantic (0.3 s) before `aif edit --help` answers.
        _run(load_command(words[0]), f"aif {words[0]}", words[1:])
    else:
        _run(typer.main.get_command(build_app()), "aif", words)


def _alone(name: str) -> Callable[[], None]:
    """The entry point of a command that stands for itself, as `aif-train`."""
    return lambda: _run(load_command(name, add_completion=True), f"aif-{name}", sys.argv[1:])


train_main, export_main, edit_main = _alone("train"), _alone("export"), _alone("edit")


if __name__ == "__main__":
    main()
