"""Load what a benchmark needs, run it, and gather what its figures mean nothing without."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from aif.runtime.bench.image import bench_image
from aif.runtime.bench.live import bench_live
from aif.runtime.bench.measure import (
    Progress,
    Row,
    Setup,
    check_seconds_and_rounds,
    describe_machine,
    editor_for,
    load_each,
    plan_setups,
)
from aif.runtime.bench.networks import BATCHES, NetworkRow, Networks, bench_networks, networks_of
from aif.runtime.bench.steadiness import SteadinessRow, bench_steadiness
from aif.runtime.bench.video import bench_video
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.editing.editor import Editor
from aif.runtime.editing.options import parse_settings
from aif.runtime.errors import ConfigError
from aif.runtime.faces.detect import Detector, DetectorName, make_detector
from aif.runtime.fetch import yunet_path
from aif.runtime.image.io import demo_picture, encode_image, read_bytes
from aif.runtime.live.camera import open_camera, public_name
from aif.runtime.machine import core_count, load_average
from aif.runtime.video.read import VideoSource

SCHEMA = 1
"""Raised whenever a field of the JSON is dropped or changes its meaning."""

SYNTHETIC = "synthetic:1280x720@30"

Rows = Sequence[Row] | Sequence[NetworkRow] | Sequence[SteadinessRow]
Loaded = TypeVar("Loaded")

# Where --seconds was not given; a film is measured whole.
_SECONDS = {"image": 2.0, "live": 20.0, "networks": 0.3, "serve": 10.0}


class RunNetworks(Protocol):
    """The networks of a training run: its exported graphs by name, and PyTorch's."""

    @property
    def image_size(self) -> int: ...
    @property
    def step(self) -> int: ...
    @property
    def difference(self) -> float: ...
    @property
    def eager(self) -> Networks: ...
    @property
    def compiled(self) -> Networks: ...
    def onnx(self, setup: Setup) -> Mapping[str, Networks]: ...


@dataclass(frozen=True)
class BenchPlan:
    """What was asked for; None = not asked. Fields as the options of `aif bench`.

    `load_run` loads the networks of a training run, beside a bundle if there is one; it comes from outside,
    as it needs PyTorch.
    """

    what: str
    sources: tuple[str, ...]
    bundle: Path | None
    settings: tuple[str, ...]
    threads: tuple[int, ...] | None
    providers: tuple[str, ...] | None
    detector: str
    yunet: Path | None
    seconds: float | None
    rounds: int
    run: Path | None
    batches: tuple[int, ...] | None
    compiled: bool
    clients: tuple[int, ...] | None = None
    workers: int | None = None
    queue: int | None = None
    load_run: Callable[[Path, Bundle | None], RunNetworks] | None = None

    @property
    def source(self) -> str | None:
        """The one to measure, where only one is taken."""
        return self.sources[0] if self.sources else None


@dataclass
class Outcome:
    """One benchmark.

    Attributes:
        what: its name.
        machine: as `describe_machine`, and the load after the run.
        settings: what was measured with what.
        rows: one a setup, network or film.
        not_run: providers that are not there, with the reason.
        notes: what else a reader should know.
    """

    what: str
    machine: dict[str, Any]
    settings: dict[str, Any]
    rows: Rows = ()
    not_run: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> str:
        """Everything, as documented in docs/benchmarks.md."""
        record: dict[str, Any] = {
            "schema": SCHEMA,
            "benchmark": self.what,
            "machine": self.machine,
            "settings": self.settings,
            "not_run": self.not_run,
            "notes": self.notes,
            "results": [_record(row) for row in self.rows],
        }
        return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _record(row: Row | NetworkRow | SteadinessRow) -> dict[str, Any]:
    """With six digits, which are more than any clock here gives."""

    def short(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: short(each) for name, each in value.items()}
        return float(f"{value:.6g}") if isinstance(value, float) else value

    values = dataclasses.asdict(row)
    return dict(short({**values.pop("setup", {}), **values}))


def run_bench(plan: BenchPlan, progress: Progress) -> Outcome:
    """Run one benchmark.

    Args:
        plan: what was asked for.
        progress: called with the number of measurements that are done, and of all.

    Raises:
        AifError: options that make no sense, a source, bundle or run that cannot be used, a provider that was
            asked for and is not there, no face.
    """
    seconds = _SECONDS.get(plan.what) if plan.seconds is None else plan.seconds
    check_seconds_and_rounds(1.0 if seconds is None else seconds, plan.rounds)
    bench = _Bench(plan, seconds, progress)
    outcome = bench.outcome
    outcome.rows = bench.networks() if plan.what == "networks" else bench.editing()
    outcome.machine["load_average_after"] = load_average()
    return outcome


class _Bench:
    """One benchmark under way; a method for each kind, which gives its rows."""

    def __init__(self, plan: BenchPlan, seconds: float | None, progress: Progress) -> None:
        self.plan, self.seconds, self.progress = plan, seconds, progress
        self.setups = [self._served()] if plan.what == "serve" else plan_setups(plan.threads, plan.providers)
        self.outcome = Outcome(plan.what, describe_machine(), {"rounds": plan.rounds, "seconds": seconds})
        self.settings, self.notes = self.outcome.settings, self.outcome.notes
        self.editors: dict[Setup, Editor] = {}
        self.edits: dict[str, float] = {}

    def _served(self) -> Setup:
        """One setup: an edit has one thread of the processor unless another number was asked for."""
        setups = plan_setups(self.plan.threads or (1,), self.plan.providers or ("cpu",))
        if len(setups) > 1:
            fix = "Give one provider and one number of threads."
            raise ConfigError("aif bench serve measures one setup.", fix)
        return setups[0]

    def editing(self) -> Rows:
        """All that edit: image, video, live, serve and steadiness."""
        plan = self.plan
        if plan.what in ("video", "steadiness") and plan.source is None:
            raise ConfigError("Which film?", f"Name one: aif bench {plan.what} film.mp4")
        if plan.what == "steadiness":
            del self.settings["rounds"]
            del self.setups[1:]  # threads and providers change the speed, and that is not the question
        bundle = Bundle.open(plan.bundle)
        attributes = bundle.manifest.attributes
        wanted = plan.settings or (attributes[0].name,)
        self.edits = parse_settings(wanted, attributes, f"the bundle {bundle.manifest.name}")
        detector: DetectorName | Detector = cast(DetectorName, plan.detector)
        if plan.yunet is not None:
            detector = make_detector("yunet", bundle, plan.yunet)
        self.editors = self._loaded(lambda setup: editor_for(bundle, setup, detector))
        self.settings |= {
            "bundle": _named(bundle),
            "set": self.edits,
            "detector": _detector_name(detector),
        }
        kinds: dict[str, Callable[[], Rows]] = {
            "image": self._image,
            "video": self._video,
            "live": self._live,
            "steadiness": self._steadiness,
            "serve": self._serve,
        }
        with ExitStack() as stack:
            for editor in self.editors.values():
                stack.enter_context(editor)
            return kinds[plan.what]()

    def _loaded(self, load: Callable[[Setup], Loaded]) -> dict[Setup, Loaded]:
        """What each setup needs; providers that nobody asked for may be missing."""
        loaded, self.outcome.not_run = load_each(self.setups, load, self.plan.providers is None)
        return loaded

    def _image(self) -> Rows:
        data, name = _picture(self.plan.source)
        self.settings["source"] = name
        seconds = cast(float, self.seconds)
        return bench_image(self.editors, data, name, self.edits, seconds, self.plan.rounds, self.progress)

    def _video(self) -> Rows:
        film = Path(str(self.plan.source))
        with VideoSource(film) as source:
            size, rate = f"{source.width}x{source.height}", float(source.rate)
        self.settings |= {"source": film.name, "size": size, "source_per_second": round(rate, 3)}
        return bench_video(self.editors, film, self.edits, self.seconds, self.plan.rounds, self.progress)

    def _live(self) -> Rows:
        camera = self.plan.source or SYNTHETIC
        self.settings["source"] = public_name(camera)
        connect, seconds = partial(open_camera, camera), cast(float, self.seconds)
        return bench_live(self.editors, connect, self.edits, seconds, self.plan.rounds, self.progress)

    def _steadiness(self) -> Rows:
        ((setup, editor),) = self.editors.items()
        films = [Path(source) for source in self.plan.sources]
        return bench_steadiness(editor, films, self.edits, self.seconds, setup.threads, self.progress)

    def _serve(self) -> Rows:
        from aif.runtime.bench.serve import CLIENTS, ServeLoad, bench_serve
        from aif.runtime.serve.settings import ServeSettings

        plan, clients = self.plan, self.plan.clients or CLIENTS
        if min(clients) < 1:
            raise ConfigError(f"--clients must be at least 1, not {min(clients)}.")
        workers = core_count() if plan.workers is None else plan.workers
        limits = ServeSettings(
            workers=workers, queue=ServeSettings.queue if plan.queue is None else plan.queue
        )
        data, name = _picture(plan.source)
        self.settings |= {"source": name, "workers": limits.workers, "queue": limits.queue}
        self.notes.append("Service, clients and bare editor share the processor of this machine.")
        load = ServeLoad(plan.bundle, plan.detector, plan.yunet, limits.workers, limits.queue)
        ((setup, editor),) = self.editors.items()
        seconds = cast(float, self.seconds)
        return bench_serve(
            editor, setup, load, data, self.edits, clients, seconds, plan.rounds, self.progress
        )

    def networks(self) -> Rows:
        """Encoder and decoder of a bundle, or of a run beside PyTorch."""
        plan = self.plan
        if plan.compiled and plan.run is None:
            raise ConfigError("--compile needs the networks in PyTorch.", "Name their run: --run RUN")
        bundle = None if plan.run is not None and plan.bundle is None else Bundle.open(plan.bundle)
        torch: dict[str, Networks] = {}
        if bundle is not None:
            self.settings["bundle"], size = _named(bundle), bundle.manifest.image_size
            load: Callable[[Setup], Mapping[str, Networks]] = partial(networks_of, bundle)
        if plan.run is not None:
            assert plan.load_run is not None
            run = plan.load_run(plan.run, bundle)
            torch["PyTorch eager"] = run.eager
            if plan.compiled:
                torch["torch.compile"] = run.compiled
            if bundle is None:
                load = run.onnx
            size = run.image_size
            self.settings |= {"run": plan.run.name, "step": run.step, "graphs_differ_by": run.difference}
        else:
            self.notes.append(
                "Not compared with PyTorch: a bundle holds ONNX graphs only. "
                "Name the run that it was exported from: aif bench networks --run RUN"
            )
        # PyTorch runs on the processor here, so it is no rival of a graphics card.
        rivals = {
            setup: {**onnx, **(torch if setup.provider == "cpu" else {})}
            for setup, onnx in self._loaded(load).items()
        }
        self.settings["image_size"] = size
        batches, seconds = plan.batches or BATCHES, cast(float, self.seconds)
        return bench_networks(rivals, size, batches, seconds, plan.rounds, self.progress)


def _picture(source: str | None) -> tuple[bytes, str]:
    """A photo's bytes and what to call it."""
    if source is None or source == "demo":
        picture = demo_picture()
        return encode_image(picture, picture.pixels_hwc_bgr), "demo"
    return read_bytes(Path(source)), Path(source).name


def _named(bundle: Bundle) -> dict[str, Any]:
    about = bundle.manifest
    return {"name": about.name, "version": about.version, "image_size": about.image_size}


def _detector_name(detector: DetectorName | Detector) -> str:
    """What will really find faces."""
    if not isinstance(detector, str):
        return "yunet"
    return detector if detector != "auto" else "haar" if yunet_path() is None else "yunet"
