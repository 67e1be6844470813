"""`aif prepare`: the words of the command line reach the library, and what became of the photos is told."""

import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path, portrait_rgb):
    folder = tmp_path / "photos"
    folder.mkdir()
    names = []
    for number in range(12):
        Image.fromarray(portrait_rgb[:, :: (-1) ** number]).save(folder / f"{number}.png")
        names.append(f"{number}.png,{number % 2},1")
    Image.new("RGB", (50, 50)).save(folder / "blank.png")
    (folder / "labels.csv").write_text(
        "\n".join(["file,Smiling,Hat", *names, "blank.png,0,0", "gone.png,0,0"])
    )
    return folder


@pytest.mark.parametrize(("kept", "other", "hint"), [("Smiling", "Hat", False), ("Hat", "Smiling", True)])
def test_photos_become_packed_faces(photos, tmp_path, aif, bundle, kept, other, hint):
    out = tmp_path / "faces"
    words = ("--attributes", kept, "--size", "64", "--detector", "haar", "--bundle", bundle)
    said = aif("prepare", photos, "-o", out, *words).text
    assert "aif-train --data" in said and f"--attributes {kept}" in said
    assert ("--region Hat=PART" in said) == hint
    assert "14 photos: " in said and "1 without a face: blank.png" in said and "1 missing: gone.png" in said
    table = (out / "labels.csv").read_text().splitlines()
    assert kept in table[0] and other not in table[0] and len(table) == 13


def test_faces_without_labels_are_not_offered_for_training(photos, tmp_path, aif, bundle):
    (photos / "labels.csv").unlink()
    said = aif("prepare", photos, "-o", tmp_path / "faces", "--detector", "haar", "--bundle", bundle).text
    assert "no labels" in said and "aif-train" not in said


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--attributes", "Smilng"], 2, "Did you mean Smiling?"),
        (["--size", "4"], 2, "out of range"),
        (["--table", "nowhere.csv"], 1, "nowhere.csv"),
        (["--detector", "dlib"], 2, "Known: auto, aif, yunet, haar"),
    ],
)
def test_wrong_words(photos, tmp_path, aif, bundle, words, code, said):
    detector = [] if "--detector" in words else ["--detector", "haar"]
    words = ["-o", tmp_path / "faces", "--bundle", bundle, *detector, *words]
    assert said in aif("prepare", photos, *words, code=code).stderr
    assert not (tmp_path / "faces").exists()
