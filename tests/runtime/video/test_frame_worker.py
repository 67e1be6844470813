"""Frames in, callbacks out: in order, with bounded delay or without loss, and no error lost."""

import threading
from typing import Any

import numpy as np
import pytest

from aif.runtime import FrameWorker
from aif.runtime.errors import AifError


def image(number):
    return np.full((4, 4, 3), number % 256, np.uint8)


def number_of(frame, time_s):
    return int(frame[0, 0, 0]), time_s


@pytest.mark.parametrize("count", [0, 1, 2, 50])
@pytest.mark.parametrize("depth", [1, 7])
def test_without_dropping_every_frame_comes_back_in_order(count, depth):
    seen: list[Any] = []
    with FrameWorker(number_of, seen.append, depth=depth, drop=False) as worker:
        for i in range(count):
            worker.submit(image(i), i / 25)
    assert seen == [(i, i / 25) for i in range(count)] and worker.dropped == 0


class Slow:
    """Gives a frame's time back once it may go on."""

    def __init__(self):
        self.go, self.begun = threading.Event(), threading.Event()

    def __call__(self, frame, time_s):
        self.begun.set()
        assert self.go.wait(10)
        return time_s


@pytest.mark.parametrize("depth", [1, 3])
def test_the_newest_frames_win(depth):
    slow, seen = Slow(), []
    with FrameWorker(slow, seen.append, depth=depth) as worker:
        worker.submit(image(0), 0)
        assert slow.begun.wait(10)
        for i in range(1, 10):
            worker.submit(image(i), i)
        slow.go.set()
    assert seen == [0, *range(10 - depth, 10)] and worker.dropped == 9 - depth


def test_closing_finishes_the_frame_in_work_and_drops_the_rest():
    slow, seen, before = Slow(), [], threading.active_count()
    worker = FrameWorker(slow, seen.append, depth=5)
    for i in range(4):
        worker.submit(image(i), i)
    assert slow.begun.wait(10) and threading.active_count() == before + 1
    threading.Timer(0.05, slow.go.set).start()
    worker.close()
    worker.close()
    assert seen == [0]
    with pytest.raises(AifError, match="closed"):
        worker.submit(image(0), 0)
    assert worker.flush() and not worker._thread.is_alive()


@pytest.mark.parametrize("where", ["edit", "callback"])
@pytest.mark.parametrize("call", ["submit", "flush", "close", "leave"])
def test_an_error_reaches_the_caller_once(where, call):
    worker = FrameWorker(lambda *_: 1 / (where != "edit"), lambda _: 1 / (where != "callback"))
    worker.submit(image(0), 0)
    worker._thread.join(10)
    with pytest.raises(ZeroDivisionError):
        if call == "submit":
            worker.submit(image(1), 1)
        elif call == "leave":
            with worker:
                pass
        else:
            getattr(worker, call)()
    worker.close()
    with pytest.raises(AifError, match="closed"):
        worker.submit(image(1), 1)


def test_the_error_of_the_caller_comes_first(caplog):
    with pytest.raises(KeyError), FrameWorker(lambda *_: 1 / 0, lambda result: None) as worker:
        worker.submit(image(0), 0)
        worker._thread.join(10)
        raise KeyError
    assert "ZeroDivisionError" in caplog.text


def test_a_callback_may_submit_and_close():
    seen: list[float] = []

    def callback(time_s):
        seen.append(time_s)
        if time_s < 3:
            worker.submit(image(0), time_s + 1)
        else:
            worker.close()

    worker = FrameWorker(lambda frame, time_s: time_s, callback, drop=False)
    worker.submit(image(0), 0)
    worker._thread.join(10)
    assert seen == [0, 1, 2, 3] and not worker._thread.is_alive()


def test_a_callback_cannot_wait_for_itself():
    worker: FrameWorker[float] = FrameWorker(lambda frame, time_s: time_s, lambda result: worker.flush())
    worker.submit(image(0), 0)
    worker._thread.join(10)
    with pytest.raises(AifError, match="from a callback"):
        worker.close()


def test_frames_from_several_threads():
    seen: list[tuple[int, float]] = []
    worker = FrameWorker(number_of, seen.append, depth=2, drop=False)
    threads = [
        threading.Thread(target=lambda n=n: [worker.submit(image(n), i) for i in range(50)]) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    worker.flush()
    worker.close()
    for n in range(4):
        assert [time_s for number, time_s in seen if number == n] == [*range(50)]
