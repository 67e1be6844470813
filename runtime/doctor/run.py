"""Runs the checks in processes of their own, side by side: one that crashes or hangs spoils no other."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aif.runtime.doctor.checks import CHECKS, GROUPS
from aif.runtime.doctor.finding import Finding
from aif.runtime.machine import core_count, load_average

SECONDS, MOST_SECONDS = 10.0, 60.0
"""How long a group of checks may take before the one in work is stopped, on an idle and on a busy machine."""

_MOST_HANGING = 2
"""So many checks of a group may hang before the rest of it is not tried any more."""

Findings = dict[str, list[dict[str, Any]]]

# -P: a file of the user's called cv2.py in this folder is none of our business.
CHILD = (sys.executable, "-P", "-m", "aif.runtime.doctor.checks")


def patience() -> float:
    """Seconds to wait for a group of checks: longer where other work keeps the processor busy."""
    load = (load_average() or 0.0) / core_count()
    return min(MOST_SECONDS, SECONDS * max(1.0, load))


def run_all(bundle: str) -> Findings:
    """All checks, in the order of the report: check to its findings as JSON values."""
    seconds = patience()
    with ThreadPoolExecutor(len(GROUPS)) as pool:
        found = pool.map(lambda group: run_group(group, bundle, seconds), GROUPS)
        together = {name: findings for part in found for name, findings in part.items()}
    return {name: together[name] for name in CHECKS}


def run_group(names: Sequence[str], bundle: str, seconds: float, command: Sequence[str] = CHILD) -> Findings:
    """Run these checks in one process, and go on in another one after a check that ended or stopped it.

    `command` is the process's: it gets the bundle and the names, and prints a line of JSON for each check.
    `seconds` are for each process.
    """
    found: Findings = {}
    left = list(names)
    hanging = 0
    while left:
        if hanging < _MOST_HANGING:
            done, end, complaints, hung = _run_child([*command, bundle, *left], seconds)
            hanging += hung
        else:
            done, end, complaints = {}, "It was not tried: those before it gave no answer.", ""
        found |= {name: findings for name, findings in done.items() if name in left}
        left = [name for name in left if name not in found]
        if left:
            name, reinstall = left.pop(0), "No module named" in complaints
            fix = "Install aif again: pip install --force-reinstall aif" if reinstall else None
            found[name] = [Finding.lost(name, end, fix, {"error": complaints[-300:]}).as_dict()]
    return found


def _run_child(command: Sequence[str], seconds: float) -> tuple[Findings, str, str, bool]:
    """What a process found, how it ended in words, what it wrote on standard error, and whether it hung."""
    environment = os.environ | {"OPENCV_LOG_LEVEL": "ERROR", "PYTHONIOENCODING": "utf-8"}
    pipe, hung = subprocess.PIPE, False
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            env=environment,
            timeout=seconds,
            check=False,
        )
        out, err, end = done.stdout, done.stderr, _described(done.returncode)
    except subprocess.TimeoutExpired as error:
        out, err, hung = error.stdout or b"", error.stderr or b"", True
        end = f"It gave no answer within {seconds:g} s and was stopped."
    except OSError as error:
        return {}, f"It could not be started: {error.strerror or error}.", "", False
    complaints = err.decode(errors="replace").strip()
    found: Findings = {}
    for line in out.decode(errors="replace").splitlines():
        try:
            record = json.loads(line)
            found[record["check"]] = [_with_library(each, complaints) for each in record["findings"]]
        except (ValueError, KeyError, TypeError):
            continue  # cut off in the middle
    return found, end, complaints, hung


def _described(code: int) -> str:
    if code >= 0:
        return f"It ended early, with exit code {code}."
    return f"It crashed ({signal.Signals(-code).name})."


def _with_library(finding: dict[str, Any], complaints: str) -> dict[str, Any]:
    """A problem, with the library that was missed, which ONNX Runtime says on the terminal only."""
    missing = re.search(r"(\w[\w.+-]*\.so[\w.]*): cannot open shared object", complaints)
    if finding.get("status") == "problem" and missing and missing[1] not in str(finding.get("text")):
        facts = {**finding["facts"], "missing_library": missing[1]}
        return {**finding, "text": f"{finding['text']} Missing: {missing[1]}.", "facts": facts}
    return finding
