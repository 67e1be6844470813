"""Recordings: every frame at its time, whole in the end, and playable when the disk was full."""

import contextlib
import resource
import threading
import time

import av
import numpy as np
import pytest
from running_service import until

from aif.runtime.errors import ConfigError
from aif.runtime.live.camera import CameraFormat
from aif.runtime.live.choices import LiveChoices
from aif.runtime.live.drawing import fitted
from aif.runtime.live.loop import LiveFrame
from aif.runtime.live.outlets import Outlets
from aif.runtime.live.record import WAITING, Recorder
from aif.runtime.video.kinds import VideoError

NOISE = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)


def picture(number, height=64, width=96):
    """Noise that an encoder cannot make small, and the number as a level in a corner."""
    image = np.roll(np.resize(NOISE, (height, width, 3)), 5 * number, axis=1)
    image[:16, :16] = 2 * number % 256
    return image


def fed(recorder, times):
    for number, at in enumerate(times):
        while len(recorder._waiting) >= WAITING - 1:
            time.sleep(0.001)
        recorder.put(picture(number), at)


def played(path):
    """Time and level of the corner of each frame, up to where the file may break off."""
    found = []
    with av.open(str(path)) as film, contextlib.suppress(av.InvalidDataError):
        for frame in film.decode(video=0):
            level = frame.to_ndarray(format="gray")[2:14, 2:14].mean()
            found.append((float(frame.time or 0), int(level)))
    return found


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v", ".mkv"])
def test_every_frame_at_its_own_time(tmp_path, suffix):
    """Irregular times, a long gap (the camera was away), and a clock that starts anywhere."""
    times = [1000.0, 1000.04, 1000.05, 1000.2, 1005.0, 1005.03]
    recorder = Recorder(tmp_path / f"new/out{suffix}")
    fed(recorder, times)
    result = recorder.close()
    assert result == recorder.close()
    assert (result.kept, result.frames, result.left_out, result.error) == (True, 6, 0, None)
    assert result.seconds == pytest.approx(5.03)
    found = played(result.path)
    assert [at for at, _ in found] == pytest.approx([at - 1000 for at in times], abs=0.0011)
    assert [level for _, level in found] == pytest.approx([0, 2, 4, 6, 8, 10], abs=4)
    assert [each.name for each in (tmp_path / "new").iterdir()] == [f"out{suffix}"]


def test_what_there_is_plays_while_it_is_being_written(tmp_path):
    """As after a power cut: the file is not finished, only copied."""
    recorder = Recorder(tmp_path / "out.mp4")
    fed(recorder, [number / 30 for number in range(120)])
    part, copy = tmp_path / "out.mp4.part", tmp_path / "copy.mp4"
    until(lambda: recorder._frames == 120, 20)
    copy.write_bytes(part.read_bytes())
    assert len(played(copy)) >= 60
    assert recorder.close().frames == 120


@contextlib.contextmanager
def full_disk(room):
    """Files grow to so many bytes, then writing fails: as on a full disk, by the kernel."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("share", [0.35, 0.97, 0.999])
def test_a_full_disk_at_any_moment(tmp_path, suffix, share):
    """Also while the file is being finished: what came before is kept and plays."""
    times = [number / 30 for number in range(60)]
    recorder = Recorder(tmp_path / f"whole{suffix}")
    fed(recorder, times)
    size = recorder.close().path.stat().st_size
    recorder = Recorder(tmp_path / f"out{suffix}")
    with full_disk(int(share * size)):
        fed(recorder, times)
        result = recorder.close()
    assert result.kept and "too large" in str(result.error)
    assert len(played(result.path)) >= 60 * share - 5
    recorder.put(picture(0), 99)  # does no harm any more


def test_a_disk_that_was_full_before_leaves_nothing(tmp_path):
    recorder = Recorder(tmp_path / "out.mp4")
    with full_disk(100):
        fed(recorder, [number / 30 for number in range(60)])
        result = recorder.close()
    assert not result.kept and result.error and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fails", [False, True])
def test_an_encoder_that_is_slow_or_fails(tmp_path, monkeypatch, fails):
    """Frames are left out, or the reason is said; `put` never waits, and closing does not hang."""

    def encode(*_):
        time.sleep(0.02)
        if fails:
            raise ZeroDivisionError("in the encoder")

    monkeypatch.setattr(Recorder, "_encode", encode)
    recorder = Recorder(tmp_path / "out.mp4")
    for number in range(3 * WAITING):
        recorder.put(picture(number), number / 1000)
    result = recorder.close()
    assert not result.kept and result.left_out >= WAITING
    assert ("in the encoder" in str(result.error)) == fails


def test_stopping_does_not_wait_for_the_encoder(tmp_path, monkeypatch):
    """The window goes on, a new recording may begin, and what became of the old one is said later."""
    go_on, encode = threading.Event(), Recorder._encode

    def slow(self, *frame):
        assert go_on.wait(60)
        encode(self, *frame)

    monkeypatch.setattr(Recorder, "_encode", slow)
    outlets = Outlets(LiveChoices("synthetic", CameraFormat(), tmp_path / "out.mp4"))
    outlets.start_recording()
    for number in range(3):
        outlets.each(LiveFrame(picture(number), picture(number), number / 30, number / 30))
    assert outlets.stop_recording() == f"Finishing {tmp_path / 'out.mp4'} ..."
    assert outlets.news() == [] and "out_2.mp4" in outlets.start_recording()
    go_on.set()
    news = until(outlets.news, 60)
    assert len(news) == 1 and "out.mp4: 3 frames" in news[0] and (tmp_path / "out.mp4").exists()
    assert outlets.close() == ["Nothing was recorded: there was no frame."]


def test_frames_of_another_size_are_fitted(tmp_path):
    recorder = Recorder(tmp_path / "out.mp4")
    recorder.put(picture(0, 65, 97), 0.0)  # odd
    recorder.put(picture(0, 200, 100), 0.1)
    result = recorder.close()
    with av.open(str(result.path)) as film:
        sizes = {(frame.width, frame.height) for frame in film.decode(video=0)}
    assert result.frames == 2 and sizes == {(98, 66)}


@pytest.mark.parametrize(
    ("shape", "box"),
    [((32, 48), (0, 0, 96, 64)), ((64, 32), (32, 0, 32, 64)), ((1, 96), (0, 31, 96, 1))],
)
def test_fitting(shape, box):
    left, top, width, height = box
    result = fitted(np.full((*shape, 3), 200, np.uint8), (96, 64))
    assert result.shape == (64, 96, 3)
    assert (result[top : top + height, left : left + width] == 200).all()
    assert int(result.astype(int).sum()) == 200 * 3 * width * height


@pytest.mark.parametrize(
    ("name", "settings", "error", "match"),
    [
        ("out.mp4", {"quality": 0}, ConfigError, "1 to 100"),
        ("taken/out.mp4", {}, VideoError, "Cannot write"),
    ],
)
def test_what_cannot_be_recorded(tmp_path, name, settings, error, match):
    (tmp_path / "taken").write_text("a file where a folder is wanted")
    with pytest.raises(error, match=match):
        Recorder(tmp_path / name, **settings)


@pytest.mark.parametrize("new", [True, False])
def test_what_comes_to_a_recordings_place_stays_where_it_was_to_be_new(tmp_path, new):
    recorder = Recorder(tmp_path / "out.mp4", new=new)
    recorder.put(picture(0), 0.0)
    recorder.path.write_bytes(b"theirs")
    result = recorder.close()
    assert result.kept and len(played(result.path)) == 1
    assert ((tmp_path / "out.mp4").read_bytes() == b"theirs") == (result.path.name != "out.mp4") == new


def test_what_an_earlier_run_left_behind_stays(tmp_path):
    (tmp_path / "out.mp4.part").write_bytes(b"earlier")
    recorder = Recorder(tmp_path / "out.mp4")
    recorder.put(picture(0), 0.0)
    assert recorder.close().kept
    assert (tmp_path / "out.mp4.part").read_bytes() == b"earlier"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["out.mp4", "out.mp4.part"]
