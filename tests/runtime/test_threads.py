"""Items between threads: in order, bounded, and nobody waits for what will not come."""

from __future__ import annotations

import sys
import threading
import time

import cv2
import pytest

from aif.runtime.threads import Channel, Failure, shared_cores


@pytest.mark.parametrize(
    ("full", "taken", "kept", "dropped"),
    [
        ("drop", [True] * 5, [3, 4], 3),
        ("refuse", [True, True, False, False, False], [0, 1], 0),
        ("exceed", [True] * 5, [0, 1, 2, 3, 4], 0),
    ],
)
def test_without_room(full, taken, kept, dropped):
    room: Channel[int] = Channel(2)
    assert [room.put(number, full) for number in range(5)] == taken
    room.close()
    assert not room.put(9, full) and list(room) == kept and room.dropped == dropped


@pytest.mark.parametrize("drop", [False, True])
def test_the_end_wakes_all_who_wait(drop):
    room: Channel[int] = Channel()
    assert room.put(1) and not room.join(0.01)
    threading.Timer(0.05, room.close, (drop,)).start()
    start = time.monotonic()
    assert not room.put(2) and room.join() and room.closed
    assert list(room) == ([] if drop else [1]) and room.take() is None and time.monotonic() - start < 5


def test_an_item_is_done_with_when_the_next_is_asked_for():
    room: Channel[int] = Channel()
    room.put(1)
    assert room.take() == 1 and not room.join(0.01)
    assert room.take(0.01) is None and room.join(0.01)


def test_the_first_failure_is_raised_once():
    failure = Failure()
    failure.keep(ValueError("first"))
    failure.keep(KeyError("second"))
    with pytest.raises(ValueError, match="first"):
        failure.raise_once()
    failure.raise_once()


def test_opencv_keeps_to_its_share_for_a_time():
    before = cv2.getNumThreads(), sys.getswitchinterval()
    with pytest.raises(KeyError), shared_cores(3):
        assert (cv2.getNumThreads(), sys.getswitchinterval()) == (3, pytest.approx(0.001))
        raise KeyError
    assert (cv2.getNumThreads(), sys.getswitchinterval()) == before
