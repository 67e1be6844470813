"""Checks in processes: what crashes, hangs or talks nonsense spoils its own line only."""

import sys

import pytest

from aif.runtime.doctor import checks as doctor_checks
from aif.runtime.doctor import run as doctor_run
from aif.runtime.doctor.checks import failed, run_check
from aif.runtime.doctor.run import CHILD, patience, run_group
from aif.runtime.errors import ConfigError


@pytest.mark.parametrize(
    ("load", "cores", "seconds"), [(None, 2, 10), (0.0, 2, 10), (2.0, 2, 10), (8.0, 2, 40), (500.0, 2, 60)]
)
def test_a_busy_machine_is_waited_for(monkeypatch, load, cores, seconds):
    """Cores are those that this process may use."""
    monkeypatch.setattr(doctor_run, "load_average", lambda: load)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    assert patience() == seconds


# A stand-in for the checks: "good" is fine, the others misbehave as they are called.
CHILD_CODE = """
import json, os, signal, sys, time
for name in sys.argv[2:]:
    if name.startswith("hangs"):
        time.sleep(60)
    if name == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "exits":
        sys.exit(7)
    if name == "raises":
        print("Failed: libcublas.so.13: cannot open shared object file", file=sys.stderr)
        raise ModuleNotFoundError("No module named 'cv2'")
    status = "problem" if name == "lacks" else "ok"
    if name == "lacks":
        print("x/libfoo.so.9: cannot open shared object file: gone", file=sys.stderr)
    print("a library talks")
    finding = {"name": name, "status": status, "text": "text.", "fix": None, "facts": {}}
    print(json.dumps({"check": name, "findings": [finding]}), flush=True)
    if name == "half":
        print('{"check": "later", "fin', flush=True)
"""
COMMAND = (sys.executable, "-c", CHILD_CODE)


@pytest.mark.parametrize(
    ("names", "lost", "said"),
    [
        (["good", "crashes", "good2"], ["crashes"], "It crashed (SIGSEGV)."),
        (["exits", "good"], ["exits"], "exit code 7"),
        (["good", "raises", "good2"], ["raises"], "It ended early, with exit code 1."),
        (["half", "good"], [], ""),
        (["hangs", "good"], ["hangs"], "no answer within 1 s"),
        (["crashes", "exits", "good"], ["crashes", "exits"], "It"),
        (["hangs", "hangs2", "hangs3", "good"], ["hangs", "hangs2", "hangs3", "good"], "It"),
    ],
)
def test_one_bad_check_among_others(names, lost, said):
    found = run_group(names, "", 1.0, COMMAND)
    assert sorted(found) == sorted(names)
    for name in names:
        (finding,) = found[name]
        assert (finding["status"] == "problem") == (name in lost)
        if name in lost:
            assert said in finding["text"]


@pytest.mark.parametrize(
    ("name", "command", "status", "said"),
    [
        ("editing", [sys.executable, "-c", "import os; os.abort()"], "broken", "SIGABRT"),
        ("cpu", ["/nonsense/python"], "problem", "could not be started"),
        ("lacks", COMMAND, "problem", "Missing: libfoo.so.9."),
    ],
)
def test_what_is_said_of_the_process(name, command, status, said):
    (finding,) = run_group([name], "", 5.0, command)[name]
    assert finding["status"] == status and said in finding["text"]
    assert name != "lacks" or finding["facts"]["missing_library"] == "libfoo.so.9"


def test_a_file_of_the_users_is_not_taken_for_a_library(monkeypatch, tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('taken')")
    monkeypatch.chdir(tmp_path)
    (python, *_) = run_group(["versions"], "", 20.0, CHILD)["versions"]
    assert python["status"] == "ok"


@pytest.mark.parametrize(
    ("error", "name", "status", "text", "fix"),
    [
        (ConfigError("Wrong.", "Do this."), "cuda", "problem", "Wrong.", "Do this."),
        (ConfigError("Wrong."), "editing", "broken", "Wrong.", None),
        (ImportError("libGL.so.1: cannot open shared object file"), "display", "problem", "libGL", "libgl1"),
        (ModuleNotFoundError("No module named 'av'"), "codecs", "problem", "'av'", "force-reinstall"),
        (RuntimeError(""), "cpu", "problem", "RuntimeError", None),
    ],
)
def test_errors_become_findings(error, name, status, text, fix):
    found = failed(name, error)
    assert found.status == status and text in found.text and "\n" not in found.text
    assert (found.fix is None) if fix is None else (fix in str(found.fix))


def test_a_check_that_raises_does_not_stop_the_process(monkeypatch):
    monkeypatch.setitem(doctor_checks.CHECKS, "cpu", "nonsense:nothing")
    (found,) = run_check("cpu", "")
    assert found.status == "problem" and "nonsense" in found.text and found.facts["check_seconds"] >= 0
