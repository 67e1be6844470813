"""The virtual camera against a stand-in for pyvirtualcam: what it is sent, and what goes wrong."""

from __future__ import annotations

import sys
import time
import types

import numpy as np
import pytest

from aif.runtime.errors import AifError
from aif.runtime.live.camera import CameraError
from aif.runtime.live.virtual_camera import VirtualCamera


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


def wait(condition):
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert condition()


def test_pictures_are_sent_in_its_size():
    camera = VirtualCamera(64, 48, 25)
    (fake,) = Fake.made
    assert camera.device == "/dev/video9" and fake.form == (64, 48, 25, "bgr")
    for shape in ((48, 64, 3), (96, 128, 3)):
        camera.put(np.full(shape, 7, np.uint8))
        wait(lambda: fake.sent)
        assert fake.sent.pop().shape == (48, 64, 3)
    camera.close()
    camera.close()
    assert fake.closed and camera.error is None


def test_a_device_that_goes_away_is_said():
    camera = VirtualCamera(64, 48)
    camera.put(np.full((48, 64, 3), 13, np.uint8))
    wait(lambda: camera.error)
    camera.put(np.zeros((48, 64, 3), np.uint8))
    camera.close()
    assert camera.error == "the device has gone" and Fake.made[0].closed


@pytest.mark.parametrize(
    ("platform", "match"), [("linux", "modprobe v4l2loopback"), ("darwin", "OBS"), ("win32", "OBS")]
)
def test_a_machine_without_one(monkeypatch, platform, match):
    monkeypatch.setattr(Fake, "fails", True)
    monkeypatch.setattr("aif.runtime.live.virtual_camera.sys.platform", platform)
    with pytest.raises(CameraError, match=match) as caught:
        VirtualCamera(64, 48)
    assert "No device found" in str(caught.value) and "more words" not in str(caught.value)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(AifError, match=r"aif\[camera\]"):
        VirtualCamera(64, 48)
