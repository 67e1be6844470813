"""The runtime as a guest in another program: it prints nothing and logs under its own name."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import aif.runtime

FOLDER = Path(aif.runtime.__file__).parent
FILES = sorted(FOLDER.rglob("*.py"))
ROOT_LOGGER = {"debug", "info", "warning", "error", "exception", "critical", "log", "basicConfig"}
RUDE = {"print", "input", "sys.stdout.write", "sys.stderr.write"}.union(f"logging.{n}" for n in ROOT_LOGGER)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_printing_and_no_root_logger(path):
    """ruff looks for globals, import-linter for imports of torch and typer."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not RUDE & {ast.unparse(call.func) for call in calls}
    loggers = [call for call in calls if ast.unparse(call.func) == "logging.getLogger"]
    asked = {ast.unparse(argument) for call in loggers for argument in call.args or [ast.Constant("")]}
    assert asked <= {"__name__", "'ray.data'", "'Polygraphy'"}, (
        "the module's own, or one that is made quieter"
    )


def _run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_the_whole_runtime_brings_no_torch_and_no_typer():
    """Every module of it, not only what `Editor` needs. The page is left out: Gradio itself brings typer."""
    modules = [path.relative_to(FOLDER).with_suffix("").parts for path in FILES if path.stem != "__init__"]
    names = [".".join(("aif.runtime", *parts)) for parts in modules if parts[:2] != ("serve", "page")]
    done = _run(
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "banned = {'torch', 'torchvision', 'lightning', 'onnx', 'typer', 'rich'}\n"
        "assert not banned & set(sys.modules), banned & set(sys.modules)\n"
        "assert not [name for name in sys.modules if name.startswith(('aif.train', 'aif.export', 'aif.cli'))]"
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_importing_is_cheap_sets_up_no_logging_and_warnings_go_where_the_program_says():
    done = _run(
        "import logging, sys\nroot = logging.getLogger()\nbefore = (root.level, list(root.handlers))\n"
        "import aif.runtime\ndir(aif.runtime)\n"
        "heavy = {'numpy', 'cv2', 'onnxruntime', 'pydantic', 'torch', 'onnx'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "from aif.runtime import Editor, VideoEditor, VideoSource\n"
        "assert (root.level, list(root.handlers)) == before\n"
        "assert logging.getLogger('aif').level == logging.NOTSET\n"
        "warn = logging.getLogger('aif.runtime.video.read').warning\n"
        "warn('to nobody')\nlogging.basicConfig()\nwarn('cut short')"
    )
    assert done.stdout == "" and done.stderr == "WARNING:aif.runtime.video.read:cut short\n"
