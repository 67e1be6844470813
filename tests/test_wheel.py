"""The wheel, installed into an environment of its own, edits a photo: no torch, no checkout, no network."""

import json
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("cli", "export", "runtime", "train", "setup.py", "pyproject.toml", "README.md", "LICENSE")


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
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
    for wanted in ("aif/runtime/bundle/default.aif", "aif/runtime/py.typed", "aif/train/data/packed.py"):
        assert wanted in inside
    sources = {p.relative_to(ROOT).as_posix() for d in PARTS[:4] for p in (ROOT / d).rglob("*.py")}
    assert {name.removeprefix("aif/") for name in inside if name.endswith(".py")} == sources
    assert wheel.stat().st_size < 30e6


@pytest.mark.slow
def test_installed_wheel_edits_a_photo(wheel, tmp_path):
    data = pytest.importorskip("skimage.data")
    photo = tmp_path / "portrait.png"
    cv2.imwrite(str(photo), cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR))
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    binaries = home / ("Scripts" if sys.platform == "win32" else "bin")
    run(binaries / "python", "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    installed = run(binaries / "python", "-m", "pip", "list", "--format=json", cwd=tmp_path).stdout
    names = {package["name"].lower() for package in json.loads(installed)}
    assert "aif" in names and not names & {"torch", "onnx", "lightning"}
    run(binaries / "aif-edit", photo, "--set", "Smiling=0", "-o", "out.png", cwd=tmp_path)
    before, after = cv2.imread(str(photo)), cv2.imread(str(tmp_path / "out.png"))
    assert after.shape == before.shape
    change = np.abs(after.astype(int) - before).max(axis=2)
    assert change[130:165, 200:250].max() > 20  # around the mouth of the portrait's face
    assert change[300:].max() == 0  # the suit is left alone
    where = run(
        binaries / "python", "-c", "import aif.runtime.editing.editor as m; print(m.__file__)", cwd=tmp_path
    ).stdout
    assert str(home) in where
