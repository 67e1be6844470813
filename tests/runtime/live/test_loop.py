"""Live editing: the newest frame wins, delay does not grow, faults are said and mended."""

import contextlib
import threading
import time

import numpy as np
import pytest
from running_service import until

from aif.runtime import Editor
from aif.runtime.bundle.bundle import EMBEDDED_BUNDLE, Bundle
from aif.runtime.errors import UnknownAttributeError
from aif.runtime.live.camera import CameraError, CameraFormat, Captured, SyntheticCamera
from aif.runtime.live.edit import LiveEdit
from aif.runtime.live.loop import WINDOW, LiveClock, LiveSession


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


def test_frames_come_in_order_and_edited():
    with LiveSession(Scripted, lambda image, _: lambda: (255 - image, "note")) as session:
        frames = [session.next(5) for _ in range(10)]
    times = [frame.captured_s for frame in frames]
    assert times == sorted(set(times))
    assert all(np.array_equal(f.image, 255 - f.original) and f.details == "note" for f in frames)


@pytest.mark.parametrize(("look_s", "make_s"), [(0.05, 0), (0, 0.05), (0.05, 0.04)])
def test_a_slow_edit_drops_frames_and_delay_does_not_grow(look_s, make_s):
    def slow(image, _time):
        time.sleep(look_s)
        return lambda: (time.sleep(make_s), (image, None))[1]

    with LiveSession(lambda: Scripted(fps=200), slow) as session:
        delays = [frame.edited_s - frame.captured_s for frame in (session.next(5) for _ in range(25))]
        stats = session.stats()
    assert np.median(delays[-8:]) < 0.2 and np.median(delays[-8:]) < 2 * np.median(delays[2:10])
    assert stats.dropped > 20 and stats.captured > stats.edited > 0
    assert 5 < stats.edited_fps < 21 < stats.captured_fps


def test_a_file_ends_the_session():
    camera = Scripted(count=5, endless=False)
    with LiveSession(lambda: camera, copy) as session:
        assert 1 <= len(list(session)) <= 5
        assert session.ended and "end" in session.status
    assert camera.closed


def test_a_lost_camera_comes_back(monkeypatch):
    monkeypatch.setattr("aif.runtime.live.loop.FIRST_WAIT", 0.02)
    cameras = [Scripted(count=3), CameraError("scripted cannot be opened.", "Plug it in."), Scripted()]
    left, said = cameras.copy(), []

    def connect():
        found = left.pop(0)
        if isinstance(found, CameraError):
            raise found
        return found

    with LiveSession(connect, copy) as session:
        until(lambda: said.append(session.status) or not left, 20)
        assert session.next(5) is not None and session.status.startswith("scripted: 8x8")
    assert any("cannot be opened" in line and "Attempt 1" in line for line in said)
    assert cameras[0].closed and cameras[2].closed


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
    assert (stats.wait_ms, stats.shown_ms, stats.shown_p95_ms) == pytest.approx((2, 30, 30))


SMILE = {"Smiling": 0.0}


@pytest.fixture(scope="module")
def editor():
    if not EMBEDDED_BUNDLE.exists():
        pytest.skip("the embedded bundle is not here")
    with Editor.load(Bundle.open(None), "cpu", "haar", threads=1) as loaded:
        yield loaded


def face_in(frame):
    """Whether a face of the frame is edited at full strength."""
    return any(face.weight == 1 for face in frame.details.faces) and bool(frame.details.y)


@pytest.fixture
def running(editor):
    """Start a session on a camera: running(connect) -> (session, edit)."""
    with contextlib.ExitStack() as stack:

        def start(connect):
            edit = stack.enter_context(contextlib.closing(LiveEdit(editor, SMILE, threads=1)))
            return stack.enter_context(LiveSession(connect, edit)), edit

        yield start


def test_a_face_is_found_edited_and_let_alone_at_once(running, astronaut_bgr):
    session, edit = running(lambda: SyntheticCamera(astronaut_bgr, 320, 240, 15))
    frame = until(lambda: (f := session.next(1)) is not None and face_in(f) and f)
    changed = np.abs(frame.image.astype(int) - frame.original).max(axis=2) > 0
    assert 50 < changed.sum() < 0.5 * changed.size
    assert frame.captured_s <= frame.edited_s
    edit.on = False
    frames = [session.next(5) for _ in range(3)]
    assert np.array_equal(frames[-1].image, frames[-1].original) and face_in(frames[-1])
    edit.on = True
    edit.set_edits({"Smiling": 0.5})
    frames = [session.next(5) for _ in range(3)]
    assert not np.array_equal(frames[-1].image, frames[-1].original)
    with pytest.raises(UnknownAttributeError):
        edit.set_edits({"Smilling": 1.0})


def test_a_camera_without_faces_and_then_with_one(running, astronaut_bgr):
    """Nothing is changed and nothing held up while there is none; then it is found."""
    noise = np.random.default_rng(0).integers(90, 110, (240, 320, 3), dtype=np.uint8)
    cameras = [SyntheticCamera(each, 320, 240, 20) for each in (noise, astronaut_bgr)]
    now = threading.Event()

    class Scene:
        name, granted, endless = "scene", cameras[0].granted, True

        def read(self):
            return cameras[now.is_set()].read()

        def close(self):
            pass

    session, _ = running(Scene)
    empty = [frame for frame in (session.next(5) for _ in range(30)) if frame is not None]
    assert len(empty) == 30 and all(np.array_equal(frame.image, frame.original) for frame in empty)
    assert max(frame.edited_s - frame.captured_s for frame in empty) < 2
    now.set()
    until(lambda: (f := session.next(1)) is not None and face_in(f))
