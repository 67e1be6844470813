"""What a run on many machines has to do: places of any kind, results named, those that are there left out."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from aif.runtime.batch.places import plan_outputs
from aif.runtime.batch.sources import find_sources
from aif.runtime.errors import AifError, ConfigError, ImageError

fsspec = pytest.importorskip("fsspec", reason='needs pip install "aif[ray]"')

from aif.runtime.ray.places import Place  # noqa: E402
from aif.runtime.ray.tasks import FAILURES, find_tasks  # noqa: E402


@pytest.fixture
def memory():
    """The address of an empty object store, in this process's memory."""
    fsspec.filesystem("memory").store.clear()
    yield "memory://"
    fsspec.filesystem("memory").store.clear()


def fill(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def tasks(source, destination, **options):
    given = {"recursive": False, "overwrite": False, "kind": None, **options}
    return find_tasks(Place(str(source)), Place(str(destination)), **given)


@pytest.mark.parametrize("kind", ["folder", "object store"])
def test_what_is_put_is_found(kind, tmp_path, memory):
    url = str(tmp_path) if kind == "folder" else f"{memory}bucket"
    place = Place(url)
    for name in ("b.png", "a.jpg", "sub/c.png", ".hidden/d.png", ".e.png"):
        place.put(f"{place.path}/{name}", name.encode())
    place.put(f"{place.path}/a.jpg", b"again")
    a, b, c = (f"{place.path}/{name}" for name in ("a.jpg", "b.png", "sub/c.png"))
    assert place.fs.cat_file(a) == b"again"
    assert place.find(False) == [a, b] and place.find(True) == [a, b, c]
    assert Place(f"{url}/*.png").find(False) == [b] and Place(f"{url}/sub/c.png").find(False) == [c]
    assert {a, b, c} < place.existing(place.path) and place.existing(f"{place.path}/none") == set()
    assert not any(name.endswith(".part") for name in place.existing(place.path))
    for came in (b"again", b"mine"):  # the same from a worker that was started again, or other data
        with nullcontext() if came == b"again" else pytest.raises(ImageError, match="came there"):
            place.put(a, came, new=True)
    assert place.fs.cat_file(a) == b"again"
    for _ in range(2):
        place.remove(a)
    assert place.find(False) == [b]


def test_a_store_that_can_rename_gets_its_results_by_renaming(tmp_path):
    place = Place(f"dir::file://{tmp_path}")
    moved, real = [], place.fs.mv
    place.fs.mv = lambda a, b: (moved.append((a, b)), real(a, b))
    place.put("in/a.png", b"data")
    ((beside, path),) = moved
    assert path == "in/a.png" and beside.startswith("in/.aif-") and beside.endswith(".part")
    assert [file.name for file in (tmp_path / "in").iterdir()] == ["a.png"]


@pytest.mark.parametrize("url", ["nosuch://user:secret@host/a", "chained::memory://x"])
def test_an_address_that_nothing_answers_to(url):
    with pytest.raises(ConfigError, match="cannot be opened") as caught:
        Place(url)
    assert "secret" not in str(caught.value)


def test_missing_and_forbidden_places(tmp_path):
    with pytest.raises(ImageError, match="There is nothing at"):
        Place(str(tmp_path / "none")).find(False)
    (tmp_path / "file").write_text("")
    with pytest.raises(AifError):
        Place(str(tmp_path)).put(f"{tmp_path}/file/x.png", b"")


def test_a_destination_that_may_not_be_looked_at(memory, monkeypatch):
    place = Place(f"{memory}bucket")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(place.fs, "find", refuse)
    with pytest.raises(ImageError, match=r"memory://.*denied") as caught:
        place.existing(place.path)
    assert "credentials" in (caught.value.fix or "")


@pytest.mark.parametrize(
    ("destination", "kind"), [("new", None), ("new", "PNG"), ("new/{index:03d}_{stem}{ext}", None)]
)
def test_results_are_named_as_on_one_machine(tmp_path, monkeypatch, destination, kind):
    fill(tmp_path, "src/b.jpg", "src/a.png", "src/sub/c.JPEG")
    monkeypatch.chdir(tmp_path)
    jobs = plan_outputs(find_sources(["src"], True), destination, "_edited", kind, False)
    found = tasks("src", destination, recursive=True, kind=kind)
    assert found.outputs == {str(job.source.path.absolute()): str(job.target.absolute()) for job in jobs}
    assert found.report == str(tmp_path / "new" / FAILURES)


def test_one_picture_to_one_file(tmp_path):
    fill(tmp_path, "a.png")
    found = tasks(tmp_path / "a.png", tmp_path / "out" / "b.webp")
    assert found.outputs == {str(tmp_path / "a.png"): str(tmp_path / "out" / "b.webp")}
    assert found.report == str(tmp_path / "out" / FAILURES)


@pytest.mark.parametrize(
    ("overwrite", "names"), [(False, ["b.png", "c.png"]), (True, ["a.png", "b.png", "c.png"])]
)
def test_pictures_with_a_result_are_left_out_unless_it_is_to_be_replaced(tmp_path, overwrite, names):
    source = fill(tmp_path / "src", "a.png", "b.png", "c.png")
    fill(tmp_path / "out", "a.png", ".aif-1-b.png.part", "other.png")
    found = tasks(source, tmp_path / "out", overwrite=overwrite)
    assert [Path(output).name for output in found.outputs.values()] == names
    assert found.done == 3 - len(names)


def test_results_within_the_source_are_no_sources_and_other_files_are_counted(tmp_path):
    source = fill(tmp_path, "a.png", "v.mp4", "w.gif", "notes.txt", "out/a.png")
    found = tasks(source, source / "out", recursive=True)
    assert (found.outputs, found.done) == ({}, 1) and found.others == {".mp4": 1, ".gif": 1, ".txt": 1}


@pytest.mark.parametrize(
    ("destination", "kind", "message"),
    [
        ("src", ConfigError, "to be edited itself"),
        ("{stem}.png", ConfigError, "would both be written"),
        ("{name}.{nothing}", ConfigError, "unknown field"),
        ("memory://bucket", ConfigError, "one process's memory"),
    ],
)
def test_what_cannot_be(tmp_path, monkeypatch, destination, kind, message):
    fill(tmp_path / "src", "a.png", "a.jpg", "sub/b.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=message):
        tasks("src", destination)


def test_no_pictures(tmp_path):
    with pytest.raises(ImageError, match="no pictures") as caught:
        tasks(fill(tmp_path / "outer", "sub/a.png"), tmp_path / "x")
    assert "--recursive" in (caught.value.fix or "")
