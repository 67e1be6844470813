"""What is asked for of a live picture, what is said of a recording; the virtual camera against a stand-in for
pyvirtualcam.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest
from running_service import until

from aif.runtime.errors import AifError, ConfigError
from aif.runtime.live.camera import CameraError, CameraFormat
from aif.runtime.live.choices import LiveChoices, check_live, parse_format
from aif.runtime.live.outlets import VirtualCamera, described, free_name
from aif.runtime.live.record import Recording


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((None, None, None), CameraFormat()),
        (("1280x720", 30.0, "mjpg"), CameraFormat(1280, 720, 30.0, "MJPG")),
        ((" 640X480 ", None, None), CameraFormat(640, 480)),
    ],
)
def test_formats(words, expected):
    assert parse_format(*words) == expected


@pytest.mark.parametrize(
    "words",
    [("big", None, None), (None, 0.0, None), (None, None, "MJPEG")],
)
def test_formats_that_make_no_sense(words):
    with pytest.raises(ConfigError, match="--camera-"):
        parse_format(*words)


def test_free_names(tmp_path):
    path = tmp_path / "out.mp4"
    for name in ("out.mp4", "out_2.mp4", "out_3.mp4"):
        assert free_name(path).name == name
        free_name(path).touch()


@pytest.mark.parametrize(
    ("recording", "words"),
    [
        (Recording(Path("a.mp4"), True, 90, 3.0, 0), ["a.mp4: 90 frames, 3.0 s."]),
        (Recording(Path("a.mp4"), True, 90, 3.0, 7), ["7 left out", "too slow"]),
        (Recording(Path("a.mp4"), True, 90, 3.0, 0, "No space"), ["stopped: No space", "holds what"]),
        (Recording(Path("a.mp4"), False, 2, 0.1, 0, "No space left"), ["nothing could be kept"]),
        (Recording(Path("a.mp4"), False, 0, 0.0, 0), ["no frame"]),
    ],
)
def test_what_is_said_of_a_recording(recording, words):
    assert all(word in described(recording) for word in words)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"headless": True}, "shows nothing"),
        ({"headless": True, "record": Path("x.mp4"), "compare": True}, "--compare"),
        ({"record": Path("x.avi")}, r"\.mp4, "),
        ({"record": Path(__file__)}, "kind"),
        ({"seconds": 0.0, "headless": True, "timings": True}, "--end"),
    ],
)
def test_choices_that_cannot_work(change, match):
    with pytest.raises(ConfigError, match=match):
        check_live(LiveChoices("0", CameraFormat(), **change))


class Fake:
    """pyvirtualcam.Camera as it is used here."""

    device, fails = "/dev/video9", False
    made: list[Fake] = []  # noqa: RUF012

    def __init__(self, width, height, fps, *, fmt):
        if self.fails:
            raise RuntimeError("'v4l2loopback' backend: No device found\nmore words")
        self.form, self.sent, self.closed = (width, height, fps, fmt), [], False
        Fake.made.append(self)

    def send(self, image):
        if image[0, 0, 0] == 13:
            raise RuntimeError("the device has gone")
        self.sent.append(image)

    def close(self):
        self.closed = True


@pytest.fixture(autouse=True)
def pyvirtualcam(monkeypatch):
    Fake.made.clear()
    module = types.SimpleNamespace(Camera=Fake, PixelFormat=types.SimpleNamespace(BGR="bgr"))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", module)


def test_pictures_are_sent_in_its_size():
    camera = VirtualCamera(64, 48, 25)
    (fake,) = Fake.made
    assert camera.device == "/dev/video9" and fake.form == (64, 48, 25, "bgr")
    for shape in ((48, 64, 3), (96, 128, 3)):
        camera.put(np.full(shape, 7, np.uint8))
        until(lambda: fake.sent)
        assert fake.sent.pop().shape == (48, 64, 3)
    camera.close()
    camera.close()
    assert fake.closed and camera.error is None


def test_a_device_that_goes_away_is_said():
    camera = VirtualCamera(64, 48)
    camera.put(np.full((48, 64, 3), 13, np.uint8))
    until(lambda: camera.error)
    camera.put(np.zeros((48, 64, 3), np.uint8))
    camera.close()
    assert camera.error == "the device has gone" and Fake.made[0].closed


@pytest.mark.parametrize(
    ("platform", "match"), [("linux", "modprobe v4l2loopback"), ("darwin", "OBS"), ("win32", "OBS")]
)
def test_a_machine_without_one(monkeypatch, platform, match):
    monkeypatch.setattr(Fake, "fails", True)
    monkeypatch.setattr("aif.runtime.live.outlets.sys.platform", platform)
    with pytest.raises(CameraError, match=match) as caught:
        VirtualCamera(64, 48)
    assert "No device found" in str(caught.value) and "more words" not in str(caught.value)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(AifError, match=r"aif\[camera\]"):
        VirtualCamera(64, 48)
