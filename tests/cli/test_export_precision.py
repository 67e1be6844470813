"""`aif-export BUNDLE --precision` and `aif-edit --precision` as a user types them."""

import re

import cv2
import numpy as np
import pytest
from pictures import write_crops

from aif.runtime.bundle.bundle import Bundle


@pytest.fixture(autouse=True)
def short_timing(monkeypatch):
    monkeypatch.setattr("aif.export.precision.precision.SPEED_SECONDS", 0.001)


def test_a_bundle_gets_precisions_and_edits_with_each(aif, bundle, photo, tmp_path):
    crops = write_crops(tmp_path / "crops", 33)
    out = tmp_path / "all.aif"
    text = aif("export", bundle, "-o", out, "--precision", "fp32,fp16,int8", "--data", crops).text
    for precision in ("fp16", "int8"):
        assert re.search(rf"^{precision} against fp32 on 16 faces: z \S+, .*y_mean .*image \S+$", text, re.M)
        assert re.search(rf"^{precision}: \S+ times the speed of fp32 here, one face", text, re.M)
    assert text.endswith(f"Next: aif-edit photo.jpg --bundle {out} --precision int8\n")
    assert list(Bundle.open(out).manifest.graphs) == ["fp32", "fp16", "int8"]
    edited = {}
    for precision in ("fp32", "fp16", "int8"):
        picture = tmp_path / f"{precision}.png"
        words = ("--bundle", out, "--detector", "haar", "--threads", "1", "--set", "Smiling=1")
        aif("edit", photo, "-o", picture, "--precision", precision, *words)
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
        (("--precision", "fp32"), 2, "is a bundle, and nothing is to be added"),
        (("--precision", "fp16", "--name", "x"), 2, "is a bundle, --name is for runs"),
        (("--precision", "fp16", "--compositing", "delta"), 2, "is a bundle, --compositing is for runs"),
        (("--precision", "int8"), 1, "the model was trained on none, and where those faces are is not known"),
    ],
)
def test_mistakes(aif, bundle, tmp_path, words, code, says):
    """tests/export has those about the faces."""
    done = aif("export", bundle, "-o", tmp_path / "out.aif", *words, code=code)
    assert says in done.stderr and not (tmp_path / "out.aif").exists()
    assert len(done.stderr.strip().splitlines()) >= 2  # and what to do


def test_a_file_that_is_no_bundle(aif, tmp_path):
    (tmp_path / "notes.txt").write_text("no bundle")
    words = ("-o", tmp_path / "out.aif", "--precision", "int8")
    assert "notes.txt" in aif("export", tmp_path / "notes.txt", *words, code=1).stderr


@pytest.mark.parametrize("asked", ["int8", "fp8"])
def test_editing_in_a_precision_that_the_bundle_lacks(aif_edit, photo, tmp_path, asked):
    done = aif_edit(photo, "-o", tmp_path / "out.png", "--set", "Smiling=1", "--precision", asked)
    text = " ".join(done.stderr.split())
    assert done.code == 1 and "Traceback" not in text
    assert f"has no graphs of precision {asked!r}. It has: fp32." in text and "aif-export BUNDLE" in text
    assert not (tmp_path / "out.png").exists()
