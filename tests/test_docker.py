"""The Dockerfiles, read and not built: pinned bases, a wheel, not root, a check of health that parses."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "docker").glob("Dockerfile.*"))


def instructions(path):
    """Word and rest of each instruction; comments dropped, continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def test_there_is_one_for_the_processor_and_one_for_cuda():
    assert [path.suffix for path in FILES] == [".cpu", ".cuda"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_bases_are_pinned_and_name_no_registry(path):
    stages: set[str] = set()
    for word, rest in instructions(path):
        if word != "FROM":
            continue
        image, *name = rest.split()
        if image not in stages:
            assert re.fullmatch(r"[a-z]+(/[a-z]+)?:\d[\w.-]+", image), image
        stages |= set(name[1:])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_last_stage_runs_what_the_wheel_installed_as_nobody_special(path):
    every = instructions(path)
    last = every[max(i for i, (word, _) in enumerate(every) if word == "FROM") :]
    (user,) = [rest for word, rest in last if word == "USER"]
    uid, gid = map(int, user.split(":"))
    assert uid >= 1000 and gid >= 1000 and f"--uid {uid}" in " ".join(rest for _, rest in last)
    assert [rest for word, rest in last if word == "COPY"] == ["--from=install /opt/aif /opt/aif"]
    assert any(word == "COPY" and rest.startswith("--from=wheel") and ".whl" in rest for word, rest in every)
    values = dict(last)
    assert json.loads(values["ENTRYPOINT"]) == ["aif"]
    assert json.loads(values["CMD"])[0] == "serve" and values["EXPOSE"] in json.loads(values["CMD"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_check_of_health_is_python_that_parses(path):
    (check,) = [rest for word, rest in instructions(path) if word == "HEALTHCHECK"]
    command = json.loads(check.split("CMD ", 1)[1])
    assert command[:2] == ["python", "-c"] and ":8000/health" in command[2]
    ast.parse(command[2])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_copied_is_there_and_not_ignored(path):
    ignored = (ROOT / ".dockerignore").read_text()
    for word, rest in instructions(path):
        if word == "COPY" and not rest.startswith("--from") and rest != ". .":
            source = rest.split()[0]
            assert (ROOT / source).is_file(), source
    names = (
        "package",
        "cli",
        "export",
        "runtime",
        "train",
        "setup.py",
        "pyproject.toml",
        "README.md",
        "LICENSE",
    )
    for part in names:
        assert (ROOT / part).exists() and f"!{part}" in ignored
    assert "!docker/overrides-*.txt" in ignored
