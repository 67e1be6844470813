"""What benchmarks share: spreads of times, rounds in which rivals take turns, the machine's name."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import distributions
from typing import Any, Self, TypeVar, get_args

import numpy as np

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import ConfigError, ProviderError, nearest_names
from aif.runtime.faces.detect import Detector, DetectorName
from aif.runtime.machine import core_count, load_average, processor_name, read_text
from aif.runtime.model.model import AnyDevice
from aif.runtime.networks.sessions import Provider, check_threads

Name = TypeVar("Name", bound=Hashable)
Result = TypeVar("Result")
Progress = Callable[[int, int], None]
"""Told (done, in all)."""

PROVIDERS: tuple[str, ...] = tuple(name for name in get_args(Provider) if name != "auto")
NETWORKS = ("encode", "decode_faces")
"""The stages that are encoder and decoder."""


@dataclass(frozen=True)
class Spread:
    """Times of one thing done `n` times, in milliseconds: mean, median, 95th and 99th percentile."""

    n: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Self:
        """Percentiles as NumPy interpolates them.

        Raises:
            ValueError: there are no times.
        """
        if not len(seconds):
            raise ValueError("a spread needs at least one time")
        values = 1000 * np.asarray(seconds, dtype=np.float64)
        return cls(len(values), float(values.mean()), *np.percentile(values, (50, 95, 99)).tolist())


@dataclass(frozen=True)
class Setup:
    """Where the networks run, and on how many threads of the processor."""

    provider: AnyDevice
    threads: int

    def __str__(self) -> str:
        return f"{self.provider}, {self.threads} thread{'s' * (self.threads != 1)}"


@dataclass(frozen=True)
class Row:
    """What was measured in one setup.

    Attributes:
        setup, precision: what ran.
        stages: spread by stage, of all rounds together.
        figures: name to value, each the median of the rounds; names end in their unit where they have one.
    """

    setup: Setup
    precision: str
    stages: dict[str, Spread]
    figures: dict[str, float]

    @property
    def title(self) -> str:
        """Of its column in a table."""
        return f"{self.setup}\n{self.precision}"


@dataclass
class Stopwatch:
    """Seconds by stage, one entry each time. Each stage belongs to one thread."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, stage: str, seconds: float) -> None:
        """One more time of a stage."""
        self.seconds.setdefault(stage, []).append(seconds)

    def add_edit(self, timings: Mapping[str, float]) -> None:
        """The stages of an edit; its "decode" is the decoder's, not a file's.

        Those that took no time, as without a face, are left out.
        """
        for stage, seconds in timings.items():
            if seconds > 0:
                self.add("decode_faces" if stage == "decode" else stage, seconds)

    def join(self, other: Stopwatch) -> None:
        """Take over all times of another one."""
        for stage, times in other.seconds.items():
            self.seconds.setdefault(stage, []).extend(times)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Time the `with` block."""
        start = time.perf_counter()
        yield
        self.add(stage, time.perf_counter() - start)

    def total(self, stages: Sequence[str] | None = None) -> float:
        """Seconds in these stages; None = in all."""
        return sum(sum(self.seconds.get(stage, ())) for stage in (stages or tuple(self.seconds)))

    def spreads(self, order: Sequence[str]) -> dict[str, Spread]:
        """By stage, in this order; stages without a time are left out."""
        return {stage: Spread.of(self.seconds[stage]) for stage in order if self.seconds.get(stage)}


def take_turns(
    rivals: Mapping[Name, Callable[[], Result]], rounds: int, progress: Progress | None = None
) -> dict[Name, list[Result]]:
    """Call every rival once a round, so that a disturbance hits all alike; every other round backwards.

    Raises:
        ConfigError: fewer than one round.
    """
    if rounds < 1:
        raise ConfigError(f"There must be at least 1 round, not {rounds}.")
    found: dict[Name, list[Result]] = {name: [] for name in rivals}
    for number in range(rounds):
        names = list(rivals)
        for place, name in enumerate(names[::-1] if number % 2 else names):
            if progress is not None:
                progress(number * len(names) + place, rounds * len(names))
            found[name].append(rivals[name]())
    return found


@dataclass(frozen=True)
class Turn:
    """What one round of a rival has given: figures by name, and times by stage."""

    figures: dict[str, float]
    watch: Stopwatch = field(default_factory=Stopwatch)


def rows_of(
    editors: Mapping[Setup, Editor], stages: Sequence[str], turns: Mapping[Setup, Sequence[Turn]]
) -> list[Row]:
    """A row a setup: the spreads of its stages in all rounds together, and the medians of its figures."""
    rows = []
    for setup, editor in editors.items():
        watch = Stopwatch()
        for turn in turns[setup]:
            watch.join(turn.watch)
        figures = median_figures([turn.figures for turn in turns[setup]])
        rows.append(Row(setup, editor.model.precision, watch.spreads(stages), figures))
    return rows


def median_figures(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each figure over the rounds that have it."""
    names = dict.fromkeys(name for each in rounds for name in each)
    return {name: statistics.median(each[name] for each in rounds if name in each) for name in names}


def check_seconds_and_rounds(seconds: float, rounds: int) -> None:
    """Raise ConfigError unless there is a time above 0 and at least one round."""
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"--seconds must be above 0, not {seconds:g}.")
    if rounds < 1:
        raise ConfigError(f"There must be at least 1 round, not {rounds}.")


def plan_setups(threads: Sequence[int] | None, providers: Sequence[str] | None) -> list[Setup]:
    """Every setup to measure: on the processor one for each number of threads, elsewhere one.

    Args:
        threads: of the networks; None = 1, 2, 4, ... up to one a core.
        providers: None = all that aif knows.

    Raises:
        ConfigError: fewer than one thread, or an unknown provider.
    """
    counts = list(dict.fromkeys(threads)) if threads else _up_to(core_count())
    for count in counts:
        check_threads(count)
    setups: list[Setup] = []
    for name in dict.fromkeys(providers or PROVIDERS):
        if name not in PROVIDERS:
            raise ConfigError(f"There is no provider {name!r}.", nearest_names(name, PROVIDERS))
        for count in counts if name == "cpu" else [max(counts)]:
            setups.append(Setup(name, count))  # type: ignore[arg-type]
    return setups


def _up_to(cores: int) -> list[int]:
    """1, 2, 4, ... and the number itself."""
    return [*(1 << k for k in range(cores.bit_length()) if 1 << k < cores), cores]


def load_each(
    setups: Sequence[Setup], load: Callable[[Setup], Result], optional: bool
) -> tuple[dict[Setup, Result], dict[str, str]]:
    """What each setup needs, loaded; and the providers that are not there, with the reason.

    Raises:
        ProviderError: a provider is not there, unless `optional`.
    """
    loaded: dict[Setup, Result] = {}
    missing: dict[str, str] = {}
    for setup in setups:
        try:
            loaded[setup] = load(setup)
        except ProviderError as error:
            if not optional:
                raise
            missing[setup.provider] = error.message
    return loaded, missing


def editor_for(bundle: Bundle, setup: Setup, detector: DetectorName | Detector = "auto") -> Editor:
    """The editor of a setup; a detector of one's own serves all of them."""
    return Editor.load(bundle, setup.provider, detector, setup.threads)


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
