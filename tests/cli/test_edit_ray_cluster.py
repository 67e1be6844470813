"""`aif edit --engine ray` on a real Ray cluster of two workers on this machine, one of which is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aif.cli.ray.manifest import FINAL, Record, read_records
from aif.cli.ray.store import Place
from aif.runtime.errors import AifError

pytest.importorskip("ray.data", reason='needs pip install "aif[ray]"')

PICTURES = 40

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="kills a worker as Linux and macOS do"),
]


@pytest.fixture
def source(tmp_path: Path, portrait_rgb: np.ndarray) -> Path:
    """Pictures of a face, each of its own brightness; one without a face."""
    folder = tmp_path / "src"
    folder.mkdir()
    for number in range(PICTURES):
        Image.fromarray(np.maximum(portrait_rgb, 8) - number % 8).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture
def job(source: Path, tmp_path: Path, bundle: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, in a process of its own."""
    words = ["edit", "--engine", "ray", str(source), str(tmp_path / "out"), "--set", "Smiling=2", "-v"]
    words += ["--workers", "2", "--bundle", str(bundle), "--detector", "haar", "--provider", "cpu"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    with subprocess.Popen(
        [sys.executable, "-m", "aif.cli.main", *words],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        yield process
        process.kill()


def records(out: Path) -> list[Record]:
    place = Place(str(out))
    return list(read_records(place, place.path))


def first_worker(out: Path, job: subprocess.Popen[str], seconds: float = 240) -> int:
    """The process that has finished a picture first."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and job.poll() is None:
        for record in records(out):
            if record.status in FINAL and record.worker:
                return int(record.worker.rpartition(":")[2])
        time.sleep(0.02)
    raise AssertionError(f"no picture was finished: {job.stderr and job.stderr.read()[-3000:]}")


def test_a_worker_is_killed_and_nothing_is_lost_or_done_twice(
    source: Path, tmp_path: Path, job: subprocess.Popen[str], aif_edit: Callable[..., Any]
) -> None:
    out = tmp_path / "out"
    killed = first_worker(out, job)
    os.kill(killed, signal.SIGKILL)
    before = sum(record.status in FINAL for record in records(out))
    _, said = job.communicate(timeout=240)
    assert job.returncode == 0, said
    assert before < PICTURES, "it was killed in the middle"

    lines = records(out)
    done = Counter(record.input for record in lines if record.status in FINAL)
    assert len(done) == PICTURES and set(done.values()) == {1}, "each is written down once"
    assert all(record.status != "failed" for record in lines)
    workers = Counter(record.worker for record in lines if record.status == "edited")
    mine = sum(count for worker, count in workers.items() if worker and worker.endswith(f":{killed}"))
    assert 0 < mine < PICTURES and len(workers) >= 2, "others went on"
    assert sorted(path.name for path in out.glob("*.png")) == sorted(p.name for p in source.iterdir())
    assert len(list(out.glob(".*"))) <= 1, "nothing half written, but for what the killed one had in hand"
    for path in out.glob("*.png"):
        change = np.asarray(Image.open(path)).astype(int) - np.asarray(Image.open(source / path.name))
        assert change[:, :, 1:].min() < -40

    times = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    again = aif_edit("--engine", "ray", source, out, "--set", "Smiling=2", "--provider", "cpu", "-v")
    assert again.code == 0 and f"({PICTURES} of them by an earlier run)" in again.stderr, again.stderr
    assert times == {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("address", "tries"), [(None, 3), ("10.0.0.1:6379", 1)])
def test_a_cluster_that_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch, address: str | None, tries: int
) -> None:
    from aif.cli.ray import cluster as edit_ray_cluster

    asked = []

    def init(**options: Any) -> None:
        asked.append(options["address"])
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(sys.modules["ray"], "init", init)
    if address is None:
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
    else:
        monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(AifError, match="nobody answers"), edit_ray_cluster.cluster(1):
        pass
    assert asked == [address or "local"] * tries


def test_ray_sends_nothing_home(monkeypatch: pytest.MonkeyPatch) -> None:
    from aif.cli.ray import cluster as edit_ray_cluster

    told: dict[str, Any] = {}
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    ray = sys.modules["ray"]
    monkeypatch.setattr(ray, "init", lambda **options: told.update(options, env=dict(os.environ)))
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    with edit_ray_cluster.cluster(2) as resources:
        assert resources == {"CPU": 2.0}
    assert told["include_dashboard"] is False and told["address"] == "local"
    assert told["env"]["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.parametrize("address", [None, "10.0.0.1:6379"])
def test_a_cluster_of_our_own_turns_others_away(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    from aif.cli.ray import cluster as edit_ray_cluster

    names, seen = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"), []
    monkeypatch.setenv("RAY_ADDRESS", address or "")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "the user's")
    ray = sys.modules["ray"]
    monkeypatch.setattr(ray, "init", lambda **_: seen.append([os.environ[name] for name in names]))
    monkeypatch.setattr(ray, "cluster_resources", dict)
    for _ in range(2):
        with edit_ray_cluster.cluster(2):
            pass
    assert [os.environ[name] for name in names] == ["disabled", "the user's"], "as they were"
    if address is None:
        assert [mode for mode, _ in seen] == ["token"] * 2
        assert len({token for _, token in seen}) == 2 and all(len(token) == 64 for _, token in seen)
    else:
        assert seen == [["disabled", "the user's"]] * 2, "another's cluster has rules of its own"
