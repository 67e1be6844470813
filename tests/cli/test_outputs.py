"""What every command does with the place of its result: taken before, taken meanwhile, of an unknown kind."""

from pathlib import Path

import pytest
from pictures import write_crops
from PIL import Image

from aif.runtime import files

EDIT = ["--set", "Smiling", "--detector", "haar"]
SHORT = ["--seconds", "0.01", "--rounds", "1"]


@pytest.fixture
def words_for(tmp_path, bundle, portrait_rgb, make_clip):
    """Fill in the places of a command line."""

    def fill(words, out):
        photos, crops = tmp_path / "photos", tmp_path / "crops"
        if "{photos}" in words or "{photo}" in words:
            photos.mkdir(exist_ok=True)
            Image.fromarray(portrait_rgb).save(photos / "a.png")
            (photos / "labels.csv").write_text("file,Smiling\na.png,1\n")
        if "{crops}" in words:
            write_crops(crops, 33)
        if "{film}" in words:
            make_clip(tmp_path / "film.mp4", frames=3)
        known = {"photos": photos, "photo": photos / "a.png", "crops": crops, "film": tmp_path / "film.mp4"}
        return [word.format(bundle=bundle, out=out, run=tmp_path, **known) for word in words]

    return fill


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["export", "{bundle}", "--precision", "fp16", "-o", "{out}"], ""),
        (["export-serving", "triton", "{bundle}", "-o", "{out}"], ""),
        (["bench", "image", "--json", "{out}"], ""),
        (["fit", "landmarks", "--data", "synthetic", "-o", "{out}.onnx"], ".onnx"),
        (["fit", "evaluator", "--data", "synthetic", "-o", "{out}"], "/evaluator.json"),
        (["fit", "identity", "--data", "synthetic", "-o", "{out}"], "/identity.safetensors"),
        (["eval", "{bundle}", "--realism", "Smiling", "-o", "{out}"], "/realism.md"),
        (["eval", "{bundle}", "--evaluator", "{run}", "-o", "{out}"], "/metrics.json"),
        (["eval", "table1", "--evaluator", "x", "-o", "{out}"], "/table1.json"),
        (["edit", "{photo}", "--set", "Smiling", "-o", "{out}.png"], ".png"),
        (["edit", "{film}", "--set", "Smiling", "-o", "{out}.mp4"], ".mp4"),
        (["edit", "--webcam", "synthetic", "--headless", "--record", "{out}.mp4"], ".mp4"),
    ],
)
def test_nothing_is_replaced_unasked(aif, words_for, tmp_path, words, name):
    place = Path(f"{tmp_path / 'out'}{name}")
    place.parent.mkdir(exist_ok=True)
    place.write_text("kept")
    done = aif(*words_for(words, tmp_path / "out"), code=2)
    assert "exists" in done.stderr and "--overwrite" in done.stderr and place.read_text() == "kept"


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize(
    "words",
    [
        ["export", "{bundle}", "--precision", "fp16", "--data", "{crops}", "-o", "{out}"],
        ["export-serving", "triton", "{bundle}", "-o", "{out}"],
        ["prepare", "{photos}", "--detector", "haar", "--bundle", "{bundle}", "-o", "{out}"],
        ["bench", "image", "{photo}", *EDIT, *SHORT, "--bundle", "{bundle}", "--json", "{out}"],
        ["edit", "{photo}", *EDIT, "--format", "png", "--bundle", "{bundle}", "-o", "{out}"],
    ],
)
def test_what_another_program_writes_meanwhile_stays(aif, words_for, tmp_path, monkeypatch, words, folder):
    """It comes in the moment in which the result is written."""
    out, part_beside = tmp_path / "out", files.part_beside
    theirs = out / "theirs" if folder else out

    def come(path):
        if path == out and not out.exists():
            theirs.parent.mkdir(exist_ok=True)
            theirs.write_text("theirs")
        return part_beside(path)

    monkeypatch.setattr(files, "part_beside", come)
    monkeypatch.setattr("aif.export.precision.precision.SPEED_SECONDS", 0.001)
    done = aif(*words_for(words, out), code=2)
    assert f"{out} was made by another program meanwhile" in done.stderr and "--overwrite" in done.stderr
    assert theirs.read_text() == "theirs"
    assert not list(tmp_path.rglob(".aif-*"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["edit", "{photo}", "--set", "Smiling", "-o", "{out}.mp4"], ".mp4"),
        (["edit", "{photo}", "--set", "Smiling", "-o", "{{stem}}.txt"], ".txt"),
        (["edit", "{photo}", "--set", "Smiling", "--format", "gif"], "gif"),
        (["edit", "{film}", "--set", "Smiling", "-o", "{out}.jpg"], ".mp4"),
        (["edit", "{film}", "--set", "Smiling", "-o", "{out}.png"], "%04d.png"),
        (["edit", "--webcam", "synthetic", "--headless", "--record", "{out}.gif"], ".mp4"),
        (["export", "{bundle}", "--precision", "fp16", "-o", "{out}.onnx"], ".aif"),
        (["fit", "landmarks", "--data", "synthetic", "-o", "{out}"], ".onnx"),
        (["fit", "matte", "--data", "synthetic", "-o", "{out}.aif"], ".onnx"),
    ],
)
def test_an_unknown_ending_is_a_wrong_option(aif, words_for, tmp_path, words, said):
    done = aif(*words_for(words, tmp_path / "out"), code=2)
    assert said in done.stderr
    assert not list(tmp_path.glob("out*"))
