"""The Dockerfiles, read and not built: pinned bases, a wheel, not root, a check of health that parses."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = [ROOT / "docker" / "Dockerfile.cpu", ROOT / "docker" / "Dockerfile.cuda"]
PARTS = ("package", "cli", "export", "runtime", "train", "setup.py", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(params=FILES, ids=lambda path: path.suffix)
def instructions(request):
    """Word and rest of each instruction; comments dropped, continued lines joined."""
    lines = [line for line in request.param.read_text().splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def test_bases_are_pinned_and_name_no_registry(instructions):
    stages: set[str] = set()
    for image, *name in [rest.split() for word, rest in instructions if word == "FROM"]:
        assert image in stages or re.fullmatch(r"[a-z]+(/[a-z]+)?:\d[\w.-]+", image), image
        stages |= set(name[1:])


def test_the_last_stage_runs_what_the_wheel_installed_as_nobody_special(instructions):
    last = instructions[max(i for i, (word, _) in enumerate(instructions) if word == "FROM") :]
    values = dict(last)
    uid, gid = map(int, values["USER"].split(":"))
    assert uid >= 1000 and gid >= 1000 and f"--uid {uid}" in " ".join(rest for _, rest in last)
    assert values["COPY"] == "--from=install /opt/aif /opt/aif"
    assert json.loads(values["ENTRYPOINT"]) == ["aif"]
    assert json.loads(values["CMD"])[0] == "serve" and values["EXPOSE"] in json.loads(values["CMD"])
    command = json.loads(values["HEALTHCHECK"].split("CMD ", 1)[1])
    assert command[:2] == ["python", "-c"] and ":8000/health" in command[2]
    ast.parse(command[2])


def test_what_is_copied_is_there_and_not_ignored(instructions):
    ignored = (ROOT / ".dockerignore").read_text()
    copied = [rest.split()[0] for word, rest in instructions if word == "COPY"]
    for source in (*(name for name in copied if not name.startswith("--from")), *PARTS):
        assert (ROOT / source).exists(), source
    assert all(f"!{part}" in ignored for part in (*PARTS, "docker/overrides-*.txt"))
