"""The runtime as a guest in another program: it prints nothing, logs under its own name, keeps no globals."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import aif.runtime

FOLDER = Path(aif.runtime.__file__).parent
FILES = sorted(FOLDER.rglob("*.py"))
ROOT_LOGGER = {"debug", "info", "warning", "warn", "error", "exception", "critical", "log", "basicConfig"}


def faults(source):
    """What a library should not do, one line of text each."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Global):
            yield f"line {node.lineno}: global"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            module = getattr(node, "module", None) or ""
            for name in [module, *names]:
                if name.split(".")[0] in {"torch", "torchvision", "lightning", "typer", "rich", "onnx"}:
                    yield f"line {node.lineno}: imports {name}"
            if module == "logging" and ROOT_LOGGER & {*names}:
                yield f"line {node.lineno}: a function of the root logger"
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in {"print", "pprint", "pprint.pprint", "sys.stdout.write", "sys.stderr.write", "input"}:
            yield f"line {node.lineno}: {called}"
        if called.startswith("logging.") and called.removeprefix("logging.") in ROOT_LOGGER:
            yield f"line {node.lineno}: the root logger"
        if called.endswith("getLogger") and not _named(node):
            yield f"line {node.lineno}: a logger that is not the module's"


def _named(call):
    """Whether the logger is the module's own, or one of another library that is made quieter."""
    (name,) = call.args or [ast.Constant("")]
    if isinstance(name, ast.Constant):
        return str(name.value).split(".")[0] not in {"", "aif"}
    return ast.unparse(name) == "__name__"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_printing_no_root_logger_no_globals(path):
    assert list(faults(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("", 0),
        ("import logging\nlog = logging.getLogger(__name__)\nlog.info('a')", 0),
        ("# print('a')\n'print(1)'\nself.print(1)", 0),
        ("print(1)", 1),
        ("import sys\nsys.stdout.write('a')", 1),
        ("import logging\nlogging.info('a')", 1),
        ("import logging\nlogging.getLogger().info('a')", 1),
        ("import logging\nlogging.getLogger('aif')", 1),
        ("from logging import warning", 1),
        ("def f():\n    global x\n    x = 1", 1),
        ("def f():\n    import torch.nn", 1),
        ("from typer import echo", 1),
    ],
)
def test_the_check_itself(source, count):
    assert len(list(faults(source))) == count


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
