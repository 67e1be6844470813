"""What benchmarks count with: spreads, medians, turns, setups; against values worked out by hand."""

from __future__ import annotations

import math
import mmap

import pytest

from aif.runtime.bench import measure
from aif.runtime.bench.live import first_and_last
from aif.runtime.bench.measure import Rounds, Stopwatch, median_figures, plan_setups
from aif.runtime.errors import ConfigError
from aif.runtime.machine import resident_mib


def test_medians_are_of_the_rounds_that_have_the_figure():
    assert median_figures([{"a": 1.0, "b": 5.0}, {"a": 9.0}, {"a": 2.0}]) == {"a": 2.0, "b": 5.0}


def test_rivals_take_turns_and_every_other_round_goes_backwards():
    order: list[str] = []
    seen: list[tuple[int, int]] = []

    def call(name):
        order.append(name)
        return len(order)

    rivals = {name: lambda name=name: call(name) for name in "abc"}
    found = Rounds(3, None, lambda done, total: seen.append((done, total))).take_turns(rivals)
    assert "".join(order) == "abccbaabc"
    assert found == {"a": [1, 6, 7], "b": [2, 5, 8], "c": [3, 4, 9]}
    assert seen == [(k, 9) for k in range(9)]


def test_a_stopwatch_leaves_out_what_was_not_reached():
    watch = Stopwatch()
    watch.add_edit({"track": 0.5, "encode": 0.25, "decode": 0.25, "composite": 0.0})
    watch.add_edit({"track": 1.5, "encode": 0.0, "decode": 0.0})
    assert watch.seconds == {"track": [0.5, 1.5], "encode": [0.25], "decode_faces": [0.25]}
    assert watch.total(("encode", "decode_faces", "write")) == 0.5


@pytest.mark.parametrize(
    ("cores", "threads", "providers", "planned"),
    [
        (6, None, ["cpu"], [("cpu", 1), ("cpu", 2), ("cpu", 4), ("cpu", 6)]),
        (8, None, ["cuda"], [("cuda", 8)]),
        (8, [3], None, [("cpu", 3), ("cuda", 3)]),
        (2, [2, 1, 2], ["cpu", "cpu"], [("cpu", 2), ("cpu", 1)]),
        (2, [1, 4], ["cuda", "cpu"], [("cuda", 4), ("cpu", 1), ("cpu", 4)]),
    ],
)
def test_setups(monkeypatch, cores, threads, providers, planned):
    monkeypatch.setattr(measure, "core_count", lambda: cores)
    monkeypatch.setattr(measure, "PROVIDERS", ("cpu", "cuda"))
    assert [(setup.provider, setup.threads) for setup in plan_setups(threads, providers)] == planned


@pytest.mark.parametrize(
    ("times", "values", "seconds", "expected"),
    [
        ([0, 1, 2, 3], [1, 2, 10, 20], 4, (1.5, 15)),  # halves
        ([0, 30, 59.9, 60, 240, 299], [1, 2, 3, 100, 7, 9], 300, (2, 8)),  # the first and the last minute
        ([3], [5], 4, (5, 5)),  # one value stands for both
        ([0, 1], [4, 6], 100, (5, 6)),  # nothing in the last part: the nearest
    ],
)
def test_the_beginning_and_the_end(times, values, seconds, expected):
    assert first_and_last(times, values, seconds) == expected


@pytest.mark.parametrize(("count", "seconds"), [(1, 0), (1, math.nan), (1, math.inf), (0, 1)])
def test_lengths_that_make_no_sense(count, seconds):
    with pytest.raises(ConfigError):
        Rounds(count, seconds)


@pytest.mark.skipif(resident_mib() is None, reason="this system does not say")
def test_memory_grows_with_what_is_held():
    before = resident_mib()
    with mmap.mmap(-1, 64 << 20) as held:  # fresh pages: an array may take what an earlier test has freed
        for _ in range(64):
            held.write(bytes([1]) * (1 << 20))
        assert 50 < resident_mib() - before < 80
