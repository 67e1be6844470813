"""Load what a benchmark needs, run it, and gather what its figures mean nothing without."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from aif.cli import console
from aif.cli.bench.report import Outcome
from aif.runtime.bench.measure import (
    Progress,
    Row,
    Setup,
    check_seconds_and_rounds,
    describe_machine,
    editor_for,
    load_average,
    load_each,
    plan_setups,
)
from aif.runtime.bench.networks import BATCHES, Networks, bench_networks, networks_of
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.editing.editor import Editor
from aif.runtime.editing.options import parse_settings
from aif.runtime.errors import ConfigError
from aif.runtime.faces.detect import Detector, DetectorName, make_detector

SYNTHETIC = "synthetic:1280x720@30"

# Where --seconds was not given; a film is measured whole.
_SECONDS = {"image": 2.0, "live": 20.0, "networks": 0.3, "serve": 10.0}


@dataclass(frozen=True)
class BenchPlan:
    """What was asked for; None = not asked. Fields as the options of `aif bench`."""

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

    @property
    def source(self) -> str | None:
        """The one to measure, where only one is taken."""
        return self.sources[0] if self.sources else None


def run_bench(plan: BenchPlan) -> Outcome:
    """Run one benchmark.

    Raises:
        AifError: options that make no sense, a source, bundle or run that cannot be used, a provider that was
            asked for and is not there, no face.
    """
    seconds = _SECONDS.get(plan.what) if plan.seconds is None else plan.seconds
    check_seconds_and_rounds(1.0 if seconds is None else seconds, plan.rounds)
    setups = plan_setups(plan.threads, plan.providers) if plan.what != "serve" else [_served(plan)]
    outcome = Outcome(plan.what, describe_machine(), {"rounds": plan.rounds, "seconds": seconds})
    with console.progress_bar("Measuring") as progress:
        if plan.what == "networks":
            _networks(plan, setups, cast(float, seconds), outcome, progress)
        else:
            _editing(plan, setups, seconds, outcome, progress)
    outcome.machine["load_average_after"] = load_average()
    return outcome


def _editing(
    plan: BenchPlan, setups: list[Setup], seconds: float | None, outcome: Outcome, progress: Progress
) -> None:
    """image, video, live and steadiness."""
    if plan.what in ("video", "steadiness") and plan.source is None:
        raise ConfigError("Which film?", f"Name one: aif bench {plan.what} film.mp4")
    if plan.what == "steadiness":
        del outcome.settings["rounds"]
        setups = setups[:1]  # threads and providers change the speed, and that is not the question
    bundle = Bundle.open(plan.bundle)
    attributes = bundle.manifest.attributes
    wanted = plan.settings or (attributes[0].name,)
    edits = parse_settings(wanted, attributes, f"the bundle {bundle.manifest.name}")
    detector: DetectorName | Detector = cast(DetectorName, plan.detector)
    if plan.yunet is not None:
        detector = make_detector("yunet", bundle, plan.yunet)
    editors, missing = load_each(
        setups, lambda setup: editor_for(bundle, setup, detector), plan.providers is None
    )
    outcome.add_missing(missing)
    outcome.settings |= {"bundle": _named(bundle), "set": edits, "detector": _detector_name(detector)}
    with ExitStack() as stack:
        for editor in editors.values():
            stack.enter_context(editor)
        if plan.what == "steadiness":
            from aif.runtime.bench.steadiness import bench_steadiness

            films = [Path(source) for source in plan.sources]
            editor, threads = editors[setups[0]], setups[0].threads
            outcome.steadiness_rows = bench_steadiness(editor, films, edits, seconds, threads, progress)
            return
        outcome.rows = _rows(plan, editors, edits, seconds, outcome, progress)


def _rows(
    plan: BenchPlan,
    editors: Mapping[Setup, Editor],
    edits: Mapping[str, float],
    seconds: float | None,
    outcome: Outcome,
    progress: Progress,
) -> Sequence[Row]:
    if plan.what == "serve":
        return _serving(plan, editors, edits, cast(float, seconds), outcome, progress)
    if plan.what == "image":
        from aif.runtime.bench.image import bench_image

        data, name = _picture(plan.source)
        outcome.settings["source"] = name
        return bench_image(editors, data, name, edits, cast(float, seconds), plan.rounds, progress)
    if plan.what == "video":
        from aif.runtime.bench.video import bench_video
        from aif.runtime.video.read import VideoSource

        film = Path(cast(str, plan.source))
        with VideoSource(film) as source:
            size, rate = f"{source.width}x{source.height}", float(source.rate)
        outcome.settings |= {"source": film.name, "size": size, "source_per_second": round(rate, 3)}
        return bench_video(editors, film, edits, seconds, plan.rounds, progress)
    from aif.runtime.bench.live import bench_live
    from aif.runtime.live.camera import open_camera, public_name

    camera = plan.source or SYNTHETIC
    outcome.settings["source"] = public_name(camera)
    return bench_live(
        editors, partial(open_camera, camera), edits, cast(float, seconds), plan.rounds, progress
    )


def _served(plan: BenchPlan) -> Setup:
    """One setup: an edit has one thread of the processor unless another number was asked for."""
    setups = plan_setups(plan.threads or (1,), plan.providers or ("cpu",))
    if len(setups) > 1:
        raise ConfigError(
            "aif bench serve measures one setup.", "Give one provider and one number of threads."
        )
    return setups[0]


def _serving(
    plan: BenchPlan,
    editors: Mapping[Setup, Editor],
    edits: Mapping[str, float],
    seconds: float,
    outcome: Outcome,
    progress: Progress,
) -> Sequence[Row]:
    from aif.runtime.bench.measure import core_count
    from aif.runtime.bench.serve import CLIENTS, ServeLoad, bench_serve
    from aif.runtime.serve.settings import ServeSettings

    clients = plan.clients or CLIENTS
    if min(clients) < 1:
        raise ConfigError(f"--clients must be at least 1, not {min(clients)}.")
    limits = ServeSettings(
        workers=core_count() if plan.workers is None else plan.workers,
        queue=ServeSettings.queue if plan.queue is None else plan.queue,
    )
    data, name = _picture(plan.source)
    outcome.settings |= {"source": name, "workers": limits.workers, "queue": limits.queue}
    outcome.notes.append("Service, clients and bare editor share the processor of this machine.")
    load = ServeLoad(plan.bundle, plan.detector, plan.yunet, limits.workers, limits.queue)
    ((setup, editor),) = editors.items()
    return bench_serve(editor, setup, load, data, edits, clients, seconds, plan.rounds, progress)


def _networks(
    plan: BenchPlan, setups: list[Setup], seconds: float, outcome: Outcome, progress: Progress
) -> None:
    if plan.compiled and plan.run is None:
        raise ConfigError("--compile needs the networks in PyTorch.", "Name their run: --run RUN")
    optional = plan.providers is None
    rivals: dict[Setup, dict[str, Networks]]
    if plan.run is not None:
        from aif.export.bench import load_run_networks

        held = None if plan.bundle is None else Bundle.open(plan.bundle)
        run = load_run_networks(plan.run, held)
        load: Callable[[Setup], Mapping[str, Networks]] = partial(networks_of, held) if held else run.onnx
        loaded, missing = load_each(setups, load, optional)
        torch: dict[str, Networks] = {"PyTorch eager": run.eager}
        if plan.compiled:
            torch["torch.compile"] = run.compiled
        # PyTorch runs on the processor here, so it is no rival of a graphics card.
        rivals = {
            setup: {**onnx, **(torch if setup.provider == "cpu" else {})} for setup, onnx in loaded.items()
        }
        size = run.image_size
        if held is not None:
            outcome.settings["bundle"] = _named(held)
        outcome.settings |= {"run": plan.run.name, "step": run.step, "graphs_differ_by": run.difference}
    else:
        bundle = Bundle.open(plan.bundle)
        bundled, missing = load_each(setups, partial(networks_of, bundle), optional)
        rivals = {setup: dict(onnx) for setup, onnx in bundled.items()}
        size = bundle.manifest.image_size
        outcome.settings["bundle"] = _named(bundle)
        outcome.notes.append(
            "Not compared with PyTorch: a bundle holds ONNX graphs only. "
            "Name the run that it was exported from: aif bench networks --run RUN"
        )
    outcome.add_missing(missing)
    outcome.settings["image_size"] = size
    outcome.network_rows = bench_networks(
        rivals, size, plan.batches or BATCHES, seconds, plan.rounds, progress
    )


def _picture(source: str | None) -> tuple[bytes, str]:
    """A photo's bytes and what to call it."""
    from aif.runtime.image.io import demo_picture, encode_image, read_bytes

    if source is None or source == "demo":
        picture = demo_picture()
        return encode_image(picture, picture.pixels_hwc_bgr), "demo"
    return read_bytes(Path(source)), Path(source).name


def _named(bundle: Bundle) -> dict[str, Any]:
    about = bundle.manifest
    return {"name": about.name, "version": about.version, "image_size": about.image_size}


def _detector_name(detector: DetectorName | Detector) -> str:
    """What will really find faces."""
    from aif.runtime.fetch import yunet_path

    if not isinstance(detector, str):
        return "yunet"
    return detector if detector != "auto" else "haar" if yunet_path() is None else "yunet"
