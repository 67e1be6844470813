"""What benchmarks count with: spreads, medians, turns, setups; against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aif.runtime.bench import measure as benchmark
from aif.runtime.bench.live import first_and_last
from aif.runtime.bench.measure import (
    Setup,
    Spread,
    Stopwatch,
    check_seconds_and_rounds,
    load_each,
    median_figures,
    plan_setups,
    take_turns,
)
from aif.runtime.errors import ConfigError, ProviderError
from aif.runtime.machine import resident_mib


@pytest.mark.parametrize(
    ("seconds", "mean", "p50", "p95", "p99"),
    [
        ([0.002], 2, 2, 2, 2),
        ([0.001, 0.003], 2, 2, 2.9, 2.98),  # between two values the percentile goes along a straight line
        ([0.004, 0.001, 0.003, 0.002, 0.005], 3, 3, 4.8, 4.96),
        ([k / 1000 for k in range(101)], 50, 50, 95, 99),
        ([0.0, 0.0], 0, 0, 0, 0),
    ],
)
def test_spreads(seconds: list[float], mean: float, p50: float, p95: float, p99: float) -> None:
    spread = Spread.of(seconds)
    assert spread.n == len(seconds)
    assert (spread.mean_ms, spread.p50_ms, spread.p95_ms, spread.p99_ms) == pytest.approx(
        (mean, p50, p95, p99)
    )


@pytest.mark.parametrize(
    ("rounds", "medians"),
    [
        ([], {}),
        ([{"a": 3.0}], {"a": 3.0}),
        ([{"a": 1.0}, {"a": 9.0}, {"a": 2.0}], {"a": 2.0}),
        ([{"a": 1.0, "b": 5.0}, {"a": 2.0}], {"a": 1.5, "b": 5.0}),
    ],
)
def test_medians(rounds: list[dict[str, float]], medians: dict[str, float]) -> None:
    assert median_figures(rounds) == medians


def test_rivals_take_turns_and_every_other_round_goes_backwards() -> None:
    order: list[str] = []
    seen: list[tuple[int, int]] = []

    def call(name: str) -> int:
        order.append(name)
        return len(order)

    rivals = {"a": lambda: call("a"), "b": lambda: call("b"), "c": lambda: call("c")}
    found = take_turns(rivals, 3, lambda done, total: seen.append((done, total)))
    assert "".join(order) == "abccbaabc"
    assert found == {"a": [1, 6, 7], "b": [2, 5, 8], "c": [3, 4, 9]}
    assert seen == [(k, 9) for k in range(9)]
    assert take_turns({}, 1) == {}
    with pytest.raises(ConfigError, match="1 round"):
        take_turns(rivals, 0)


def test_a_stopwatch_adds_up_and_leaves_out_what_was_not_reached() -> None:
    watch, other = Stopwatch(), Stopwatch()
    watch.add_edit({"track": 0.5, "encode": 0.25, "decode": 0.25, "composite": 0.0})
    watch.add_edit({"track": 1.5, "encode": 0.0, "decode": 0.0})
    other.add("track", 1.0)
    watch.join(other)
    assert watch.seconds == {"track": [0.5, 1.5, 1.0], "encode": [0.25], "decode_faces": [0.25]}
    assert watch.total() == 3.5
    assert watch.total(("encode", "decode_faces", "write")) == 0.5
    spreads = watch.spreads(("write", "encode", "track"))
    assert list(spreads) == ["encode", "track"] and spreads["track"].p50_ms == 1000


@pytest.mark.parametrize(
    ("cores", "threads", "providers", "planned"),
    [
        (1, None, ["cpu"], ["cpu, 1 thread"]),
        (2, None, ["cpu"], ["cpu, 1 thread", "cpu, 2 threads"]),
        (6, None, ["cpu"], ["cpu, 1 thread", "cpu, 2 threads", "cpu, 4 threads", "cpu, 6 threads"]),
        (8, None, ["cuda"], ["cuda, 8 threads"]),
        (8, [3], None, ["cpu, 3 threads", "cuda, 3 threads"]),
        (2, [2, 1, 2], ["cpu", "cpu"], ["cpu, 2 threads", "cpu, 1 thread"]),
        (2, [1, 4], ["cuda", "cpu"], ["cuda, 4 threads", "cpu, 1 thread", "cpu, 4 threads"]),
    ],
)
def test_setups(
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    threads: list[int] | None,
    providers: list[str] | None,
    planned: list[str],
) -> None:
    monkeypatch.setattr(benchmark, "core_count", lambda: cores)
    monkeypatch.setattr(benchmark, "PROVIDERS", ("cpu", "cuda"))
    assert [str(setup) for setup in plan_setups(threads, providers)] == planned


@pytest.mark.parametrize(
    ("threads", "providers", "said"),
    [
        ([0], None, "at least 1, not 0"),
        ([2, -1], None, "not -1"),
        (None, ["cpi"], "cpu"),
        (None, [""], "no provider"),
    ],
)
def test_setups_that_make_no_sense(threads: list[int] | None, providers: list[str] | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan_setups(threads, providers)


def test_a_provider_that_is_not_there_is_left_out_or_an_error() -> None:
    def load(setup: Setup) -> str:
        if setup.provider == "cuda":
            raise ProviderError("No driver.", "Install it.")
        return f"{setup.threads}"

    setups = [Setup("cpu", 1), Setup("cuda", 1)]
    assert load_each(setups, load, optional=True) == ({setups[0]: "1"}, {"cuda": "No driver."})
    with pytest.raises(ProviderError, match="No driver"):
        load_each(setups, load, optional=False)


@pytest.mark.parametrize(
    ("times", "values", "seconds", "expected"),
    [
        ([0, 1, 2, 3], [1, 2, 10, 20], 4, (1.5, 15)),  # halves
        ([0, 30, 59.9, 60, 240, 299], [1, 2, 3, 100, 7, 9], 300, (2, 8)),  # the first and the last minute
        ([3], [5], 4, (5, 5)),  # one value stands for both
        ([0, 1], [4, 6], 100, (5, 6)),  # nothing in the last part: the nearest
    ],
)
def test_the_beginning_and_the_end(
    times: list[float], values: list[float], seconds: float, expected: tuple[float, float]
) -> None:
    assert first_and_last(np.array(times, float), np.array(values, float), seconds) == expected


def test_of_nothing_there_are_no_figures() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Spread.of([])
    with pytest.raises(ValueError, match="no values"):
        first_and_last(np.array([]), np.array([]), 1.0)


@pytest.mark.parametrize(
    ("seconds", "rounds"), [(0, 1), (-1, 1), (math.nan, 1), (math.inf, 1), (1, 0), (1, -3)]
)
def test_lengths_that_make_no_sense(seconds: float, rounds: int) -> None:
    with pytest.raises(ConfigError):
        check_seconds_and_rounds(seconds, rounds)


def test_memory_grows_with_what_is_held() -> None:
    before = resident_mib()
    if before is None:
        pytest.skip("this system does not say")
    held = np.ones(64 << 20, dtype=np.uint8)
    after = resident_mib()
    assert after is not None and 50 < after - before < 80
    del held
