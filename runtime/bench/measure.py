"""What all benchmarks share: setups, rounds in which rivals take turns, and rows of figures."""

from __future__ import annotations

import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import distributions
from typing import Any, TypeVar, get_args

import numpy as np

from aif.runtime.editing.editor import Editor
from aif.runtime.errors import ConfigError, nearest_names
from aif.runtime.machine import Provider, core_count, load_average, processor_name, read_text
from aif.runtime.model.model import AnyDevice
from aif.runtime.networks.sessions import check_threads

Name = TypeVar("Name", bound=Hashable)
Result = TypeVar("Result")
Progress = Callable[[int, int], None]
"""Called with (done, in all)."""
Spread = dict[str, float]
"""Of the times of one thing: `n` of them, median, 95th and 99th percentile in milliseconds."""
PROVIDERS: tuple[str, ...] = tuple(name for name in get_args(Provider) if name != "auto")
NETWORKS = ("encode", "decode_faces")
"""The stages that are encoder and decoder."""


@dataclass(frozen=True)
class Setup:
    """Where the networks run, and on how many threads of the processor."""

    provider: AnyDevice
    threads: int


@dataclass(frozen=True)
class Row:
    """What was measured of the rival that `labels` name: figures (medians of rounds), times by stage."""

    labels: dict[str, str | int]
    figures: dict[str, float]
    stages: dict[str, Spread] = field(default_factory=dict)


def spread(seconds: Sequence[float]) -> Spread:
    """How at least one time spreads; percentiles as NumPy interpolates them."""
    percentiles = np.percentile(1000 * np.asarray(seconds, dtype=np.float64), (50, 95, 99)).tolist()
    return {"n": len(seconds), **dict(zip(("p50_ms", "p95_ms", "p99_ms"), percentiles, strict=True))}


@dataclass
class Stopwatch:
    """Seconds by stage, one entry each time. Each stage belongs to one thread."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add_edit(self, timings: Mapping[str, float]) -> None:
        """The stages of an edit that took time; its "decode" is the decoder's, not a file's."""
        for stage, seconds in timings.items():
            if seconds > 0:
                self.seconds["decode_faces" if stage == "decode" else stage].append(seconds)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Time the `with` block."""
        start = time.perf_counter()
        yield
        self.seconds[stage].append(time.perf_counter() - start)

    def total(self, stages: Sequence[str]) -> float:
        """Seconds in these stages."""
        return sum(sum(self.seconds[stage]) for stage in stages)


@dataclass(frozen=True)
class Turn:
    """What one round of a rival has given."""

    figures: dict[str, float]
    watch: Stopwatch = field(default_factory=Stopwatch)


@dataclass(frozen=True)
class Rounds:
    """Turns of each rival, at least one, and seconds of a turn; None = until its work is done."""

    count: int
    seconds: float | None
    progress: Progress = lambda done, total: None

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigError(f"There must be at least 1 round, not {self.count}.")
        if self.seconds is not None and not 0 < self.seconds < float("inf"):
            raise ConfigError(f"--seconds must be above 0, not {self.seconds:g}.")

    def take_turns(self, rivals: Mapping[Name, Callable[[], Result]]) -> dict[Name, list[Result]]:
        """Call every rival once a round, that a disturbance hits all alike; every other round backwards."""
        found: dict[Name, list[Result]] = {name: [] for name in rivals}
        for number in range(self.count):
            names = list(rivals)
            for place, name in enumerate(names[::-1] if number % 2 else names):
                self.progress(number * len(names) + place, self.count * len(names))
                found[name].append(rivals[name]())
        return found

    def repeat(self, call: Callable[[], object]) -> list[float]:
        """Call again and again for one turn, at least once: seconds of each call."""
        times: list[float] = []
        begin = time.perf_counter()
        while not times or time.perf_counter() - begin < (self.seconds or 0):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return times


def median_figures(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each figure over the rounds that have it."""
    names = dict.fromkeys(name for each in rounds for name in each)
    return {name: statistics.median(each[name] for each in rounds if name in each) for name in names}


def editor_row(setup: Setup, editor: Editor, stages: Sequence[str], turns: Sequence[Turn]) -> Row:
    """The row of an editor: medians of its figures, and the times of these stages in their order."""
    watch = Stopwatch()
    for turn in turns:
        for stage, seconds in turn.watch.seconds.items():
            watch.seconds[stage] += seconds
    labels = {**setup.__dict__, "precision": editor.model.precision}
    timed = {stage: spread(watch.seconds[stage]) for stage in stages if watch.seconds.get(stage)}
    return Row(labels, median_figures([turn.figures for turn in turns]), timed)


def plan_setups(threads: Sequence[int] | None, providers: Sequence[str] | None) -> list[Setup]:
    """Every setup to measure: on the processor one for each number of threads, elsewhere one.

    Without threads: 1, 2, 4 ... up to one a core; without providers: all. A ConfigError for unknown ones.
    """
    cores = core_count()
    counts = list(dict.fromkeys(threads or [*(n for n in (1, 2, 4, 8, 16, 32, 64) if n < cores), cores]))
    for count in counts:
        check_threads(count)
    setups: list[Setup] = []
    for name in dict.fromkeys(providers or PROVIDERS):
        if name not in PROVIDERS:
            raise ConfigError(f"There is no provider {name!r}.", nearest_names(name, PROVIDERS))
        for count in counts if name == "cpu" else [max(counts)]:
            setups.append(Setup(name, count))  # type: ignore[arg-type]
    return setups


def describe_machine() -> dict[str, Any]:
    """What a figure cannot be read without: processor, cores, system, versions, and what else was running."""
    import onnxruntime as ort

    installed = {str(each.name).lower(): each.version for each in distributions()}
    packages = ("aif", "numpy", "opencv-python", "onnxruntime-gpu", "onnxruntime", "av", "torch")
    return {
        "processor": processor_name(read_text("/proc/cpuinfo")),
        "cores": core_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "packages": {name: installed[name] for name in packages if name in installed},
        "onnxruntime_built_for": list(ort.get_available_providers()),
        "load_average": load_average(),
    }
