"""README and the pages of docs/: the commands, options, paths and links that they show exist."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from aif.cli.main import COMMANDS, load_command

TOP = Path(__file__).parents[1]
PAGES = [
    TOP / "README.md",
    TOP / "CONTRIBUTING.md",
    TOP / "CHANGELOG.md",
    *sorted((TOP / "docs").rglob("*.md")),
]

page = pytest.mark.parametrize("page", PAGES, ids=[str(path.relative_to(TOP)) for path in PAGES])


def commands(text):
    """The words of each `aif ...` in code, a command's own name first: [["edit", "photo.jpg", ...], ...]."""
    code = re.findall(r"^ {4}.*|`[^`\n]+`", text.replace("\\\n", " "), re.MULTILINE)
    for fenced in re.findall(r"^```\w*\n(.*?)^```", text.replace("\\\n", " "), re.MULTILINE | re.DOTALL):
        code += fenced.splitlines()
    found = []
    for line in code:
        for part in line.strip("` ").split("&&"):
            words = shlex.split(part, comments=True) if part.strip().startswith("aif") else []
            if words[:1] == ["aif"] and len(words) > 1 and words[1] in COMMANDS:
                found.append(words[1:])
            elif words[:1] in (["aif-edit"], ["aif-train"], ["aif-export"]):
                found.append([words[0].removeprefix("aif-"), *words[1:]])
    return found


def test_commands_are_found():
    text = "    pip install x && aif-edit a.jpg --set X=1 # why --no\n`aif doctor`\n`aif-x`\n"
    text += "\n```\naif fit \\\ny\n```\n"
    assert commands(text) == [["edit", "a.jpg", "--set", "X=1"], ["doctor"], ["fit", "y"]]
    assert commands("") == []


@page
def test_commands_have_the_options_that_are_shown(page):
    for name, *words in commands(page.read_text()):
        options = [(*each.opts, *each.secondary_opts) for each in load_command(name).params]
        known = {"-h", "--help"}.union(*options)
        shown = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert shown <= known, f"aif {name} {' '.join(words)}"


def test_options_that_messages_name_exist():
    """In the messages of errors and their fixes."""
    known = {"--force-reinstall", "--head"}  # of pip and of ray
    for name in COMMANDS:
        known.update(*((*each.opts, *each.secondary_opts) for each in load_command(name).params))
    lacking = set()
    for file in [
        path for room in ("cli", "export", "runtime", "train") for path in (TOP / room).rglob("*.py")
    ]:
        for call in ast.walk(ast.parse(file.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "").endswith(("Error", "Fault")):
                texts = [part.value for part in ast.walk(call) if isinstance(part, ast.Constant)]
                named = re.findall(r"(?<![\w-])--[a-z][\w-]*", " ".join(map(str, texts)))
                lacking |= {(str(file.relative_to(TOP)), option) for option in set(named) - known}
    assert lacking == set()


@page
def test_paths_exist(page):
    text = page.read_text()
    named = re.findall(r"`((?:cli|docker|docs|export|runtime|tests|train)/[\w./*-]+)`", text)
    assert [path for path in named if not any(TOP.glob(path.rstrip("/")))] == []
    links = re.findall(r"\]\(((?!https?:|#)[^)#\s]+)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_lines_of_algorithm_1_stand_in_the_code():
    text = (TOP / "docs" / "architecture.md").read_text()
    head = re.search(r"^\| line \| loss \| `(.+)` \| `(.+)` \|$", text, re.MULTILINE)
    assert head is not None
    files = [(TOP / name).read_text() for name in head.groups()]
    rows = re.findall(r"^\| .* \| [-\d, ]*\| `(.+)` \| `(.+)` \|$", text[head.end() :], re.MULTILINE)
    assert len(rows) == 11
    for row in rows:
        assert [line in code for line, code in zip(row, files, strict=True)] == [True, True], row
