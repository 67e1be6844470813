"""Live editing as a whole, with a synthetic camera: faces found beside, faults survived."""

import contextlib
import threading
import time

import numpy as np
import pytest

from aif.runtime import Editor
from aif.runtime.bundle.bundle import EMBEDDED_BUNDLE, Bundle
from aif.runtime.errors import UnknownAttributeError
from aif.runtime.live.camera import SyntheticCamera
from aif.runtime.live.edit import LiveEdit
from aif.runtime.live.loop import LiveSession

SMILE = {"Smiling": 0.0}


@pytest.fixture(scope="module")
def editor():
    if not EMBEDDED_BUNDLE.exists():
        pytest.skip("the embedded bundle is not here")
    with Editor.load(Bundle.open(None), "cpu", "haar", threads=1) as loaded:
        yield loaded


def wait(condition, seconds=40.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        pass
    assert found
    return found


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
    frame = wait(lambda: (f := session.next(1)) is not None and face_in(f) and f)
    changed = np.abs(frame.image.astype(int) - frame.original).max(axis=2) > 0
    assert 50 < changed.sum() < 0.5 * changed.size
    assert frame.captured_s <= frame.begun_s <= frame.edited_s
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
    assert max(frame.edited_s - frame.begun_s for frame in empty) < 2
    now.set()
    wait(lambda: (f := session.next(1)) is not None and face_in(f))
