"""Which pictures are meant and where results go: clashes are found before any work. And a file's record."""

import json
import os
from pathlib import Path

import pytest

from aif.runtime.batch.places import Job, plan_outputs
from aif.runtime.batch.record import FileRecord
from aif.runtime.batch.sources import Source, find_sources
from aif.runtime.errors import AifError, ConfigError, ImageError

FILES = (
    "a.jpg",
    "B.PNG",
    "two words.webp",
    "ü 笑.tif",
    "notes.txt",
    ".hidden.jpg",
    "in/c.bmp",
    "in/.deep/d.jpg",
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, with a few files in `photos`."""
    for name in FILES:
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "od[d].jpg").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "recursive", "found"),
    [
        (["photos/a.jpg"], False, ["photos/a.jpg"]),
        (["photos"], False, ["photos/B.PNG", "photos/a.jpg", "photos/two words.webp", "photos/ü 笑.tif"]),
        (
            ["photos/"],
            True,
            ["photos/B.PNG", "photos/a.jpg", "photos/in/c.bmp", "photos/two words.webp", "photos/ü 笑.tif"],
        ),
        (["photos/*.jpg"], False, ["photos/a.jpg"]),
        (["photos/**/*.bmp"], False, ["photos/in/c.bmp"]),
        (["od[d].jpg"], False, ["od[d].jpg"]),
        (["photos/a.jpg", "photos/../photos/a.jpg", "photos/a.jpg"], False, ["photos/a.jpg"]),
        (["demo", "-", "photos/a.jpg"], False, ["demo", "standard input", "photos/a.jpg"]),
    ],
)
def test_what_words_mean(words, recursive, found):
    assert [source.label for source in find_sources(words, recursive)] == found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["photos/b.jpg"], "There is no file"),
        (["fotos/a.jpg"], "There is no folder"),
        (["photos/*.gif"], "No picture matches"),
        (["empty"], "no pictures in the folder"),
    ],
)
def test_words_that_mean_nothing(words, said):
    with pytest.raises(ImageError, match=said):
        find_sources(words, recursive=False)


def test_what_is_left_out_of_a_folder_is_said_with_its_reason(folder, caplog):
    raw, jpeg = b"II*\0", b"\xff\xd8\xff"
    heads = {"a.nef": raw, "b.NEF": raw, "c.dat": jpeg, "notes.txt": b"words", "a_edited.jpg": b"x"}
    for name, head in heads.items():
        (folder / "photos" / name).write_bytes(head)
    plan_outputs(find_sources(["photos"], recursive=False), None, "_edited", None, overwrite=True)
    for said in (
        "photos: its subfolders are left out",
        "1 results of earlier runs are left out, such as photos/a_edited.jpg",
        "a.nef is a camera raw file, which aif does not read. It is left out, as is 1 more of the kind.",
        "photos/c.dat is a JPEG picture, but not named as one",
        "photos/notes.txt is a text file, not a picture",
    ):
        assert said in caplog.text


@pytest.mark.parametrize("locked", ["photos", "photos/in"])
def test_a_folder_that_cannot_be_read_is_an_error(folder, monkeypatch, locked):
    scandir = os.scandir

    def refused(path):
        if Path(path) == Path(locked):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(ImageError, match=f"Cannot read the folder {locked}: Permission denied"):
        find_sources(["photos"], recursive=True)
    (folder / "empty" / "in").mkdir()
    monkeypatch.setattr(
        os, "scandir", lambda path: refused("photos/in") if str(path) == "empty/in" else scandir(path)
    )
    with pytest.raises(ImageError, match="no pictures in the folder"):
        find_sources(["empty"], recursive=False)


def test_a_folder_of_folders_says_how_to_look_into_them(folder):
    (folder / "upper").mkdir()
    (folder / "photos").rename(folder / "upper" / "photos")
    with pytest.raises(ImageError, match="--recursive"):
        find_sources(["upper"], recursive=False)
    assert len(find_sources(["upper"], recursive=True)) == 5


def named(*names):
    return [Source(name, Path(name), Path(Path(name).name)) for name in names]


def listed(*names):
    """As found in the folder `photos`."""
    return [Source(f"photos/{name}", Path("photos") / name, Path(name), listed=True) for name in names]


STDIN, DEMO = Source("standard input", None, Path("stdin.png")), Source("demo", None, Path("demo.png"))


@pytest.mark.parametrize(
    ("sources", "out", "kind", "targets"),
    [
        (named("p/a.jpg"), None, None, ["p/a_edited.jpg"]),
        (named("p/a.jpeg"), None, "PNG", ["p/a_edited.png"]),
        (named("a.b.JPG"), None, None, ["a.b_edited.JPG"]),
        (listed("a.jpg", "in/c.bmp"), None, None, ["photos/a_edited.jpg", "photos/in/c_edited.bmp"]),
        ([DEMO], None, None, ["demo_edited.png"]),
        ([STDIN], None, None, [None]),
        (named("a.jpg"), "-", None, [None]),
        (named("a.jpg"), "deep/er/out.png", None, ["deep/er/out.png"]),
        (named("a.jpg"), "out", "JPEG", ["out"]),
        (named("p/a.jpg"), "empty", None, ["empty/a.jpg"]),
        (named("p/a.jpg"), "new/", None, ["new/a.jpg"]),
        (named("p/a.jpg", "q/b.png"), "new/", "WEBP", ["new/a.webp", "new/b.webp"]),
        (listed("a.jpg", "in/c.bmp"), "new", None, ["new/a.jpg", "new/in/c.bmp"]),
        (listed("a.jpg"), "new", None, ["new/a.jpg"]),
        (named("p/a.jpg", "b.png"), "{stem}_x{ext}", None, ["a_x.jpg", "b_x.png"]),
        (named("p/a.jpg", "b.png"), "o/{index:03d}_{name}", None, ["o/001_a.jpg", "o/002_b.png"]),
        (named("p/a.jpg"), "{{{stem}}}{ext}", None, ["{a}.jpg"]),
        ([STDIN], "{stem}{ext}", None, ["stdin.png"]),
    ],
)
def test_where_results_go(sources, out, kind, targets):
    jobs = plan_outputs(sources, out, "_edited", kind, overwrite=False)
    assert [job.target for job in jobs] == [None if name is None else Path(name) for name in targets]


@pytest.mark.parametrize(
    ("sources", "out", "said"),
    [
        (named("a.jpg", "b.jpg"), "-", "Only one picture"),
        ([STDIN, *named("a.jpg")], None, "Only one picture"),
        (named("a.jpg", "b.jpg"), "out.jpg", "cannot all go to out.jpg"),
        (named("p/a.jpg", "q/a.jpg"), "new/", "would both be written"),
        (named("a.jpg"), "out", "For a folder write out/"),
        (named("a.jpg"), "out.gif", "cannot write pictures of the kind '.gif'"),
        (named("a.jpg"), "{stem}.gif", "cannot write pictures of the kind '.gif'"),
        (named("a.jpg"), "{stem}", "without a suffix"),
        (named("a.jpg"), "{nome}{ext}", "unknown field {nome}"),
        (named("a.jpg"), "{stem.__class__}{ext}", "unknown field"),
        (named("a.jpg"), "{}{ext}", "unknown field"),
        (named("a.jpg"), "{stem!r}{ext}", "unknown field"),
        (named("a.jpg"), "{stem{ext}", "not a pattern"),
        (named("a.jpg"), "{stem:d}{ext}", "not a pattern"),
        (named("photos/a.jpg"), "photos/a.jpg", "exists already"),
        (listed("a.jpg", "B.PNG"), "photos", "exist already"),
        (named("b.jpg"), "photos/a.jpg", "photos/a.jpg exists already"),
    ],
)
def test_clashes(sources, out, said):
    with pytest.raises(AifError) as caught:
        plan_outputs(sources, out, "_edited", None, overwrite=False)
    assert said in str(caught.value) and caught.value.fix


def test_overwriting_is_allowed_when_asked(folder):
    (job,) = plan_outputs(named("photos/a.jpg"), "photos/a.jpg", "_edited", None, overwrite=True)
    assert job == Job(named("photos/a.jpg")[0], Path("photos/a.jpg"))


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_result_never_replaces_another_picture_that_is_to_be_edited(folder, overwrite):
    for name in ("1.jpg", "2.jpg"):
        (folder / name).write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"2.jpg would replace 1.jpg, which is to be edited itself"):
        plan_outputs(named("2.jpg", "1.jpg"), "{index}.jpg", "_edited", None, overwrite)


def test_an_existing_folder_of_that_name_is_in_the_way(folder):
    (folder / "a_edited.jpg").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        plan_outputs(named("a.jpg"), None, "_edited", None, overwrite=True)


def test_a_second_run_over_a_folder_does_not_edit_the_results_of_the_first(folder):
    (folder / "photos" / "a_edited.jpg").write_bytes(b"x")
    (folder / "photos" / "lone_edited.jpg").write_bytes(b"x")
    jobs = plan_outputs(find_sources(["photos"], False), None, "_edited", None, overwrite=True)
    stems = {job.source.place.stem for job in jobs}
    assert "a_edited" not in stems and {"a", "lone_edited"} <= stems


def test_a_link_beside_its_file_is_edited_once_and_that_is_said(folder, caplog):
    (folder / "photos" / "b link.jpg").symlink_to(folder / "photos" / "a.jpg")
    found = [source.label for source in find_sources(["photos"], False)]
    assert "photos/a.jpg" in found and "photos/b link.jpg" not in found
    assert "photos/b link.jpg is the same file as photos/a.jpg, and edited once." in caplog.text


@pytest.mark.parametrize("name", [b"a.jpg", "Ü 笑 😀.jpg".encode(), b"caf\xe9.jpg", b'\xff\n".jpg'])
def test_any_file_name_is_valid_utf_8_and_comes_back(name):
    line = FileRecord(os.fsdecode(name)).as_json()
    assert "\n" not in line
    assert os.fsencode(json.loads(line.encode())["input"]) == name
    assert ("笑" in line) == ("笑".encode() in name), "text stays readable"
