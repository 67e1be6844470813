"""Cameras: names without secrets, synthetic frames on time, clear refusals."""

import time

import cv2
import numpy as np
import pytest
from running_service import until

from aif.runtime.errors import ConfigError
from aif.runtime.live.camera import (
    CameraError,
    CameraFormat,
    CaptureCamera,
    SyntheticCamera,
    open_camera,
    public_name,
)
from aif.runtime.live.loop import LiveSession

PICTURE = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (0, "camera 0"),
        ("1", "camera 1"),
        ("/dev/video2", "/dev/video2"),
        ("rtsp://cam.local/live", "rtsp://cam.local/live"),
        ("rtsp://user:secret@cam.local:554/live", "rtsp://***@cam.local:554/live"),
        ("http://cam/video?token=secret", "http://cam/video?***"),
        ("http://user:sec@ret@cam/video", "http://***@cam/video"),
        ("clip.mp4", "clip.mp4"),
        ("rtsp://user:sec/ret@cam/live", "rtsp://***@cam/live"),
        ("rtsp://user:sec#ret@cam/live", "rtsp://***@cam/live"),
        ("rtsp://user:sec?ret@cam/live", "rtsp://***@cam/live"),
        ("rtsp://user:se@c/ret@cam/live", "rtsp://***@cam/live"),
        ("rtsp://user:secret@[cam/live", "rtsp://***@[cam/live"),
        ("http://cam/video?mail=a@b&token=secret", "http://cam/video?***"),
        ("http://cam/video#secret", "http://cam/video#***"),
        ("http://:secret@cam", "http://***@cam"),
    ],
)
def test_names_hide_secrets(source, name):
    assert public_name(source) == name


@pytest.mark.parametrize(
    ("words", "wanted", "size"),
    [
        ("synthetic", CameraFormat(160, 120, 15), (160, 120, 15)),
        ("synthetic:320x240", None, (320, 240, 30)),
        ("synthetic:320x240@12.5", CameraFormat(160, 120, 15), (320, 240, 12.5)),
    ],
)
def test_synthetic_cameras_by_words(words, wanted, size):
    camera = open_camera(words, wanted)
    assert camera.granted == CameraFormat(*size)
    assert camera.read().image_hwc_bgr.shape == (size[1], size[0], 3)


@pytest.mark.parametrize("words", ["synthetic:big", "synthetic:0x0", "synthetic:100x100@0"])
def test_synthetic_cameras_that_make_no_sense(words):
    with pytest.raises(ConfigError, match="synthetic"):
        open_camera(words)


def test_synthetic_frames_move_and_are_repeatable():
    camera = SyntheticCamera(PICTURE, 96, 64, 30)
    assert np.array_equal(camera.frame(7), camera.frame(7))
    assert np.abs(camera.frame(0).astype(int) - camera.frame(30)).mean() > 5


def test_synthetic_frames_come_at_their_time_and_late_readers_miss_some():
    camera = SyntheticCamera(PICTURE, 96, 64, 50)
    times = [camera.read().time_s for _ in range(5)]
    assert min(np.diff(times)) > 0.015
    time.sleep(0.2)
    assert camera.read().time_s - times[-1] > 0.15


@pytest.mark.parametrize(
    ("source", "match"),
    [("nowhere.mp4", "no file"), ("text.txt", "cannot be opened"), ("/dev/video987", "plugged")],
)
def test_what_cannot_be_opened(source, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("no video")
    with pytest.raises(CameraError, match=match):
        open_camera(source)


def test_a_file_comes_at_its_own_pace_and_ends(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (48, 64))
    for _ in range(10):
        writer.write(PICTURE)
    writer.release()
    camera = CaptureCamera(str(path), CameraFormat())
    assert not camera.endless and camera.granted.width == 48
    start, count = time.monotonic(), 0
    while camera.read() is not None:
        count += 1
    assert count == 10 and time.monotonic() - start > 0.3
    camera.close()


def test_a_stream_cut_in_mid_picture_comes_back(broadcast, monkeypatch, capfd):
    """Real sockets, decoder and threads: the picture stops, the reason is said, the picture is back."""
    monkeypatch.setattr("aif.runtime.live.loop.FIRST_WAIT", 0.1)
    server = broadcast(np.full((64, 96, 3), 200, np.uint8))
    server.pictures = 30
    said, sizes = set(), set()
    with LiveSession(lambda: open_camera(server.url), lambda image, _: lambda: (image, None)) as session:

        def back():
            if (frame := session.next(0.1)) is not None:
                sizes.add(frame.image.shape)
            said.add(session.status)
            server.on = server.served != 1 or any("Attempt" in line for line in said)  # away for a while
            return server.served >= 3

        until(back, 30)
    assert sizes == {(64, 96, 3)}
    assert any("gives no more frames" in line for line in said)
    assert any("cannot be opened" in line for line in said)
    assert not any("secret" in line for line in said) and "secret" not in "".join(capfd.readouterr())
