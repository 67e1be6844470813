"""`aif edit --engine ray` without a cluster: places, manifests, plans, one worker, and options refused."""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from aif.cli.edit.paths import find_sources, plan_outputs
from aif.cli.edit.run import EditPlan
from aif.cli.ray.cluster import pool_size
from aif.cli.ray.job import Choices
from aif.cli.ray.manifest import Record, Segment, new_run, read_records
from aif.cli.ray.plan import RayPlan, plan_run
from aif.cli.ray.settings import same_yunet, settings_hash, settle
from aif.cli.ray.store import Place
from aif.cli.ray.worker import (
    MOST_STARTS,
    SPARE_LOADS,
    EditWorker,
    Setup,
    Task,
    fingerprint,
    parse_answer,
)
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import AifError, ConfigError, ImageError

fsspec = pytest.importorskip("fsspec", reason='needs pip install "aif[ray]"')

PLAN = EditPlan(settings={"Smiling": 1.0})
RECORD = Record("edited", "file:///in/a.png", "file:///out/a.png", 3, "m", "s", output_size=5)


class Table(list[Task]):
    """What Ray Data hands to a worker, as far as the worker looks at it."""

    def to_pylist(self) -> list[dict[str, Any]]:
        return [vars(task) for task in self]


@pytest.fixture
def memory() -> Iterator[str]:
    """The address of an empty object store, in this process's memory."""
    fsspec.filesystem("memory").store.clear()
    yield "memory://"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture(params=["folder", "object store"])
def any_place(request: pytest.FixtureRequest, tmp_path: Path, memory: str) -> str:
    return str(tmp_path) if request.param == "folder" else f"{memory}bucket"


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def planned(source: Path | str, destination: Path | str, **options: Any) -> RayPlan:
    overwrite, recursive = options.pop("overwrite", False), options.pop("recursive", False)
    setup = Setup(str(source), str(destination), "", "", None, "f", "s", PLAN)
    plan = replace(PLAN, **options)
    return plan_run(Choices(str(source), str(destination), recursive, overwrite, None), plan, setup)


def finish(plan: RayPlan, status: str = "edited") -> None:
    """Do as the workers do, on a folder, without editing anything."""
    plan.begin()
    place = Place(plan.setup.destination)
    segment = Segment(place, plan.setup.root, plan.setup.run, "worker")
    for task, record in zip(plan.tasks, plan.planned, strict=True):
        size = None
        if status == "edited":
            place.put(task.output, b"result")
            size = 6
        segment.add([replace(record, status=status, output_size=size)])


def test_what_is_put_is_found_and_read(any_place: str) -> None:
    place = Place(any_place)
    for name in ("b.png", "a.jpg", "sub/c.png", ".hidden/d.png", ".e.png"):
        place.put(f"{place.path}/{name}", name.encode())
    place.put(f"{place.path}/a.jpg", b"again")
    names = [found.path.removeprefix(f"{place.path}/") for found in place.find(False)]
    assert names == ["a.jpg", "b.png"]
    every = {found.path.removeprefix(f"{place.path}/"): found for found in place.find(True)}
    assert list(every) == ["a.jpg", "b.png", "sub/c.png"]
    assert every["a.jpg"].size == 5 and every["a.jpg"].mark
    assert place.read(every["a.jpg"].path) == b"again"
    assert [found.path for found in Place(f"{any_place}/*.png").find(False)] == [every["b.png"].path]
    assert [found.path for found in Place(f"{any_place}/sub/c.png").find(False)] == [every["sub/c.png"].path]
    assert not any(name.endswith(".part") for name in place.sizes(place.path))


def test_a_store_that_can_rename_gets_its_results_by_renaming(
    memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, moved = Place(memory), []
    monkeypatch.setattr(place, "_protocols", {"sftp"})
    real = place.fs.mv
    monkeypatch.setattr(place.fs, "mv", lambda a, b: (moved.append((a, b)), real(a, b)))
    place.put("/bucket/a.png", b"data")
    ((beside, path),) = moved
    assert path == "/bucket/a.png" and beside.startswith("/bucket/.aif-") and beside.endswith(".part")
    assert place.read("/bucket/a.png") == b"data" and list(place.sizes("/bucket")) == ["/bucket/a.png"]


@pytest.mark.parametrize("url", ["nosuch://bucket/a", "chained::memory://x"])
def test_an_address_that_nothing_answers_to(url: str) -> None:
    with pytest.raises(ConfigError, match="cannot be opened"):
        Place(url)


def test_passwords_are_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        Place("nosuch://user:secret@host/a")
    assert "secret" not in str(caught.value)


def test_missing_and_forbidden_places(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="There is nothing at"):
        Place(str(tmp_path / "none")).find(False)
    (tmp_path / "file").write_text("")
    with pytest.raises(AifError):
        Place(str(tmp_path)).put(f"{tmp_path}/file/x.png", b"")


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), RuntimeError("Unable to locate credentials")]
)
def test_a_destination_that_may_not_be_looked_at_is_an_error_of_the_user(
    memory: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    place = Place(f"{memory}bucket")

    def refuse(*_: Any, **__: Any) -> None:
        raise error

    assert place.sizes(place.path) == {}
    monkeypatch.setattr(place.fs, "find", refuse)
    with pytest.raises(ImageError, match=r"memory://.*(denied|credentials)") as caught:
        place.sizes(place.path)
    assert "credentials" in (caught.value.fix or "")
    error = FileNotFoundError("nothing there")
    assert place.sizes(place.path) == {}


def test_a_manifest_is_read_back(any_place: str) -> None:
    place = Place(any_place)
    run, later = "20260101T000000Z-aa", new_run()
    for name, when in (("w", later), ("plan", run), ("w", run)):
        segment = Segment(place, place.path, when, name)
        segment.add([replace(RECORD, input=f"{when} {name} 1")])
        segment.add([replace(RECORD, input=f"{when} {name} {n}") for n in (2, 3)])
    names = [record.input for record in read_records(place, place.path)]
    assert names == [f"{run} {n} {i}" for n in ("plan", "w") for i in (1, 2, 3)] + [
        f"{later} w {i}" for i in (1, 2, 3)
    ]
    assert len(list(read_records(place, place.path, later))) == 3
    assert list(read_records(place, f"{place.path}/elsewhere")) == []


@pytest.mark.parametrize("torn", ["", '{"status": "edi', "{", '{"status": "edited"}'])
def test_a_line_that_was_cut_off_is_ignored(tmp_path: Path, torn: str) -> None:
    place = Place(str(tmp_path))
    Segment(place, place.path, "run", "w").add([RECORD])
    (path,) = tmp_path.rglob("*.jsonl")
    path.write_bytes(path.read_bytes() + torn.encode())
    (found,) = read_records(place, place.path)
    assert found.key == RECORD.key and found.time > 1.7e9


@pytest.mark.parametrize("line", ["nonsense", "[]", "3", '{"status": "edited"}'])
def test_a_damaged_manifest_is_told(tmp_path: Path, line: str) -> None:
    place = Place(str(tmp_path))
    Segment(place, place.path, "run", "w").add([RECORD])
    (path,) = tmp_path.rglob("*.jsonl")
    path.write_text(f"{line}\n{path.read_text()}")
    with pytest.raises(AifError, match="damaged in line 1"):
        list(read_records(place, place.path))


@pytest.mark.parametrize(
    ("destination", "kind"), [("new", None), ("new", "PNG"), ("new/{index:03d}_{stem}{ext}", None)]
)
def test_results_are_named_as_by_the_local_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, destination: str, kind: Any
) -> None:
    fill(tmp_path, "src/b.jpg", "src/a.png", "src/sub/c.JPEG")
    monkeypatch.chdir(tmp_path)
    jobs = plan_outputs(find_sources(["src"], True), destination, "_edited", kind, False)
    plan = planned("src", destination, recursive=True, kind=kind)
    assert {(task.path, task.output) for task in plan.tasks} == {
        (str(job.source.path.absolute()), str(job.target.absolute()))  # type: ignore[union-attr]
        for job in jobs
    }
    assert plan.setup.root == str(tmp_path / "new")


def test_one_picture_to_one_file(tmp_path: Path) -> None:
    fill(tmp_path, "a.png")
    plan = planned(tmp_path / "a.png", tmp_path / "out" / "b.webp")
    assert [task.output for task in plan.tasks] == [str(tmp_path / "out" / "b.webp")]
    assert plan.setup.root == str(tmp_path / "out")


@pytest.mark.parametrize("status", ["edited", "no_face", "failed"])
def test_a_second_run_does_only_what_failed(tmp_path: Path, status: str) -> None:
    source = fill(tmp_path / "src", "a.png", "b.png")
    finish(planned(source, tmp_path / "out"), status)
    again = planned(source, tmp_path / "out")
    assert len(again.tasks) == (2 if status == "failed" else 0)
    assert [record.status for record in again.known] == ([] if status == "failed" else [status] * 2)


def test_a_run_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    source, out = fill(tmp_path / "src", "a.png", "b.png", "c.png", "d.png"), tmp_path / "out"
    first = planned(source, out)
    first.begin()
    segment = Segment(Place(str(out)), first.setup.root, first.setup.run, "w")
    (out / "a.png").write_bytes(b"done")
    segment.add([replace(first.planned[0], status="edited", output_size=4)])
    (out / "b.png").write_bytes(b"put in place, and then the power went")
    (out / "c.png").write_bytes(b"spoilt later")
    segment.add([replace(first.planned[2], status="edited", output_size=4)])
    again = planned(source, out)
    assert [Path(task.output).name for task in again.tasks] == ["b.png", "c.png", "d.png"]
    assert [record.input for record in again.known] == [first.planned[0].input]


@pytest.mark.parametrize("change", ["input", "settings"])
def test_what_has_changed_is_done_again_if_that_is_asked_for(tmp_path: Path, change: str) -> None:
    source, out = fill(tmp_path / "src", "a.png", "b.png"), tmp_path / "out"
    finish(planned(source, out))
    setup = Setup(str(source), str(out), "", "", None, "f", "s", PLAN)
    if change == "input":
        os.utime(source / "a.png", (1, 1))
    else:
        setup = replace(setup, settings="others")
    with pytest.raises(ConfigError, match="already"):
        plan_run(Choices(str(source), str(out), False, False, None), PLAN, setup)
    plan = plan_run(Choices(str(source), str(out), False, True, None), PLAN, setup)
    assert len(plan.tasks) == (1 if change == "input" else 2)


def test_what_cannot_be(tmp_path: Path, memory: str) -> None:
    source = fill(tmp_path / "src", "a.png", "a.jpg", "sub/b.png", "v.mp4", "notes.txt")
    for destination, message in (
        (source, "to be edited itself"),
        (tmp_path / "{stem}.png", "would both be written"),
        (tmp_path / "{name}.{nothing}", "unknown field"),
        (f"{memory}bucket", "one process's memory"),
    ):
        with pytest.raises(ConfigError, match=message):
            planned(source, destination)
    fill(tmp_path / "out", "a.png")
    with pytest.raises(ConfigError, match=r"a\.png exists already"):
        planned(source, tmp_path / "out")
    assert len(planned(source, tmp_path / "out", overwrite=True).tasks) == 2
    with pytest.raises(ImageError, match="no pictures") as caught:
        planned(fill(tmp_path / "outer", "sub/a.png"), tmp_path / "x")
    assert "--recursive" in (caught.value.fix or "")


def test_results_within_the_source_are_no_sources_and_videos_are_counted(tmp_path: Path) -> None:
    source = fill(tmp_path, "a.png", "v.mp4", "w.gif", "notes.txt")
    finish(planned(source, source / "out", recursive=True))
    again = planned(source, source / "out", recursive=True)
    assert (again.tasks, len(again.known), again.left_out) == ((), 1, 2)


@pytest.fixture
def setup(bundle: Path, any_place: str, portrait_rgb: np.ndarray) -> Setup:
    """A job on a place with three pictures: a face, nothing, and a broken one."""
    place = Place(any_place)
    for name, rgb in (("face", portrait_rgb), ("grey", np.full((60, 60, 3), 90, np.uint8))):
        file = io.BytesIO()
        Image.fromarray(rgb).save(file, "png")
        place.put(f"{place.path}/in/{name}.png", file.getvalue())
    place.put(f"{place.path}/in/broken.png", b"no picture")
    sha = fingerprint(Bundle.open(bundle))
    folders = f"{any_place}/in", f"{any_place}/out", f"{place.path}/out"
    return Setup(*folders, "run", bundle, sha, "s", PLAN, "cpu", "haar")


def work(setup: Setup) -> dict[str, Record]:
    """What a worker says of each picture, by its name."""
    found = Place(setup.source).find(False)
    tasks = [Task(each.path, each.path.replace("/in/", "/out/"), each.size, each.mark) for each in found]
    answers = EditWorker(setup)(Table(tasks))["answer"]
    return {Path(record.input).stem: record for record in map(parse_answer, answers)}


def test_a_worker_edits_as_the_local_engine_does_and_writes_down_what_it_did(
    setup: Setup, tmp_path: Path, aif_edit: Callable[..., Any]
) -> None:
    place = Place(setup.destination)
    found = work(setup)
    assert {name: record.status for name, record in found.items()} == {
        "broken": "failed",
        "face": "edited",
        "grey": "no_face",
    }
    results = {path for path in place.sizes(setup.root) if path.endswith(".png")}
    assert results == {f"{setup.root}/face.png"}
    made = place.read(f"{setup.root}/face.png")
    assert found["face"].output_size == len(made) and found["face"].faces == 1
    photo = tmp_path / "photo.png"
    photo.write_bytes(Place(setup.source).read(f"{Place(setup.source).path}/face.png"))
    assert found["face"].sha256 == hashlib.sha256(photo.read_bytes()).hexdigest()
    assert aif_edit(photo, "--set", "Smiling=1", "--provider", "cpu", "-o", tmp_path / "local.png").code == 0
    assert (tmp_path / "local.png").read_bytes() == made
    lines = list(read_records(place, setup.root, "run"))
    statuses = Counter(record.status for record in lines)
    assert statuses == {"loading": 1, "started": 3, "edited": 1, "failed": 1, "no_face": 1}
    assert {record.worker for record in lines} == {found["face"].worker}


def test_a_worker_that_was_started_again_does_nothing_twice(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, count = work(setup), len(list(read_records(Place(setup.destination), setup.root)))
    monkeypatch.setattr(EditWorker, "_edit", lambda *_: pytest.fail("a picture was edited"))
    again = {name: replace(record, time=0.0) for name, record in work(setup).items()}
    assert again == first
    lines = list(read_records(Place(setup.destination), setup.root))
    assert len(lines) == count + 1 and sum(line.status == "loading" for line in lines) == 2


def test_a_picture_that_ends_its_workers_is_given_up(setup: Setup) -> None:
    place = Place(setup.destination)
    bad = replace(RECORD, status="started", input=place.name(f"{Place(setup.source).path}/face.png"))
    for number in range(MOST_STARTS):
        Segment(place, setup.root, "run", f"dead{number}").add([bad])
    found = work(setup)
    assert found["face"].status == "failed" and "ended its worker" in (found["face"].error or "")
    assert found["grey"].status == "no_face"


def test_workers_that_die_again_and_again_come_to_an_end(setup: Setup) -> None:
    place, loading = Place(setup.destination), replace(RECORD, status="loading", input="")
    Segment(place, setup.root, "run", "dead").add([loading] * (SPARE_LOADS + 3))
    assert work(replace(setup, workers=4))["face"].status == "edited"
    with pytest.raises(AifError, match="have died"):
        work(replace(setup, workers=3))


def test_copies_comparisons_and_sweeps(setup: Setup, portrait_rgb: np.ndarray) -> None:
    place = Place(setup.destination)
    assert work(replace(setup, plan=replace(PLAN, copy_unedited=True)))["grey"].status == "copied"
    grey = Place(setup.source).read(f"{Place(setup.source).path}/grey.png")
    assert place.read(f"{setup.root}/grey.png") == grey
    for number, options in enumerate(({"compare": True}, {"settings": {}, "sweep": ("Smiling", (0.0, 1.0))})):
        plan = replace(PLAN, **options)  # type: ignore[arg-type]
        assert work(replace(setup, run=f"run{number}", plan=plan))["face"].status == "edited"
        width, _ = Image.open(io.BytesIO(place.read(f"{setup.root}/face.png"))).size
        assert width > 1.9 * portrait_rgb.shape[1] or options.get("sweep")


@pytest.mark.parametrize(
    ("change", "said"),
    [({"fingerprint": "other"}, "not the one"), ({"provider": "cuda"}, "There is no NVIDIA")],
)
def test_a_worker_that_cannot_start_says_why(setup: Setup, change: dict[str, Any], said: str) -> None:
    if "provider" in change and _has_cuda():
        pytest.skip("CUDA is here")
    with pytest.raises(AifError, match=f"A worker cannot start: .*{said}"):
        work(replace(setup, **change))


def test_workers_are_told_detector_and_precision_and_the_hash_knows_them(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Bundle.open(bundle)
    hashes = []
    monkeypatch.setenv("AIF_CACHE", str(tmp_path / "empty"))
    monkeypatch.delenv("AIF_YUNET", raising=False)
    for contents in (None, b"one", b"another"):
        if contents is not None:
            (tmp_path / "yunet.onnx").write_bytes(contents)
            monkeypatch.setenv("AIF_YUNET", str(tmp_path / "yunet.onnx"))
        means = settle(opened, "auto", "auto", None, None, False)
        assert means.precision == "fp32"
        assert means.detector == ("haar" if contents is None else "yunet")
        assert means == settle(opened, "auto", means.detector, None, "fp32", False), "hashed alike"
        hashes.append(settings_hash(PLAN, "f", means))
    hashes.append(settings_hash(PLAN, "f", replace(means, precision="int8")))
    assert len(set(hashes)) == 4
    elsewhere = tmp_path / "not here.onnx"
    assert same_yunet(elsewhere, means.yunet_sha256) == tmp_path / "yunet.onnx"
    (tmp_path / "yunet.onnx").write_bytes(b"a third")
    with pytest.raises(ConfigError, match="The YuNet file that the job started with"):
        same_yunet(elsewhere, means.yunet_sha256)


def test_opencv_takes_no_more_threads_than_the_worker_has(setup: Setup) -> None:
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(3)
        work(setup)
        assert cv2.getNumThreads() == 3
        work(replace(setup, run="other", opencv_threads=1))
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)


def _has_cuda() -> bool:
    from aif.runtime.networks.sessions import choose_devices

    return "cuda" in choose_devices("auto")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("src",), "one source and one destination"),
        (("src", "dst", "-o", "more"), "not 3 places"),
        (("demo", "dst"), "no streams and no demo"),
        (("-", "dst"), "no streams and no demo"),
        (("src", "dst", "--webcam"), "--webcam makes no sense"),
        (("src", "dst", "--json"), "--json makes no sense"),
        (("src", "dst", "--fail-fast"), "--fail-fast makes no sense"),
        (("src", "dst", "--start", "3"), "--start makes no sense"),
        (("src", "dst", "--workers", "0"), "--workers must be at least 1"),
        (("src", "dst", "--mode", "magic"), "--mode"),
        (("src", "dst", "--precision", "int3"), "int3"),
        (("src", "dst", "--set", "Smilling"), "Did you mean Smiling"),
        (("src", "dst", "--engine", "dask"), "no engine 'dask'"),
        (("src", "dst", "--engine", "local", "--workers", "2"), "--workers is for --engine ray"),
        (("memory://a", "dst"), "one process's memory"),
        (("nosuch://a", "dst"), "cannot be opened"),
    ],
)
def test_options_that_make_no_sense(aif_edit: Callable[..., Any], words: tuple[str, ...], said: str) -> None:
    options = () if "--set" in words else ("--set", "Smiling")
    done = aif_edit("--engine", "ray", *words, *options)
    assert done.code in (1, 2) and said in done.stderr and "Traceback" not in done.stderr


def test_nothing_to_do_is_told(aif_edit: Callable[..., Any]) -> None:
    assert "nothing to do" in aif_edit("--engine", "ray", "src", "dst").stderr


@pytest.mark.parametrize(
    ("resources", "workers", "threads", "on_gpus", "size"),
    [
        ({"CPU": 8.0}, None, 1, False, 8),
        ({"CPU": 8.0}, None, 3, False, 2),
        ({"CPU": 8.0}, 3, 2, False, 3),
        ({"CPU": 8.0}, 5, 2, False, None),
        ({"CPU": 2.0}, None, 4, False, None),
        ({"CPU": 8.0, "GPU": 2.0}, None, 1, True, 2),
        ({"CPU": 8.0, "GPU": 2.0}, 3, 1, True, None),
        ({"CPU": 8.0}, None, 1, True, None),
    ],
)
def test_as_many_workers_as_there_is_room_for(
    resources: dict[str, float], workers: int | None, threads: int, on_gpus: bool, size: int | None
) -> None:
    if size is None:
        with pytest.raises(AifError, match=r"GPU|room"):
            pool_size(resources, workers, threads, on_gpus)
    else:
        assert pool_size(resources, workers, threads, on_gpus) == size
