"""The detector beside: one frame at a time, answers once, errors passed on, an end."""

import threading

import numpy as np
import pytest

from aif.runtime.tracking.background import BackgroundDetector

FRAME = np.zeros((8, 8, 3), np.uint8)


class Slow:
    """Finds nothing, once it is allowed to."""

    def __init__(self, error=None):
        self.go, self.error, self.frames = threading.Event(), error, []

    def detect(self, frame):
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
    assert beside.take(20) == [] and beside.take(0.01) is None
    assert beside.offer(FRAME + 3) and beside.take(20) == []
    assert beside.offer(FRAME + 4)
    while len(finder.frames) < 3:
        threading.Event().wait(0.01)
    assert not beside.offer(FRAME + 5), "an answer that was not taken keeps the next frame out"
    beside.close()
    beside.close()
    assert finder.frames == [1, 3, 4] and not beside.offer(FRAME)


def test_errors_are_raised_where_the_answer_is_taken():
    finder = Slow(ZeroDivisionError("in the detector"))
    finder.go.set()
    beside = BackgroundDetector(finder)
    beside.offer(FRAME)
    with pytest.raises(ZeroDivisionError, match="in the detector"):
        beside.take(20)
    assert beside.offer(FRAME)  # and it goes on
    beside.close()


def test_its_threads_end_with_it():
    finder, before = Slow(), threading.active_count()
    finder.go.set()
    beside = BackgroundDetector(finder)
    for number, urgent in enumerate([True, True, False, True, False]):
        assert beside.offer(FRAME + number, urgent) and beside.take(20) == []
    assert finder.frames == [0, 1, 2, 3, 4] and threading.active_count() == before + 2
    beside.close()
    assert threading.active_count() == before
