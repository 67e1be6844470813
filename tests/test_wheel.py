"""The wheel, installed into an environment of its own, edits a photo: no torch, no checkout, no network."""

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.metadata import distribution, requires
from pathlib import Path

import cv2
import numpy as np
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("package", "cli", "export", "runtime", "train", "setup.py", "pyproject.toml", "README.md", "LICENSE")


def run(*command, cwd):
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    source = folder / "source"
    source.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, source / part)
    options = ("--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", folder)
    run(sys.executable, "-m", "pip", "wheel", *options, source, cwd=folder)
    (found,) = folder.glob("aif-*.whl")
    return found


def test_wheel_holds_the_packages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    inside = [name for name in names if ".dist-info/" not in name]
    assert all(name.startswith("aif/") for name in inside)
    for wanted in ("bundle/default.aif", "py.typed", "serve/page/page.css", "serve/page/icon.svg"):
        assert f"aif/runtime/{wanted}" in inside
    sources = {p.relative_to(ROOT).as_posix() for d in PARTS[1:5] for p in (ROOT / d).rglob("*.py")}
    sources |= {"__init__.py", "__main__.py"}
    assert {name.removeprefix("aif/") for name in inside if name.endswith(".py")} == sources
    assert wheel.stat().st_size < 30e6


def needed(name):
    """The distributions that one needs without extras, itself left out, as they are installed here."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for text in requires(waiting.pop()) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                if requirement.name not in found:
                    waiting.append(requirement.name)
                found.add(requirement.name)
    return found


def test_installed_wheel_edits_a_photo(wheel, astronaut_bgr, tmp_path):
    """In a virtual environment that holds the wheel and links to what it needs, and nothing else."""
    photo = tmp_path / "portrait.png"
    cv2.imwrite(str(photo), astronaut_bgr)
    home = tmp_path / "venv"
    venv.create(home)
    binaries = home / ("Scripts" if sys.platform == "win32" else "bin")
    place = Path(sysconfig.get_path("purelib", vars={"base": str(home)}))
    names = needed("aif")
    assert not names & {"torch", "onnx", "lightning"}
    for name in names:
        files = distribution(name)
        for top in {each.parts[0] for each in files.files or []} - {"..", "__pycache__"}:
            if not (place / top).exists():
                (place / top).symlink_to(Path(str(files.locate_file(top))))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    main = (binaries / "python", "-m", "aif", "edit")
    run(*main, photo, "--set", "Smiling=0", "-o", "out.png", cwd=tmp_path)
    after = cv2.imread(str(tmp_path / "out.png"))
    assert after.shape == astronaut_bgr.shape
    change = np.abs(after.astype(int) - astronaut_bgr).max(axis=2)
    assert change[130:165, 200:250].max() > 20  # around the mouth of the portrait's face
    assert change[300:].max() == 0  # the suit is left alone
    where = run(
        binaries / "python", "-c", "import aif.runtime.editing.editor as m; print(m.__file__)", cwd=tmp_path
    ).stdout
    assert str(home) in where
