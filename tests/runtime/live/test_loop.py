"""Live editing: the newest frame wins, delay does not grow, faults are said and mended."""

import threading
import time

import numpy as np
import pytest

from aif.runtime.live.camera import CameraError, CameraFormat, Captured
from aif.runtime.live.figures import WINDOW, LiveClock
from aif.runtime.live.loop import LiveSession


class Scripted:
    """A camera that gives numbered frames at a rate, and then None."""

    def __init__(self, count=10**9, fps=200.0, endless=True):
        self.name, self.granted, self.endless = "scripted", CameraFormat(8, 8, fps), endless
        self.count, self.period, self.number, self.closed = count, 1 / fps, 0, False

    def read(self):
        if self.number >= self.count:
            return None
        time.sleep(self.period)
        self.number += 1
        return Captured(np.full((8, 8, 3), self.number % 256, np.uint8), time.monotonic())

    def close(self):
        self.closed = True


def copy(image, _time):
    return lambda: (image.copy(), None)


def take(session, count):
    return [frame for frame in (session.next(5) for _ in range(count)) if frame is not None]


def test_frames_come_in_order_and_edited():
    with LiveSession(Scripted, lambda image, _: lambda: (255 - image, "note")) as session:
        frames = take(session, 10)
    times = [frame.captured_s for frame in frames]
    assert len(frames) == 10 and times == sorted(times) and len(set(times)) == 10
    assert all(np.array_equal(f.image, 255 - f.original) and f.details == "note" for f in frames)


@pytest.mark.parametrize(("look_s", "make_s"), [(0.05, 0), (0, 0.05), (0.05, 0.04)])
def test_a_slow_edit_drops_frames_and_delay_does_not_grow(look_s, make_s):
    def slow(image, _time):
        time.sleep(look_s)
        return lambda: (time.sleep(make_s), (image, None))[1]

    with LiveSession(lambda: Scripted(fps=200), slow) as session:
        delays = [frame.edited_s - frame.captured_s for frame in take(session, 25)]
        stats = session.stats()
    assert np.median(delays[-8:]) < 0.2 and np.median(delays[-8:]) < 2 * np.median(delays[2:10])
    assert stats.dropped > 20 and stats.captured > stats.edited > 0
    assert 5 < stats.edited_fps < 21 < stats.captured_fps and 49 <= stats.edit_ms < 200
    assert stats.latency_p95_ms >= stats.latency_ms >= stats.edit_ms * 0.9


def test_a_file_ends_the_session():
    camera = Scripted(count=5, endless=False)
    with LiveSession(lambda: camera, copy) as session:
        assert 1 <= len(list(session)) <= 5
        assert session.ended and "end" in session.status
    assert camera.closed


def test_a_lost_camera_comes_back(monkeypatch):
    monkeypatch.setattr("aif.runtime.live.loop.FIRST_WAIT", 0.02)
    cameras = [Scripted(count=3), CameraError("scripted cannot be opened.", "Plug it in."), Scripted()]
    opened = []

    def connect():
        found = cameras.pop(0)
        opened.append(found)
        if isinstance(found, CameraError):
            raise found
        return found

    said = []
    with LiveSession(connect, copy) as session:
        deadline = time.monotonic() + 20
        while len(opened) < 3 and time.monotonic() < deadline:
            session.next(0.05)
            said.append(session.status)
        assert len(take(session, 3)) == 3
        assert session.status.startswith("scripted: 8x8")
    assert any("cannot be opened" in line and "Attempt 1" in line for line in said)
    assert opened[0].closed and opened[2].closed


def test_a_camera_that_cannot_be_opened_at_first_is_the_callers():
    def connect():
        raise CameraError("camera 0 cannot be opened.", "Is it plugged in?")

    with pytest.raises(CameraError, match="plugged"):
        LiveSession(connect, copy)


@pytest.mark.parametrize("at_once", [True, False])
def test_an_edit_that_fails_surfaces_once_and_ends(at_once):
    def broken():
        raise ZeroDivisionError("in the edit")

    def fail(image, _time):
        return broken() if at_once else broken

    with LiveSession(Scripted, fail) as session:
        with pytest.raises(ZeroDivisionError, match="in the edit"):
            list(session)
        assert session.ended and session.next(0.01) is None


def test_closing_stops_the_threads_and_may_be_repeated():
    camera = Scripted()
    before = threading.active_count()
    session = LiveSession(lambda: camera, copy)
    assert threading.active_count() == before + 3
    session.close()
    session.close()
    assert threading.active_count() == before and camera.closed


def test_a_clock_forgets_what_is_long_ago():
    clock = LiveClock()
    assert clock.stats(0).edited_fps == 0 and clock.stats(0).shown_ms == 0
    for number in range(10 * WINDOW):
        at = number / 30 + (1.0 if number < 9 * WINDOW else 0.0)
        clock.capture(at)
        clock.edit(at, at + 0.002, at + 0.022)
        clock.show(at, at + 0.03)
    stats = clock.stats(7)
    assert (stats.captured, stats.edited, stats.dropped) == (10 * WINDOW, 10 * WINDOW, 7)
    assert stats.captured_fps == pytest.approx(30) == stats.edited_fps == stats.shown_fps
    assert (
        stats.wait_ms,
        stats.edit_ms,
        stats.latency_ms,
        stats.shown_ms,
        stats.shown_p95_ms,
    ) == pytest.approx((2, 20, 22, 30, 30))
