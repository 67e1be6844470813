"""`aif edit --engine ray`: its steps, its options, and a real cluster whose worker is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from PIL import Image

from aif.runtime.batch.machine import Machine
from aif.runtime.batch.plan import Edit, EditPlan, Output
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import AifError

pytest.importorskip("ray.data", reason='needs pip install "aif[ray]"')

import pyarrow as pa
from ray.data.datasource import WriteResult

from aif.runtime.ray import cluster as ray_cluster
from aif.runtime.ray.job import JobResult, run_job
from aif.runtime.ray.places import Place
from aif.runtime.ray.setup import Setup
from aif.runtime.ray.tasks import FAILURES, find_tasks
from aif.runtime.ray.worker import EditWorker, ResultSink

PLAN = EditPlan(Edit({"Smiling": 1.0}))
PICTURES = 8


@pytest.fixture
def source(tmp_path, portrait_rgb):
    """A face, nothing, and a broken picture."""
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(portrait_rgb).save(folder / "face.png")
    Image.fromarray(np.full((60, 60, 3), 90, np.uint8)).save(folder / "grey.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def setup(bundle, plan=PLAN):
    return Setup.of(plan, Machine("cpu", "haar"), Bundle.open(bundle), bundle, here=True)


def work(setup, source):
    """What the two steps of a run make of the pictures in a folder, by name; results go to `out`."""
    tasks = find_tasks(Place(str(source)), Place(str(source.parent / "out")), False, True, None)
    files = [{"path": path, "bytes": Path(path).read_bytes()} for path in tasks.outputs]
    made = EditWorker(setup, str(source), tasks.outputs)(pa.Table.from_pylist(files))
    sink = ResultSink(str(source.parent / "out"))
    sink.on_write_complete(WriteResult(3, 0, [sink.write([pa.table(made)], None)]))
    return {Path(path).stem: record for path, record in sink.records.items()}


def test_pictures_are_edited_as_on_one_machine(source, bundle, tmp_path, aif_edit):
    before = cv2.getNumThreads()
    try:
        records = work(setup(bundle), source)
        assert cv2.getNumThreads() == 1, "as many as the worker has"
    finally:
        cv2.setNumThreads(before)
    found = {name: record["status"] for name, record in records.items()}
    assert found == {"broken": "failed", "face": "edited", "grey": "no_face"}
    assert "error" in records["broken"] and records["face"]["output"].endswith("/out/face.png")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["face.png"]
    words = ("--set", "Smiling=1", "--provider", "cpu", "-o", tmp_path / "local.png")
    assert aif_edit(source / "face.png", *words).code == 0
    assert (tmp_path / "local.png").read_bytes() == (tmp_path / "out" / "face.png").read_bytes()


@pytest.mark.parametrize(
    ("plan", "name", "width"),
    [
        (EditPlan(PLAN.edit, Output(copy_unedited=True)), "grey", 60),
        (EditPlan(Edit({"Smiling": 1.0}, compare=True)), "face", 400),
        (EditPlan(Edit(sweep=("Smiling", (0.0, 1.0)))), "face", 700),
    ],
)
def test_copies_comparisons_and_sweeps(source, bundle, tmp_path, plan, name, width):
    assert work(setup(bundle, plan), source)[name]["status"] in ("copied", "edited")
    assert Image.open(tmp_path / "out" / f"{name}.png").width >= width
    if name == "grey":
        assert (tmp_path / "out" / "grey.png").read_bytes() == (source / "grey.png").read_bytes()


def test_a_worker_that_cannot_start_says_why(source, bundle):
    for record in work(replace(setup(bundle), fingerprint="other"), source).values():
        assert record["status"] == "failed"
        assert "cannot start: " in record["error"] and "is not the one" in record["error"]


def test_a_result_that_cannot_be_put_is_a_failure(source, bundle, tmp_path):
    (tmp_path / "out" / "face.png").mkdir(parents=True)
    assert work(setup(bundle), source)["face"]["status"] == "failed"


def test_all_workers_have_the_same_detector_and_precision(bundle, tmp_path, monkeypatch):
    opened, machine = Bundle.open(bundle), Machine("auto", "auto")
    monkeypatch.setenv("AIF_CACHE", str(tmp_path / "empty"))
    monkeypatch.delenv("AIF_YUNET", raising=False)
    decided = Setup.of(PLAN, machine, opened, bundle, here=False)
    assert decided.machine.detector in ("aif", "haar")  # as the embedded bundle has a detector or none
    assert (decided.machine.precision, decided.machine.threads) == ("fp32", 1)
    (tmp_path / "yunet.onnx").write_bytes(b"one")
    monkeypatch.setenv("AIF_YUNET", str(tmp_path / "yunet.onnx"))
    decided = Setup.of(PLAN, machine, opened, bundle, here=False)
    assert decided.machine.detector == "yunet"
    assert decided.machine.yunet == tmp_path / "yunet.onnx"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("src",), "one source and one destination"),
        (("src", "dst", "-o", "more"), "not 3 places"),
        (("demo", "dst"), "no streams and no demo"),
        (("src", "dst", "--webcam"), "--webcam makes no sense"),
        (("src", "dst", "--json"), "--json makes no sense"),
        (("src", "dst", "--workers", "0"), "--workers must be at least 1"),
        (("src", "dst", "--set", "Smilling"), "Did you mean Smiling"),
        (("memory://a", "dst"), "one process's memory"),
        (("nosuch://a", "dst"), "cannot be opened"),
        (("src", "dst", "--faces", "all"), "nothing to do"),
    ],
)
def test_options_that_make_no_sense(aif_edit, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.png").write_bytes(b"x")
    options = () if {"--set", "--faces"} & set(words) else ("--set", "Smiling")
    done = aif_edit("--engine", "ray", *words, *options)
    assert done.code in (1, 2) and said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("resources", "workers", "threads", "on_gpus", "size"),
    [
        ({"CPU": 8.0}, None, 3, False, 2),
        ({"CPU": 8.0}, 5, 2, False, None),
        ({"CPU": 2.0}, None, 4, False, None),
        ({"CPU": 8.0, "GPU": 2.0}, None, 1, True, 2),
        ({"CPU": 8.0}, None, 1, True, None),
    ],
)
def test_as_many_workers_as_there_is_room_for(resources, workers, threads, on_gpus, size):
    if size is None:
        with pytest.raises(AifError, match=r"GPU|room"):
            ray_cluster.pool_size(resources, workers, threads, on_gpus)
    else:
        assert ray_cluster.pool_size(resources, workers, threads, on_gpus) == size


@pytest.mark.parametrize(("address", "tries"), [(None, 3), ("10.0.0.1:6379", 1)])
def test_a_cluster_that_cannot_be_had(monkeypatch, address, tries):
    asked = []

    def init(**options):
        asked.append(options["address"])
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(sys.modules["ray"], "init", init)
    monkeypatch.setenv("RAY_ADDRESS", address or "")
    with pytest.raises(AifError, match="nobody answers"), ray_cluster.cluster(1):
        pass
    assert asked == [address or "local"] * tries


@pytest.mark.parametrize("address", [None, "10.0.0.1:6379"])
def test_a_cluster_of_our_own_turns_others_away_and_sends_nothing_home(monkeypatch, address):
    names, seen = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"), []
    monkeypatch.setenv("RAY_ADDRESS", address or "")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "the user's")
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    ray = sys.modules["ray"]
    monkeypatch.setattr(
        ray, "init", lambda **options: seen.append((*(os.environ[name] for name in names), options))
    )
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    for _ in range(2):
        with ray_cluster.cluster(2) as resources:
            assert resources == {"CPU": 2.0} and os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert [os.environ[name] for name in names] == ["disabled", "the user's"], "as they were"
    modes, tokens, options = ({str(each[i]) for each in seen} for i in range(3))
    if address is None:
        assert modes == {"token"} and len(tokens) == 2 and all(len(token) == 64 for token in tokens)
        assert all("'include_dashboard': False" in each for each in options)
    else:
        assert (modes, tokens) == ({"disabled"}, {"the user's"}), "another's cluster has rules of its own"


def test_nothing_to_do_starts_no_cluster_and_removes_an_old_report(source, bundle):
    out = source.parent / "out"
    out.mkdir()
    for name in ("face.png", "grey.png", "broken.png", FAILURES):
        (out / name).write_bytes(b"x")
    tasks = find_tasks(Place(str(source)), Place(str(out)), False, False, None)
    assert run_job(tasks, setup(bundle), None) == JobResult((), ())
    assert tasks.done == 3 and not (out / FAILURES).exists()


@pytest.fixture
def job(tmp_path, portrait_rgb, bundle):
    """The command in a process of its own, on faces with odd names, an empty and a broken picture."""
    folder = tmp_path / "src"
    folder.mkdir()
    odd = ("a b.png", "ü 笑.png", "h#x.png", "p%20x.png", "q?x.png")
    for number, name in enumerate([*odd, *(f"{number:02d}.png" for number in range(PICTURES))]):
        Image.fromarray(np.maximum(portrait_rgb, 8) - number % 8).save(folder / name)
    Image.fromarray(np.full((60, 60, 3), 90, np.uint8)).save(folder / "grey.png")
    (folder / "broken.png").write_bytes(b"no picture")
    words = ["edit", "--engine", "ray", str(folder), str(tmp_path / "out"), "--set", "Smiling=2", "-v"]
    words += ["--workers", "1", "--bundle", str(bundle), "--detector", "haar", "--provider", "cpu"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, "-m", "aif.cli.main", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        yield process
        process.kill()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills a worker as Linux and macOS do")
def test_a_worker_is_killed_and_nothing_is_lost(tmp_path, job, aif_edit):
    source, out = tmp_path / "src", tmp_path / "out"
    end = time.monotonic() + 400
    while not list(out.glob("*.png")):
        assert time.monotonic() < end and job.poll() is None, job.stderr and job.stderr.read()[-3000:]
        time.sleep(0.02)
    below = psutil.Process(job.pid).children(recursive=True)
    alive = (each for each in below if each.status() != psutil.STATUS_ZOMBIE)
    workers = [each for each in alive if "EditWorker" in " ".join(each.cmdline())]
    os.kill(workers[0].pid, signal.SIGKILL)
    before = len(list(out.glob("*.png")))
    _, said = job.communicate(timeout=400)
    assert job.returncode == 1, said
    names = {path.name for path in source.iterdir()} - {"grey.png", "broken.png"}
    assert before < len(names), "it was killed in the middle"
    assert {path.name for path in out.glob("*.png")} == names
    assert len(list(out.glob(".*"))) <= 1, "nothing half written, but for what the killed one had in hand"
    for name in names:
        change = np.asarray(Image.open(out / name)).astype(int) - np.asarray(Image.open(source / name))
        assert change[:, :, 1:].min() < -40
    failures = [json.loads(line) for line in (out / FAILURES).read_text().splitlines()]
    assert [(Path(each["input"]).name, each["status"]) for each in failures] == [
        ("broken.png", "failed"),
        ("grey.png", "no_face"),
    ]
    assert all(each["error"] in said for each in failures) and FAILURES in said

    for name in ("grey.png", "broken.png"):
        (source / name).unlink()
    times = {path: path.stat().st_mtime_ns for path in out.glob("*.png")}
    again = aif_edit("--engine", "ray", source, out, "--set", "Smiling=2", "--provider", "cpu", "-v")
    assert again.code == 0 and f"{len(names)} pictures have a result already" in again.stderr, again.stderr
    assert times == {path: path.stat().st_mtime_ns for path in out.glob("*.png")}
