"""A toy bundle for the command line, and a way to run a command as the shell would."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from made_up_face import face_points
from PIL import Image
from tiny_bundles import graph, node, sha256, similarity_parts

from aif.cli.main import load_command
from aif.runtime.bundle.bundle import write_bundle
from aif.runtime.bundle.manifest import AttributeInfo, Manifest
from aif.runtime.geometry.points import COUNT


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """What it printed, as text."""
        return self.stdout.decode()


class _Stream(io.TextIOWrapper):
    """A text stream over bytes that is no terminal, as a pipe is."""

    def __init__(self, content: bytes = b"") -> None:
        super().__init__(io.BytesIO(content), encoding="utf-8", write_through=True)


@pytest.fixture
def run(monkeypatch):
    """Run `aif COMMAND WORDS...` in this process: run("edit", "photo.jpg", stdin=b"")."""

    def call(command: str, *words: str | Path, stdin: bytes = b"") -> Outcome:
        out, err = _Stream(), _Stream()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdin", _Stream(stdin))
            patched.setattr(sys, "stdout", out)
            patched.setattr(sys, "stderr", err)
            with pytest.raises(SystemExit) as stopped:
                load_command(command)(args=[str(word) for word in words], prog_name=f"aif {command}")
        code = stopped.value.code
        return Outcome(
            code if isinstance(code, int) else 0, out.buffer.getvalue(), err.buffer.getvalue().decode()
        )

    return call


@pytest.fixture
def aif(run):
    """Run `aif COMMAND WORDS...` in this process; it has to end with `code`, and without a traceback."""

    def call(*words: str | Path, code: int = 0) -> Outcome:
        done = run(*map(str, words))
        assert done.code == code, done.text + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return call


def _landmarks(size: int = 48) -> bytes:
    """Always an upright face that fills the crop as a close view does (120 of the template's pixels)."""
    points = (face_points() - (64, 74)) / 120 + 0.5
    return graph(
        [
            node("ReduceMean", ["image", "all"], ["mean"], keepdims=0),
            node("Mul", ["mean", "none"], ["nothing"]),
            node("Unsqueeze", ["nothing", "one_two"], ["nothings"]),
            node("Add", ["nothings", "points"], ["landmarks"]),
            node("Add", ["nothing", "sure"], ["confidence"]),
            node("Unsqueeze", ["nothing", "one"], ["column"]),
            node("Concat", ["column", "column", "column"], ["pose"], axis=1),
        ],
        {"image": ["N", 3, size, size]},
        {"landmarks": ["N", COUNT, 2], "pose": ["N", 3], "confidence": ["N"]},
        all=np.array([1, 2, 3]),
        none=np.float32(0),
        one=np.array([1]),
        one_two=np.array([1, 2]),
        points=points.astype(np.float32)[None],
        sure=np.float32(1),
    )


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """A bundle that edits Smiling (-1 to 2) and Blond_Hair (0 to 1) in a way that is easy to see."""
    parts = similarity_parts()
    files = {**parts.files, "landmarks.onnx": _landmarks()}
    manifest = parts.manifest.model_dump()
    manifest["landmarks"]["sha256"] = sha256(files["landmarks.onnx"])
    manifest["attributes"] = (
        AttributeInfo(name="Smiling"),
        AttributeInfo(name="Blond_Hair", minimum=0, maximum=1),
    )
    place = tmp_path_factory.mktemp("bundle") / "toy.aif"
    return write_bundle(place, Manifest.model_validate(manifest), files).path


@pytest.fixture(scope="session")
def small():
    """What trains a tiny model: `aif train --out FOLDER` and these."""
    return [
        *("--preset", "residual", "--attributes", "Smiling,Eyeglasses", "--image-size", "64"),
        *("--steps", "4", "--batch-size", "8", "--width", "4", "--precision", "32-true"),
        *("-c", "network.latent_size=8", "-c", "network.aux_hidden=16"),
        *("--accelerator", "cpu", "--workers", "0", "--no-cache", "--sample-every", "0"),
    ]


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, small):
    """The folder of a run of four steps."""
    out = tmp_path_factory.mktemp("runs") / "smile"
    load_command("train")(args=["--out", str(out), *small], standalone_mode=False)
    return out


@pytest.fixture
def aif_edit(run, bundle):
    """`aif-edit WORDS...` with the toy bundle and the detector that needs no download."""

    def call(*words: str | Path, stdin: bytes = b"") -> Outcome:
        return run("edit", *words, "--bundle", bundle, "--detector", "haar", "--threads", "1", stdin=stdin)

    return call


@pytest.fixture(scope="session")
def portrait_rgb(portrait_bgr):
    """The same face: uint8 (240, 200, 3) RGB."""
    return np.ascontiguousarray(portrait_bgr[:, :, ::-1])


@pytest.fixture
def photo(tmp_path, portrait_rgb):
    """The face as a PNG file in the test's own folder."""
    Image.fromarray(portrait_rgb).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"
