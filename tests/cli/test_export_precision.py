"""`aif-export BUNDLE --precision` and `aif-edit --precision` as a user types them."""

import re

import cv2
import numpy as np
import pytest

from aif.runtime.bundle.bundle import Bundle

SIZE = 32


@pytest.fixture(autouse=True)
def short_timing(monkeypatch):
    monkeypatch.setattr("aif.export.precision.precision.SPEED_SECONDS", 0.001)


def write_crops(folder, count, width=SIZE):
    folder.mkdir(parents=True)
    for number in range(count):
        corners = np.random.default_rng(number).integers(0, 256, (3, 3, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:02}.png"), cv2.resize(corners, (width, SIZE)))
    return folder


@pytest.fixture(scope="session")
def crops(tmp_path_factory):
    return write_crops(tmp_path_factory.mktemp("data") / "crops", 33)


def test_a_bundle_gets_precisions_and_edits_with_each(run, bundle, crops, photo, tmp_path):
    out = tmp_path / "all.aif"
    done = run("export", bundle, "-o", out, "--precision", "fp32,fp16,int8", "--data", crops)
    assert done.code == 0, done.stderr
    text = done.stdout.decode()
    for precision in ("fp16", "int8"):
        assert re.search(rf"^{precision} against fp32 on 16 faces: z \S+, .*y_mean .*image \S+$", text, re.M)
        assert re.search(
            rf"^{precision}: \S+ times the speed of fp32 here, one face, one thread$", text, re.M
        )
    assert text.endswith(f"Next: aif-edit photo.jpg --bundle {out} --precision int8\n")
    assert list(Bundle.open(out).manifest.graphs) == ["fp32", "fp16", "int8"]
    edited = {}
    for precision in ("fp32", "fp16", "int8"):
        picture = tmp_path / f"{precision}.png"
        words = ("--bundle", out, "--detector", "haar", "--threads", "1", "--set", "Smiling=1")
        assert run("edit", photo, "-o", picture, "--precision", precision, *words).code == 0
        edited[precision] = cv2.imread(str(picture)).astype(int)
    original = cv2.imread(str(photo)).astype(int)
    assert np.abs(edited["fp32"] - original).max() > 20
    assert np.abs(edited["fp16"] - edited["fp32"]).max() <= 2
    assert np.abs(edited["int8"] - edited["fp32"]).max() <= 12


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--precision", "int4"), 2, "There is no precision 'int4'.\nDid you mean int8"),
        (("--precision", ","), 2, "names no precision"),
        ((), 2, "is a bundle, and nothing is to be added"),
        (("--precision", "fp32"), 2, "is a bundle, and nothing is to be added"),
        (("--precision", "fp16", "--name", "x"), 2, "is a bundle, --name is for runs"),
        (("--precision", "fp16", "--compositing", "delta"), 2, "is a bundle, --compositing is for runs"),
        (("--precision", "int8"), 1, "the model was trained on none, and where those faces are is not known"),
        (("--precision", "int8", "--data", "missing"), 1, "There is no folder missing"),
        (("--precision", "int8", "--data", "EMPTY"), 1, "nor any image"),
        (("--precision", "int8", "--data", "FEW"), 1, "at least 32 faces"),
        (("--precision", "int8", "--data", "PHOTOS"), 1, "a face crop is square"),
    ],
)
def test_mistakes(run, bundle, crops, tmp_path, words, code, says):
    places = {
        "CROPS": crops,
        "EMPTY": tmp_path / "empty",
        "FEW": tmp_path / "few",
        "PHOTOS": tmp_path / "photos",
    }
    if "EMPTY" in words:
        places["EMPTY"].mkdir()
    if "FEW" in words:
        write_crops(places["FEW"], 31)
    if "PHOTOS" in words:
        write_crops(places["PHOTOS"], 32, width=48)
    there = set(tmp_path.iterdir())
    done = run("export", bundle, "-o", tmp_path / "out.aif", *(places.get(word, word) for word in words))
    assert done.code == code
    assert says in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) >= 2  # and what to do
    assert set(tmp_path.iterdir()) == there


def test_a_run_or_bundle_that_is_not_there(run, tmp_path):
    done = run("export", tmp_path / "nothing", "-o", tmp_path / "out.aif", "--precision", "int8")
    assert done.code == 1 and "Traceback" not in done.stderr
    (tmp_path / "notes.txt").write_text("no bundle")
    done = run("export", tmp_path / "notes.txt", "-o", tmp_path / "out.aif", "--precision", "int8")
    assert done.code == 1 and "notes.txt" in done.stderr and "Traceback" not in done.stderr


def test_synthetic_faces_are_warned_of(run, bundle, tmp_path):
    words = ("--precision", "int8", "--data", "synthetic")
    done = run("export", bundle, "-o", tmp_path / "out.aif", *words)
    assert done.code == 0
    assert "int8: Calibrated and checked on synthetic faces" in done.stderr


@pytest.mark.parametrize("asked", ["int8", "fp16", "fp8", ""])
def test_editing_in_a_precision_that_the_bundle_lacks(aif_edit, photo, tmp_path, asked):
    done = aif_edit(photo, "-o", tmp_path / "out.png", "--set", "Smiling=1", "--precision", asked)
    text = " ".join(done.stderr.split())
    assert done.code == 1 and "Traceback" not in text
    assert f"has no graphs of precision {asked!r}. It has: fp32." in text and "aif-export BUNDLE" in text
    assert not (tmp_path / "out.png").exists()
