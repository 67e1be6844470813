"""Load what a benchmark needs, run it, and gather what its figures mean nothing without."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from aif.runtime.bench.image import bench_image
from aif.runtime.bench.live import bench_live
from aif.runtime.bench.measure import Progress, Rounds, Row, Setup, describe_machine, plan_setups
from aif.runtime.bench.networks import BATCHES, Networks, RunNetworks, bench_networks, networks_of
from aif.runtime.bench.steadiness import bench_steadiness
from aif.runtime.bench.video import bench_video
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.editing.editor import Editor
from aif.runtime.editing.options import parse_settings
from aif.runtime.errors import ConfigError, ProviderError
from aif.runtime.faces.detect import resolve_detector
from aif.runtime.image.io import demo_picture, encode_image, read_bytes
from aif.runtime.live.camera import open_camera, public_name
from aif.runtime.machine import DetectorName, core_count, load_average
from aif.runtime.video.read import VideoSource

SCHEMA = 2
"""Raised whenever a field of the JSON is dropped or changes its meaning."""

SYNTHETIC = "synthetic:1280x720@30"

Loaded = TypeVar("Loaded")

# Where --seconds was not given; a film is measured whole.
_SECONDS = {"image": 2.0, "live": 20.0, "networks": 0.3, "serve": 10.0}


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
    detector: DetectorName
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


@dataclass
class Outcome:
    """One benchmark: a row a setup, network, number of clients or film, and what the figures hang on.

    `not_run` has the providers that are not there, with the reason.
    """

    what: str
    machine: dict[str, Any]
    settings: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    not_run: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> str:
        """Everything; figures with six digits, which are more than any clock here gives."""
        record: dict[str, Any] = {
            "schema": SCHEMA,
            "benchmark": self.what,
            "machine": self.machine,
            "settings": self.settings,
            "not_run": self.not_run,
            "notes": self.notes,
            "results": [{**row.labels, "figures": row.figures, "stages": row.stages} for row in self.rows],
        }
        short = json.loads(json.dumps(record), parse_float=lambda text: float(f"{float(text):.6g}"))
        return json.dumps(short, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def run_bench(plan: BenchPlan, progress: Progress) -> Outcome:
    """Run one benchmark; an AifError for options, sources, bundles and providers that cannot be used."""
    bench = _Bench(plan, progress)
    outcome = bench.outcome
    outcome.rows = bench.networks() if plan.what == "networks" else bench.editing()
    outcome.machine["load_average_after"] = load_average()
    return outcome


class _Bench:
    """One benchmark under way; a method for each kind, which gives its rows."""

    def __init__(self, plan: BenchPlan, progress: Progress) -> None:
        seconds = _SECONDS.get(plan.what) if plan.seconds is None else plan.seconds
        self.plan, self.rounds = plan, Rounds(plan.rounds, seconds, progress)
        alone = plan.what in ("serve", "steadiness")  # one setup, on one thread unless asked otherwise
        threads, providers = (plan.threads or (1,), plan.providers or ("cpu",)) if alone else (None, None)
        self.setups = plan_setups(threads or plan.threads, providers or plan.providers)
        if plan.what == "serve" and len(self.setups) > 1:
            fix = "Give one provider and one number of threads."
            raise ConfigError("aif bench serve measures one setup.", fix)
        self.outcome = Outcome(plan.what, describe_machine(), {"rounds": plan.rounds, "seconds": seconds})
        self.settings, self.notes = self.outcome.settings, self.outcome.notes

    def _loaded(self, load: Callable[[Setup], Loaded]) -> dict[Setup, Loaded]:
        """What each setup needs; providers that nobody asked for may be missing."""
        loaded: dict[Setup, Loaded] = {}
        for setup in self.setups:
            try:
                loaded[setup] = load(setup)
            except ProviderError as error:
                if self.plan.providers is not None:
                    raise
                self.outcome.not_run[setup.provider] = error.message
        return loaded

    def editing(self) -> list[Row]:
        """All that edit: image, video, live, serve and steadiness."""
        plan = self.plan
        if plan.what in ("video", "steadiness") and not plan.sources:
            raise ConfigError("Which film?", f"Name one: aif bench {plan.what} film.mp4")
        bundle = Bundle.open(plan.bundle)
        detector, _ = resolve_detector(plan.detector, bundle, plan.yunet)
        attributes = bundle.manifest.attributes
        # The portrait that comes with scikit-image smiles: an edit has to change something.
        wanted = plan.settings or (attributes[0].name + ("" if plan.sources else "=0"),)
        self.edits = parse_settings(wanted, attributes, f"the bundle {bundle.manifest.name}")
        self.editors = self._loaded(
            lambda setup: Editor.load(bundle, setup.provider, plan.detector, setup.threads, yunet=plan.yunet)
        )
        self.settings |= {"bundle": _named(bundle), "set": self.edits, "detector": detector}
        kinds: dict[str, Callable[[], list[Row]]] = {
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

    def _image(self) -> list[Row]:
        data, name = self._photo()
        return bench_image(self.editors, data, name, self.edits, self.rounds)

    def _video(self) -> list[Row]:
        film = Path(self.plan.sources[0])
        with VideoSource(film) as source:
            size, rate = f"{source.width}x{source.height}", float(source.rate)
        self.settings |= {"source": film.name, "size": size, "source_per_second": round(rate, 3)}
        return bench_video(self.editors, film, self.edits, self.rounds)

    def _live(self) -> list[Row]:
        camera = self.plan.sources[0] if self.plan.sources else SYNTHETIC
        self.settings["source"] = public_name(camera)
        return bench_live(self.editors, partial(open_camera, camera), self.edits, self.rounds)

    def _steadiness(self) -> list[Row]:
        del self.settings["rounds"]
        ((setup, editor),) = self.editors.items()
        films = [Path(source) for source in self.plan.sources]
        return bench_steadiness(editor, films, self.edits, setup.threads, self.rounds)

    def _serve(self) -> list[Row]:
        from aif.runtime.bench.serve import CLIENTS, bench_serve
        from aif.runtime.serve.settings import ServeSettings

        plan, clients = self.plan, self.plan.clients or CLIENTS
        if min(clients) < 1:
            raise ConfigError(f"--clients must be at least 1, not {min(clients)}.")
        limits = ServeSettings(
            workers=core_count() if plan.workers is None else plan.workers,
            queue=ServeSettings.queue if plan.queue is None else plan.queue,
        )
        data, _ = self._photo()
        self.settings |= {"workers": limits.workers, "queue": limits.queue}
        self.notes.append("Service, clients and bare editor share the processor of this machine.")
        words = ["--detector", plan.detector, "--workers", str(limits.workers), "--queue", str(limits.queue)]
        for option, value in (("--bundle", plan.bundle), ("--yunet", plan.yunet)):
            words += [option, str(value)] if value is not None else []
        ((setup, editor),) = self.editors.items()
        return bench_serve(editor, setup, words, limits.workers, data, self.edits, clients, self.rounds)

    def _photo(self) -> tuple[bytes, str]:
        """A photo's bytes and what to call it."""
        source = self.plan.sources[0] if self.plan.sources else "demo"
        self.settings["source"] = Path(source).name
        if source != "demo":
            return read_bytes(Path(source)), Path(source).name
        picture = demo_picture()
        return encode_image(picture, picture.pixels_hwc_bgr), source

    def networks(self) -> list[Row]:
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
            load, size = (run.onnx if bundle is None else load), run.image_size
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
        return bench_networks(rivals, size, plan.batches or BATCHES, self.rounds)


def _named(bundle: Bundle) -> dict[str, Any]:
    about = bundle.manifest
    return {"name": about.name, "version": about.version, "image_size": about.image_size}
