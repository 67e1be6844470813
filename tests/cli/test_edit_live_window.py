"""The live window for real: on a screen of its own, by real keys and mouse, judged by what one sees."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from films import frames_of
from running_service import until

from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.live.controls import Controls
from aif.runtime.live.drawing import ACCENT, ALARM
from aif.runtime.live.panel import WIDTH, Panel

_ABSENT = [name for name in ("Xvfb", "xdotool") if shutil.which(name) is None]
pytestmark = pytest.mark.skipif(bool(_ABSENT), reason=f"needs {_ABSENT} (Debian: apt install xvfb xdotool)")

TITLE = "aif"
INSIDE = 640 + WIDTH, 480
"""Width and height of the window's inside for a small camera."""


class Screen:
    """An X server of our own, 1000 x 600: xdotool for keys and mouse, its memory for pictures."""

    def __init__(self, folder):
        read, write = os.pipe()
        # -noreset: else the server begins anew whenever its last client leaves, as each xdotool does.
        words = f"Xvfb -displayfd {write} -screen 0 1000x600x24 -nolisten tcp -noreset -fbdir".split()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._server = subprocess.Popen([*words, str(folder)], pass_fds=[write], **quiet)
        os.close(write)
        with os.fdopen(read) as pipe:
            self.display = f":{pipe.readline().strip()}"
        self._memory = folder / "Xvfb_screen0"

    def picture(self):
        """What is on the screen: uint8 (600, 1000, 3) BGR. Xvfb keeps it as an XWD file."""
        data = self._memory.read_bytes()
        head = np.frombuffer(data[:100], ">u4").tolist()
        offset, width, height, line = head[0] + 12 * head[19], head[4], head[5], head[12]
        pixels = np.frombuffer(data, np.uint8, line * height, offset).reshape(height, line)
        return pixels[:, : 4 * width].reshape(height, width, 4)[:, :, :3]

    def do(self, *words):
        """One xdotool command."""
        place = {**os.environ, "DISPLAY": self.display}
        command = ["xdotool", *map(str, words)]
        done = subprocess.run(command, check=False, env=place, capture_output=True, text=True, timeout=60)
        return done.stdout.strip()

    def ask_to_close(self, window):
        """What a window manager does when the user clicks the cross: a WM_DELETE_WINDOW message."""
        x11 = ctypes.CDLL("libX11.so.6")
        x11.XOpenDisplay.restype, x11.XInternAtom.restype = ctypes.c_void_p, ctypes.c_ulong
        display = ctypes.c_void_p(x11.XOpenDisplay(self.display.encode()))
        protocols, delete = (
            x11.XInternAtom(display, b"WM_" + name, 0) for name in (b"PROTOCOLS", b"DELETE_WINDOW")
        )
        message = (ctypes.c_long * 24)()  # an XClientMessageEvent: type, window, kind, format, first datum
        message[0], message[4], message[5], message[6], message[7] = 33, window, protocols, 32, delete
        x11.XSendEvent(display, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(message))
        x11.XSync(display, 0)
        x11.XCloseDisplay(display)

    def close(self):
        """End the server."""
        self._server.terminate()
        self._server.wait(timeout=20)


class App:
    """`aif-edit --webcam` on a screen, in a folder of its own."""

    def __init__(self, screen, bundle, folder, *words):
        self.screen, self.folder = screen, folder
        start = [sys.executable, "-m", "aif.cli.main", "edit", "--webcam", *words, "--bundle", str(bundle)]
        place = {**os.environ, "DISPLAY": screen.display}
        self.process = subprocess.Popen(
            [*start, "--detector", "haar", "--threads", "1"],
            env=place,
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
        )
        found = until(lambda: self.runs() and screen.do("search", "--onlyvisible", "--name", f"^{TITLE}$"))
        self.window = int(str(found).split()[-1])
        self._mapped = time.monotonic()
        until(lambda: self.runs() and self.shows())

    def shows(self):
        """Whether a picture is there.

        Without a window manager Qt misses, about once in twenty starts on a busy machine, that the server has
        mapped the window, and paints nothing until it is mapped again.
        """
        if self.area().std() > 15:
            return True
        if time.monotonic() - self._mapped > 8:
            self.screen.do("windowunmap", self.window)
            self.screen.do("windowmap", self.window)
            self._mapped = time.monotonic()
        return False

    def runs(self):
        """True; it fails, with what was said, where the program has ended."""
        assert self.process.poll() is None, self.process.communicate()[1]
        return True

    def key(self, name):
        """Press a key. Its effect has to be waited for: of two keys OpenCV keeps the last only."""
        self.screen.do("windowfocus", "--sync", self.window)
        self.screen.do("key", name)

    def inside(self):
        """The window's inside, uint8 BGR."""
        return self.screen.picture()[: INSIDE[1], : INSIDE[0]]

    def panel(self):
        return self.inside()[:, :WIDTH]

    def area(self):
        """The part with the camera's picture."""
        return self.inside()[:, WIDTH:]

    def files(self, pattern):
        return sorted(self.folder.glob(pattern))

    def ended(self):
        """Wait for a clean end; what was said on standard error."""
        _, said = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, said
        assert "Traceback" not in said
        return said


def near(picture, colour):
    """How many pixels have this colour."""
    return int((np.abs(picture.astype(int) - colour).max(axis=2) < 12).sum())


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    made = Screen(tmp_path_factory.mktemp("screen"))
    yield made
    made.close()


@pytest.fixture
def start(screen, bundle, tmp_path):
    apps: list[App] = []

    def begin(*words):
        apps.append(App(screen, bundle, tmp_path, *words))
        return apps[-1]

    yield begin
    for app in apps:
        if app.process.poll() is None:
            app.process.kill()
            app.process.wait(timeout=20)


def test_keys_and_mouse(start):
    """Every key shows; screenshots and recordings hold what was seen; the sliders follow the mouse."""
    app = start("synthetic:320x240@10", "--set", "Smiling=1")
    moved = near(app.panel(), ACCENT)  # with the handle of the slider that --set has moved

    def figures():
        """Where the key I shows how fast it goes."""
        return app.area()[20:300, 460:620]

    bright = figures().mean()
    app.key("h")
    until(lambda: near(app.area(), ACCENT) > 120)  # the keys' names
    app.key("h")
    until(lambda: near(app.area(), ACCENT) < 30)
    app.key("i")
    until(lambda: figures().mean() < bright / 2)
    app.key("i")
    until(lambda: figures().mean() > bright / 2)
    app.key("x")
    until(lambda: near(app.panel(), ACCENT) < moved - 200)  # handle, line and number have gone
    slider = Panel(Controls([AttributeInfo(name="Smiling"), AttributeInfo(name="Blond_Hair")], {}), INSIDE[1])
    app.screen.do("mousemove", *slider.slider(1, 0.0), "mousedown", 1)
    app.screen.do("mousemove", *slider.slider(1, 0.6), "mouseup", 1)
    until(lambda: near(app.panel()[slider.slider(1, 0)[1] - 4 :], ACCENT) > 100)
    app.key("c")
    until(lambda: app.area()[2, :, :].max() < 40)  # two small pictures leave room above
    app.key("s")
    until(lambda: app.files("aif_*.png"))
    assert cv2.imread(str(app.files("aif_*.png")[0])).shape == (240, 640, 3)
    app.key("c")
    until(lambda: app.area()[2, :, :].max() > 40)
    app.key("r")
    until(lambda: near(app.area()[:60], ALARM) > 50 and app.files("aif_*.mp4.part"))
    time.sleep(1.0)
    app.key("r")
    until(lambda: app.files("aif_*.mp4"))
    until(lambda: near(app.area()[:60], ALARM) < 50)
    assert len(frames_of(app.files("aif_*.mp4")[0])) >= 3
    app.key("p")
    until(lambda: near(app.panel(), (30, 28, 26)) < 1000)  # the sliders have gone
    app.key("q")
    assert "320x240" in app.ended()


def test_a_window_closed_by_its_user(start):
    """A clean end, and the recording is finished."""
    app = start("synthetic:320x240@10", "--record", "out.mp4")
    until(lambda: app.files("out.mp4.part"))
    time.sleep(1.0)
    app.screen.ask_to_close(app.window)
    assert "out.mp4" in app.ended()
    assert len(frames_of(app.folder / "out.mp4")) >= 3 and not app.files("*.part")


def test_a_camera_that_is_lost_and_comes_back(start, broadcast):
    """The reason stands in the window, without the password; keys still work; then the picture is back."""
    ramp = np.repeat(np.linspace(40, 250, 320, dtype=np.uint8)[None, :, None], 240, axis=0).repeat(3, axis=2)
    camera = broadcast(ramp)
    app = start(camera.url)
    bright = app.area().mean()
    camera.on, camera.pictures = False, 0
    camera.hang_up()
    until(lambda: near(app.area(), ALARM) > 300 and app.area().mean() < 0.6 * bright)
    app.key("h")
    until(lambda: near(app.area(), ACCENT) > 120)
    app.key("h")
    until(lambda: near(app.area(), ACCENT) < 30)
    camera.on, camera.pictures = True, 10**9
    until(lambda: near(app.area(), ALARM) < 50 and app.area().mean() > 0.9 * bright)
    app.key("Escape")
    said = app.ended()
    assert "gives no more frames" in said and "is back" in said and "secret" not in said
