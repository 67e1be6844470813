"""A window of OpenCV's, its keys and its mouse; and why there may be none."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import ConfigError

_HEADLESS = "Without a window: --headless with --record out.mp4 or --virtual-camera."

# What a window's frame, and the bars of a desktop, take of the screen in pixels.
FRAME = (20, 100)

# The events of the mouse that matter: left button pressed, moved with it, released; right button pressed.
PRESS, DRAG, LOOSE, RIGHT = "press", "drag", "loose", "right"


def check_display() -> None:
    """Raise ConfigError where there is no display that answers, for Qt would end the whole program."""
    if sys.platform != "linux":
        return
    name = os.environ.get("DISPLAY", "")
    if not name:
        raise ConfigError(
            "There is no display to open a window on (DISPLAY is not set).",
            f"Run it in a desktop session, or with ssh -X. {_HEADLESS}",
        )
    host, _, rest = name.rpartition(":")
    number = rest.partition(".")[0]
    if host not in {"", "unix"} or not number.isdigit():
        return  # elsewhere: not looked at
    path = Path("/tmp/.X11-unix") / f"X{number}"
    for address in (str(path), f"\0{path}"):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(address)
            except OSError:
                continue
            return
    raise ConfigError(f"The display {name} does not answer.", f"Is DISPLAY right? {_HEADLESS}")


def screen_size() -> tuple[int, int] | None:
    """Width and height of the screen in pixels, of X11 and Windows; None where that is not to be had."""
    try:
        if sys.platform == "win32":
            return ctypes.windll.user32.GetSystemMetrics(0), ctypes.windll.user32.GetSystemMetrics(1)
        x11 = ctypes.CDLL(ctypes.util.find_library("X11") or "")
        x11.XOpenDisplay.restype = ctypes.c_void_p
        display = ctypes.c_void_p(x11.XOpenDisplay(None))
        if sys.platform != "linux" or not display:
            return None
        size = x11.XDisplayWidth(display, 0), x11.XDisplayHeight(display, 0)
        x11.XCloseDisplay(display)
        return size
    except (OSError, AttributeError):
        return None


class Window:
    """One window. Everything in it belongs to one thread, on macOS to the main one."""

    def __init__(self, title: str, size: tuple[int, int]) -> None:
        """Open it with an inside of `size` (width, height) pixels, or of what the screen has room for.

        Raises:
            ConfigError: there is no display, or this OpenCV knows no windows.
        """
        check_display()
        os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")  # fonts that OpenCV's Qt does not need
        wide, high = screen_size() or (size[0] + FRAME[0], size[1] + FRAME[1])
        size = min(size[0], wide - FRAME[0]), min(size[1], high - FRAME[1])
        self._title, self._asked, self._shown = title, size, False
        self._mouse: list[tuple[str, int, int]] = []
        self._held = False
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_GUI_NORMAL | cv2.WINDOW_FREERATIO)
        except cv2.error as error:
            raise ConfigError(
                "This OpenCV cannot open windows: it is opencv-python-headless, or was built without them.",
                "Replace it: pip uninstall opencv-python-headless && pip install --force-reinstall "
                f'"opencv-python<5". {_HEADLESS}',
            ) from error
        cv2.resizeWindow(title, *size)
        handler: Callable[..., Any] = self._on_mouse
        cv2.setMouseCallback(title, handler)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the inside in pixels, as large as the user has made it."""
        try:
            _, _, width, height = cv2.getWindowImageRect(self._title)
        except cv2.error:
            return self._asked
        return (width, height) if self._shown and width >= 64 and height >= 64 else self._asked

    @property
    def closed(self) -> bool:
        """Whether the user has closed it."""
        try:
            return self._shown and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error:
            return True

    def show(self, canvas_hwc_bgr: UInt8Array) -> None:
        """Show a picture; it is on the screen after the next `poll`."""
        cv2.imshow(self._title, canvas_hwc_bgr)

    def poll(self) -> int:
        """Let the window live for a millisecond; the code of a key that was pressed, or -1."""
        code = cv2.waitKeyEx(1)
        self._shown = True
        return code

    def mouse(self) -> list[tuple[str, int, int]]:
        """What the mouse did since the last call: (event, x, y)."""
        events, self._mouse = self._mouse, []
        return events

    def set_full_screen(self, wanted: bool) -> None:
        """Fill the screen, or go back to a window."""
        mode = cv2.WINDOW_FULLSCREEN if wanted else cv2.WINDOW_NORMAL
        cv2.setWindowProperty(self._title, cv2.WND_PROP_FULLSCREEN, mode)

    def close(self) -> None:
        """Close it. Calling it twice does no harm."""
        try:
            cv2.destroyWindow(self._title)
            cv2.waitKey(1)
        except cv2.error:
            return  # the user was faster

    def _on_mouse(self, event: int, x: int, y: int, flags: int, _: object) -> None:
        if event == cv2.EVENT_LBUTTONDOWN:
            self._held = True
            self._mouse.append((PRESS, x, y))
        elif event == cv2.EVENT_MOUSEMOVE and self._held:
            self._mouse.append((DRAG, x, y))
        elif event == cv2.EVENT_LBUTTONUP:
            self._held = False
            self._mouse.append((LOOSE, x, y))
        elif event == cv2.EVENT_RBUTTONDOWN:
            self._mouse.append((RIGHT, x, y))
