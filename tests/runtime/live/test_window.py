"""The live window without a window: keys, sliders, text and pictures; and why there may be none."""

import ctypes
import os
import shutil
import subprocess
import time

import cv2
import numpy as np
import pytest

from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.errors import ConfigError
from aif.runtime.live.controls import KEYS, SWITCHES, Action, Controls, action_for
from aif.runtime.live.drawing import SEEN, draw_text, shortened, text_width, wrapped
from aif.runtime.live.loop import LiveStats
from aif.runtime.live.panel import WIDTH, Panel
from aif.runtime.live.view import figure_rows, help_rows, place_both
from aif.runtime.live.window import Window, check_display

NAMES = [AttributeInfo(name=name) for name in ("Smiling", "Eyeglasses", "Blond_Hair")]


@pytest.mark.parametrize(
    ("code", "action"),
    [
        (ord("Q"), Action.QUIT),
        (ord(" "), Action.TOGGLE),
        (65364, Action.NEXT),
        (0x250000, Action.LESS),
        (63235, Action.MORE),
        (0x100000 + ord("c"), Action.COMPARE),  # GTK with Num Lock
        (0x110000 + ord("M"), Action.MIRROR),
        (65535, Action.RELEASE),
        (-1, None),
        (ord("z"), None),
        (65505, None),  # Shift
        (10**12, None),
    ],
)
def test_keys(code, action):
    assert action_for(code) is action


def test_the_table_of_keys_is_whole_and_unambiguous():
    codes = [code for key in KEYS for code in (*map(ord, key.letters), *key.codes)]
    assert len(codes) == len(set(codes)) and {key.action for key in KEYS} == set(Action)
    assert len(help_rows()) == len(KEYS) + 1


@pytest.mark.parametrize(
    ("actions", "chosen", "values"),
    [
        ([], 1, {"Eyeglasses": 0.5}),
        ([Action.NEXT, Action.NEXT], 0, {"Eyeglasses": 0.5}),
        ([Action.PREVIOUS, Action.PREVIOUS], 2, {"Eyeglasses": 0.5}),
        ([Action.MORE, Action.MORE], 1, {"Eyeglasses": 0.7}),
        ([Action.LESS] * 30, 1, {"Eyeglasses": -1.0}),
        ([Action.ABSENT], 1, {"Eyeglasses": 0.0}),
        ([Action.PREVIOUS, Action.PRESENT], 0, {"Eyeglasses": 0.5, "Smiling": 1.0}),
        ([Action.PREVIOUS, Action.MORE], 0, {"Eyeglasses": 0.5, "Smiling": 0.9}),  # from what is seen
        ([Action.NEXT, Action.LESS], 2, {"Eyeglasses": 0.5, "Blond_Hair": 0.4}),  # nothing is seen of it
        ([Action.RELEASE], 1, {}),
        ([Action.PREVIOUS, Action.PRESENT, Action.RELEASE_ALL], 0, {}),
    ],
)
def test_sliders_by_keys(actions, chosen, values):
    controls = Controls(NAMES, {"Eyeglasses": 0.5})
    for action in actions:
        controls.apply(action, {"Smiling": 0.83})
    assert controls.chosen == chosen and controls.values == pytest.approx(values)


def test_switches_go_on_and_off():
    controls = Controls(NAMES, {}, compare=True)
    before = vars(controls).copy()
    for action, name in SWITCHES.items():
        controls.apply(action)
        assert getattr(controls, name) is not before[name]
        controls.apply(action)
    assert vars(controls) == before and controls.on and controls.compare and not controls.mirror


@pytest.mark.parametrize(
    ("value", "expected"), [(0.5, 0.5), (0.03, 0.0), (-0.05, 0.0), (1.04, 1.0), (1.2, 1.2), (9, 2.0)]
)
def test_dragging_snaps_to_absent_and_present(value, expected):
    controls = Controls(NAMES, {})
    controls.drag(2, value)
    assert controls.values == {"Blond_Hair": expected} and controls.chosen == 2
    controls.release(2)
    assert controls.values == {}


@pytest.mark.parametrize(("count", "height"), [(1, 240), (3, 600), (8, 720), (40, 480)])
def test_a_slider_is_where_the_mouse_finds_it(count, height):
    controls = Controls([AttributeInfo(name=f"A{number}") for number in range(count)], {})
    panel = Panel(controls, height)
    for chosen in range(count):
        controls.chosen = chosen
        x, y = panel.slider(chosen, 0.5)
        assert panel.row_at(x, y) == chosen and 0 <= y < height and 0 <= x < WIDTH
        assert panel.value_at(chosen, x) == pytest.approx(0.5, abs=0.02)
    assert panel.row_at(20, 0) is None and panel.row_at(WIDTH, 120) is None
    assert (panel.value_at(0, -50), panel.value_at(0, 9999)) == (-1.0, 2.0)


def test_the_value_that_the_model_sees_stands_beside_every_slider():
    panel = Panel(Controls(NAMES, {"Smiling": 1.0}), 400)
    rows = [panel.slider(index, 0)[1] for index in range(3)]

    def seen_pixels(picture):
        near = np.abs(picture.astype(int) - SEEN).max(axis=2) < 30
        return [int(near[y - 14 : y + 12, 40:].sum()) for y in rows]

    assert seen_pixels(panel.draw(None, "camera 0: 640x480", True)) == [0, 0, 0]
    panel._drawn_s = 0
    with_face = panel.draw(dict.fromkeys(("Smiling", "Eyeglasses", "Blond_Hair"), 0.25), "camera 0", True)
    assert min(seen_pixels(with_face)) > 20 and with_face.shape == (400, WIDTH, 3)


def test_a_window_fits_the_screen(monkeypatch):
    for name in ("namedWindow", "resizeWindow", "setMouseCallback"):
        monkeypatch.setattr(cv2, name, lambda *_: None)
    for screen, size in [((1024, 768), (1004, 668)), (None, (1600, 900)), ((3840, 2160), (1600, 900))]:
        monkeypatch.setattr("aif.runtime.live.window.check_display", lambda screen=screen: screen)
        assert Window("t", (1600, 900)).size == size


def test_text_is_cut_wrapped_and_kept_inside():
    long = "a word " * 40
    assert text_width(shortened(long, 15, 200), 15) <= 200 and shortened("short", 15, 200) == "short"
    lines = wrapped(long, 15, 200)
    assert len(lines) > 3 and " ".join(lines).split() == long.split() and wrapped("", 15, 200) == [""]
    canvas = np.zeros((30, 60, 3), np.uint8)
    for x, y in ((-20, -5), (50, 20), (500, 500), (-500, 0)):
        draw_text(canvas, "Text", x, y)
    assert canvas.any()
    canvas[:] = 0
    draw_text(canvas, "ooo", 60, 5, align="right")
    assert canvas[:, 30:].any() and not canvas[:, :20].any()


def test_pictures_are_compared():
    area = np.zeros((100, 300, 3), np.uint8)
    original, result = np.full((50, 50, 3), 100, np.uint8), np.full((50, 50, 3), 200, np.uint8)
    place_both(area, original, result)
    assert (area[60, 60] == 100).all() and (area[60, 240] == 200).all()


def test_figures():
    rows = dict(figure_rows(LiveStats(shown_ms=42.4, dropped=3), {"track": 4.4}, 7.0, 2))
    assert (rows["latency"], rows["overtaken"], rows["faces"]) == ("42 ms", "3", "2")
    assert (rows["  follow faces"], rows["  encode"], rows["  display"]) == ("4 ms", "0 ms", "7 ms")


@pytest.mark.parametrize("display", ["", ":987", "unix:987"])
def test_no_display(monkeypatch, display):
    monkeypatch.setattr("aif.runtime.live.window.sys.platform", "linux")
    monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(ConfigError, match="--headless"):
        check_display()


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb")
def test_looking_at_a_bare_display_does_not_make_it_begin_anew(monkeypatch):
    """It would refuse the window that is opened next: Qt then ends the program."""
    read, write = os.pipe()
    server = subprocess.Popen(["Xvfb", "-displayfd", str(write)], pass_fds=[write], stderr=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("DISPLAY", f":{os.read(read, 20).decode().strip()}")
        assert check_display() == (1280, 1024)
        x11 = ctypes.CDLL("libX11.so.6")
        x11.XOpenDisplay.restype = ctypes.c_void_p
        for only_known in (False, True):  # atoms are forgotten when a server begins anew
            display = ctypes.c_void_p(x11.XOpenDisplay(None))
            assert x11.XInternAtom(display, b"AIF_TEST", only_known)
            x11.XCloseDisplay(display)
            time.sleep(0.3)
    finally:
        server.terminate()
        server.wait(timeout=20)
        os.close(read)
        os.close(write)


def test_an_opencv_without_windows(monkeypatch):
    def fail(*_):
        raise cv2.error("The function is not implemented")

    monkeypatch.setattr("aif.runtime.live.window.check_display", lambda: None)
    monkeypatch.setattr(cv2, "namedWindow", fail)
    with pytest.raises(ConfigError, match="opencv-python-headless") as caught:
        Window("aif", (640, 480))
    assert "--headless" in str(caught.value)
