"""The frame of the command line: fast help, one way of speaking of errors, exit codes."""

import ast
import errno
import importlib
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from PIL import Image
from running_service import until

import aif.runtime
from aif.cli import console, main
from aif.runtime.errors import AifError, ConfigError, NoFaceError, UnknownAttributeError

SLOW = {"torch", "cv2", "onnxruntime", "numpy", "PIL", "pandas", "av", "onnx"}
HEAVY = SLOW | {"pydantic", "rich", "lightning"}

PROBE = """
import contextlib, io, sys
from aif.cli import main
for entry, *words in ASKED:
    sys.argv, said = ["aif", *words], io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            getattr(main, entry)()
        except SystemExit as stopped:
            code = stopped.code
    print((code, said.getvalue(), sorted(set(sys.modules) & WATCHED)))
"""


def answers(asked, watched, folder):
    """Exit code, words and loaded modules of commands, one after the other in one process."""
    code = PROBE.replace("ASKED", repr(asked)).replace("WATCHED", repr(watched))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return [ast.literal_eval(line) for line in done.stdout.splitlines()]


def test_help_and_version_load_nothing_heavy(tmp_path):
    plain = (["--help"], ["-h"], ["help"], ["help", "edit"], ["--version"])
    asked = [("main", *words) for words in (*plain, *([name, "--help"] for name in main.COMMANDS))]
    asked += [("edit_main", "--help"), ("edit_main", "--version")]
    for words, (code, said, loaded) in zip(asked, answers(asked, HEAVY, tmp_path), strict=True):
        assert (code or 0, loaded) == (0, []), words
        assert said.startswith("aif 0." if "--version" in words else "Usage: "), words


# Exit code, the command, what is said.
REFUSED = [
    (1, "edit nosuch.jpg --set Smiling=1", "There is no file nosuch.jpg"),
    (2, "edit {there}", "There is nothing to do"),
    (2, "edit {there} --set Smiling=1 -o out.xyz", "pictures of the kind '.xyz'"),
    (2, "edit {there} --set Smiling=1 -o {there}", "exists already"),
    (2, "edit {there} --set Smiling=1 --detector dlib", "Known: auto"),
    (2, "edit --engine ray {there} --set Smiling=1", "one source and one destination"),
    (1, "export nosuch -o out.aif", "There is no run or bundle nosuch"),
    (2, "export {there} -o out.onnx", "Known: .aif"),
    (2, "export-serving tritn", "Known: triton"),
    (1, "export-serving triton nosuch.aif", "There is no bundle nosuch.aif"),
    (1, "train --data nosuch --attributes Smiling --out run --preset linear", "There is no folder nosuch"),
    (1, "fit evaluator --data nosuch -o out", "There is no folder nosuch"),
    (1, "eval nosuch --evaluator nosuch", "There is no run or bundle nosuch"),
    (1, "eval {there} --evaluator nosuch", "There is no evaluator nosuch"),
    (1, "calibrate nosuch --bundle nosuch --data nosuch --classifier nosuch", "There is no run nosuch"),
    (2, "serve --port abc", "--port"),
    (2, "serve --detector dlib", "Known: auto"),
    (1, "serve --bundle nosuch.aif", "There is no bundle nosuch.aif"),
    (2, "bench nosuch", "There is no benchmark 'nosuch'"),
]


def test_a_refusal_loads_nothing_that_takes_long(tmp_path):
    """What the words of a command line alone forbid."""
    (tmp_path / "there.jpg").write_bytes(b"")
    asked = [("main", *words.format(there="there.jpg").split()) for _, words, _ in REFUSED]
    found = answers(asked, SLOW, tmp_path)
    for (code, words, said), answer in zip(REFUSED, found, strict=True):
        assert (answer[0], answer[2]) == (code, []) and said in answer[1], words
    assert [each.name for each in tmp_path.iterdir()] == ["there.jpg"]


def test_the_entry_points_of_the_package_exist():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert set(project["scripts"]) >= {"aif", "aif-edit", "aif-train", "aif-export"}
    for place in project["scripts"].values():
        module, function = place.split(":")
        assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["edti"], 2, "Did you mean 'edit'?"),
        (["-v", "fetch", "nonsense"], 2, "There is nothing called 'nonsense'"),
        (["fetch", "nonsense"], 2, "There is nothing called 'nonsense'"),
        (["edit"], 2, "Missing argument"),
        (["serve", "rtsp://a:s3cret@c/d"], 2, "rtsp://***@c/d"),
        (["fetch", "--rtsp://a:s3cret@c/d"], 2, "rtsp://***@c/d"),
        (["help", "edti"], 2, "Did you mean 'edit'?"),
    ],
)
def test_wrong_words(words, code, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["aif", *words])
    with pytest.raises(SystemExit) as stopped:
        main.main()
    captured = capsys.readouterr()
    assert stopped.value.code == code
    assert said in captured.err and "Traceback" not in captured.err and not captured.out


@pytest.mark.parametrize(
    ("entry", "words", "completed"),
    [
        ("main", "aif e", ["edit", "export", "export-serving", "eval"]),
        ("main", "aif edit --sho", ["--show-attributes"]),
        ("edit_main", "aif-edit --show-a", ["--show-attributes"]),
    ],
)
def test_a_shell_completes_commands_and_options(entry, words, completed, monkeypatch, capsys):
    program, *rest = words.split()
    monkeypatch.setattr(sys, "argv", [program])
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(rest)))
    monkeypatch.setenv(f"_{program.upper().replace('-', '_')}_COMPLETE", "complete_bash")
    with pytest.raises(SystemExit):
        getattr(main, entry)()
    assert capsys.readouterr().out.split() == completed


def raising(error):
    def command():
        raise error

    return console.guard(command)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (AifError("It broke.", "Mend it."), 1, ["Error: It broke.\n", "Mend it.\n"]),
        (AifError("[red]not markup[/red] [/]", "C:\\[bold]"), 1, ["[red]not markup[/red] [/]", "C:\\[bold]"]),
        (AifError("x" * 300), 1, ["x" * 300]),
        (AifError("rtsp://a:b@c is", "rtsp:/a:b/@c/d?e"), 1, ["rtsp://***@c is", "rtsp:/***@c/d?***"]),
        (ConfigError("Wrong."), 2, ["Error: Wrong.\n"]),
        (UnknownAttributeError("Smilng", ["Smiling"], "it"), 2, ["Did you mean Smiling?"]),
        (NoFaceError("No face was found."), 3, ["No face was found."]),
        (OSError(errno.ENAMETOOLONG, "Name too long", "x" * 300), 1, ["x: Name too long.", "shorter"]),
        (OSError(errno.ENOSPC, "No space left on device"), 1, ["No space left on device.", "Make room"]),
        (OSError("no number, no name"), 1, ["Error: no number, no name."]),
        (KeyboardInterrupt(), 130, ["Interrupted."]),
        (typer.Exit(7), 7, []),
    ],
)
def test_errors_are_told_without_a_traceback(error, code, said, capsys):
    with pytest.raises(typer.Exit) as stopped:
        raising(error)()
    captured = capsys.readouterr()
    assert stopped.value.exit_code == code
    assert all(text in captured.err for text in said)
    assert "Traceback" not in captured.err and "\x1b" not in captured.err and captured.out == ""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ZeroDivisionError("oh: http://a:b@c"), "ZeroDivisionError: oh: http://***@c"),
        (ModuleNotFoundError("No module named 'aif.nonsense'", name="aif.nonsense"), "aif.nonsense"),
    ],
)
def test_a_fault_of_ours_keeps_its_traceback_without_passwords(error, said, capsys):
    with pytest.raises(typer.Exit) as stopped:
        raising(error)()
    shown = capsys.readouterr().err
    assert stopped.value.exit_code == 1
    assert "Traceback" in shown and said in shown and "please report it" in shown


def test_debug_shows_the_traceback_of_a_users_error_once(monkeypatch, capsys):
    for words, expected in ((["fetch", "x", "--debug"], True), (["fetch", "x"], False)):
        monkeypatch.setattr(sys, "argv", ["aif", *words])
        with pytest.raises(SystemExit):
            main.main()
        assert ("Traceback" in capsys.readouterr().err) == expected


def optional_modules():
    """Each extra of the package for users, and each module that Python may miss without it."""
    names = {"scikit-image": "skimage", "protobuf": "google", "cuda-bindings": "cuda"}
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    wanted = [
        (extra, re.split(r"[\[<>=]", line)[0])
        for extra, lines in project["optional-dependencies"].items()
        if extra not in ("dev", "docs")
        for line in lines
    ]
    return [(extra, names.get(name, name.replace("-", "_"))) for extra, name in wanted if name != "aif"]


@pytest.mark.parametrize(("extra", "module"), optional_modules())
def test_a_missing_extra_is_named_with_its_cure(extra, module, capsys):
    with pytest.raises(typer.Exit) as stopped:
        raising(ModuleNotFoundError(f"No module named '{module}.sub'", name=f"{module}.sub"))()
    said = capsys.readouterr().err
    assert stopped.value.exit_code == 1 and "Traceback" not in said
    assert f"the package {module}," in said and f'pip install "aif[{extra}]"' in said


@pytest.mark.parametrize(
    ("missing", "words", "extra"),
    [
        ("python_multipart", ["serve", "--port", "0"], "serve"),
        (
            "pyvirtualcam",
            ["edit", *["--webcam", "synthetic", "--virtual-camera", "--headless", "--end", "1"]],
            "camera",
        ),
    ],
)
def test_commands_without_their_extra(missing, words, extra, run, bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    if hasattr(aif.runtime, "serve"):  # as the package knows it: that is put back, too
        monkeypatch.setattr(aif.runtime, "serve", aif.runtime.serve)
    for name in [each for each in sys.modules if each.startswith("aif.runtime.serve")]:
        monkeypatch.delitem(sys.modules, name)  # so that they are imported anew
    done = run(*words, "--bundle", bundle)
    assert done.code == 1 and f'pip install "aif[{extra}]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_fetch_prints_where_the_file_is(run, monkeypatch, tmp_path):
    monkeypatch.setattr("aif.runtime.fetch.fetch_yunet", lambda: tmp_path / "yunet.onnx")
    outcome = run("fetch", "yunet")
    assert (outcome.code, outcome.stdout.decode()) == (0, f"{tmp_path / 'yunet.onnx'}\n")


def test_ctrl_c_between_files_leaves_whole_files_and_exits_with_130(tmp_path, bundle):
    """A real process; tests/cli/test_edit_command.py has the cases."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    Image.new("RGB", (800, 800), (200, 90, 90)).save(folder / "0.png")
    for number in range(1, 100):
        shutil.copy(folder / "0.png", folder / f"{number}.png")
    words = ["edit", folder, "--set", "Smiling", "--copy-unedited", "-o", out, "--bundle", bundle]
    process = subprocess.Popen(
        [sys.executable, "-m", "aif.cli.main", *map(str, words), "--detector", "haar"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until(lambda: process.poll() is not None or len(list(out.glob("*.png"))) >= 2, 120)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == console.INTERRUPTED, said
    assert "Interrupted." in said and "Traceback" not in said
    written = list(out.iterdir())
    assert 2 <= len(written) < 100
    assert {path.read_bytes() for path in written} == {(folder / "0.png").read_bytes()}


@pytest.mark.parametrize("debug", [False, True])
def test_ffmpeg_s_own_lines_need_debug_and_hold_no_password(debug, bundle):
    """A stream that is refused (nothing listens on port 9): our error alone."""
    words = ["--webcam", "rtsp://user:s3cret@127.0.0.1:9/live?key=s3cret", "--bundle", str(bundle)]
    words += ["--headless", "--timings", "--detector", "haar", *["--debug"] * debug]
    command = [sys.executable, "-c", "from aif.cli.main import edit_main; edit_main()", *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "rtsp://***@127.0.0.1:9/live?*** cannot be opened" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr
    assert debug or not any(word in done.stderr for word in ("[tcp @", "Traceback"))
