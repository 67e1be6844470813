"""`aif doctor` as a command: one screen, JSON by its schema, and an exit code that means something."""

import json
from pathlib import Path
from typing import get_args

import pytest

from aif.cli import doctor as command
from aif.cli.doctor import show
from aif.runtime.doctor import run as doctor_run
from aif.runtime.doctor.checks import CHECKS, GROUPS, run_check
from aif.runtime.doctor.finding import Finding, Status


def test_every_check_is_in_one_group():
    assert sorted(CHECKS) == sorted(name for group in GROUPS for name in group)
    assert {check for checks in command._SECTIONS.values() for check in checks} == set(CHECKS)
    assert set(command._MARKS) == set(get_args(Status))


@pytest.fixture
def patient(monkeypatch):
    """A machine that is busy with other tests is slow, not broken."""
    monkeypatch.setattr(doctor_run, "patience", lambda: 120.0)


@pytest.mark.usefixtures("patient")
def test_a_machine_that_edits(run, bundle, tmp_path):
    """The real thing, in its real processes, on a bundle of its own."""
    done = run("doctor", "--json", "--bundle", bundle)
    report = json.loads(done.stdout)
    assert (done.code, report["schema"], report["editing_works"]) == (0, 1, True)
    assert list(report["checks"]) == list(CHECKS)
    for name, findings in report["checks"].items():
        assert findings, name
        for each in findings:
            assert set(each) == {"name", "status", "text", "fix", "facts"}
            assert each["status"] in get_args(Status) and each["text"] and "\n" not in each["text"]
            assert each["status"] != "problem" or each["fix"], each
    (about,) = [each for each in report["checks"]["versions"] if each["name"] == "aif"]
    assert report["aif"] == about["facts"].get("version") and report["seconds"] > 0
    (cpu,) = report["checks"]["cpu"]
    assert cpu["facts"]["loads"] is True and cpu["facts"]["provider"] == "CPUExecutionProvider"
    (whole,) = report["checks"]["bundle"]
    assert whole["facts"]["name"] == "toy" and whole["facts"]["precisions"] == ["fp32"]


def test_a_broken_bundle_means_that_editing_cannot_work(run, bundle, tmp_path, monkeypatch):
    """As the checks in their processes would find, but in this one."""

    def here(place):
        seen = {name: run_check(name, place) for name in ("bundle", "editing")}
        return findings() | {name: [each.as_dict() for each in found] for name, found in seen.items()}

    monkeypatch.setattr(doctor_run, "run_all", here)
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    damaged = tmp_path / "damaged.aif"
    damaged.write_bytes(data)
    done = run("doctor", "--bundle", damaged)
    said = done.stdout.decode()
    assert done.code == 1 and "Editing cannot work" in said and "Fix, bundle" in said
    assert "Traceback" not in said + done.stderr


def findings(**changes):
    made = {name: [Finding(name, "ok", "works").as_dict()] for name in CHECKS}
    return made | {name: [Finding(name, **change).as_dict()] for name, change in changes.items()}


@pytest.mark.parametrize("columns", [40, 80])
def test_a_line_each_is_legible(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    show(findings(display={"status": "absent", "text": "there is no display to open a window on"}), 1.0)
    out = capsys.readouterr().out
    assert "display" in out and max(map(len, out.splitlines())) <= columns
    assert len(out.splitlines()) <= len(CHECKS) + 3


@pytest.mark.parametrize(
    ("check", "status", "works"),
    [
        ("editing", "ok", True),
        ("editing", "broken", False),
        ("editing", "unknown", False),
        ("cuda", "problem", True),
        ("bundle", "problem", True),
    ],
)
def test_the_exit_code_hangs_on_the_edit_alone(check, status, works, run, monkeypatch):
    found = findings(**{check: {"status": status, "text": "said"}})
    monkeypatch.setattr(doctor_run, "run_all", lambda bundle: found)
    for words in ([], ["--json"]):
        assert run("doctor", *words).code == (0 if works else 1)


def test_what_needs_mending_is_said_with_its_command(capsys):
    changed = findings(
        cuda={"status": "problem", "text": "[red]gone[/red]", "fix": "pip install it"},
        display={"status": "absent", "text": "none", "fix": "plug one in"},
        openvino={"status": "absent", "text": "none"},
        cpu={"status": "problem", "text": "x" * 200, "fix": None},
        engines={"status": "problem", "text": "one cure", "fix": "cure"},
        cameras={"status": "problem", "text": "for two", "fix": "cure"},
    )
    show(changed, 1.0)
    said = capsys.readouterr().out
    assert "Fix, cuda: pip install it" in said and "Could be added, display: plug one in" in said
    assert "[red]gone" in said and "Fix, cpu: Try once more" in said
    assert "Could be added, openvino" not in said
    assert "Fix, engines, cameras: cure" in said
    assert "Editing works; 4 problems" in said and "\x1b" not in said


def test_the_home_folder_is_not_told(monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/home/somebody"))
    made = Finding(
        "x", "ok", "at /home/somebody/a", "rm /home/somebody/b", {"p": ["/home/somebody/c"], "n": 1}
    )
    text = json.dumps(made.as_dict())
    assert "somebody" not in text and "~/a" in text and "~/b" in text and "~/c" in text
