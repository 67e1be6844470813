"""The detector beside: one frame at a time, answers once, errors handed on, an end."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from aif.runtime.faces.detect import Detection
from aif.runtime.tracking.background import BackgroundDetector

FRAME = np.zeros((8, 8, 3), np.uint8)


class Slow:
    """Finds nothing, once it is allowed to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.go, self.error, self.frames = threading.Event(), error, []

    def detect(self, frame) -> list[Detection]:
        self.frames.append(int(frame[0, 0, 0]))
        assert self.go.wait(20)
        if self.error is not None:
            raise self.error
        return []


def test_one_frame_at_a_time_and_each_answer_once():
    finder = Slow()
    beside = BackgroundDetector(finder)
    assert beside.take() is None
    assert beside.offer(FRAME + 1) and not beside.offer(FRAME + 2)
    assert beside.take(0.01) is None
    finder.go.set()
    assert beside.take(20) == []
    assert beside.take(0.01) is None
    assert beside.offer(FRAME + 3) and beside.take(20) == []
    assert finder.frames == [1, 3]
    beside.close()
    beside.close()
    assert not beside.offer(FRAME)


def test_an_answer_that_was_not_taken_keeps_the_next_frame_out():
    finder = Slow()
    finder.go.set()
    beside = BackgroundDetector(finder)
    assert beside.offer(FRAME)
    while beside._faces is None:
        threading.Event().wait(0.01)
    assert not beside.offer(FRAME)
    beside.close()


def test_errors_are_raised_where_the_answer_is_taken():
    finder = Slow(ZeroDivisionError("in the detector"))
    finder.go.set()
    beside = BackgroundDetector(finder)
    beside.offer(FRAME)
    with pytest.raises(ZeroDivisionError, match="in the detector"):
        beside.take(20)
    assert beside.offer(FRAME)  # and it goes on
    beside.close()


def test_a_thread_for_each_kind_of_frame_until_the_end():
    finder = Slow()
    finder.go.set()
    before = threading.active_count()
    beside = BackgroundDetector(finder)
    for number, urgent in enumerate([True, True, False, True, False]):
        assert threading.active_count() == before + min(number, 1) + (
            number > 2
        )  # none before the first frame
        assert beside.offer(FRAME + number, urgent) and beside.take(20) == []
    assert finder.frames == [0, 1, 2, 3, 4]
    beside.close()
    assert threading.active_count() == before
