"""A window of OpenCV's, its keys and its mouse; and why there may be none."""

from __future__ import annotations

import ctypes
import os
import sys

import cv2

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import ConfigError

_HEADLESS = "Without a window: --headless with --record out.mp4 or --virtual-camera."

# What a window's frame, and the bars of a desktop, take of the screen in pixels.
FRAME = (20, 100)

# The events of the mouse that matter: left button pressed, moved with it, released; right button pressed.
PRESS, DRAG, LOOSE, RIGHT = "press", "drag", "loose", "right"
_EVENTS = {
    cv2.EVENT_LBUTTONDOWN: PRESS,
    cv2.EVENT_MOUSEMOVE: DRAG,
    cv2.EVENT_LBUTTONUP: LOOSE,
    cv2.EVENT_RBUTTONDOWN: RIGHT,
}


def check_display() -> tuple[int, int] | None:
    """Width and height of the screen in pixels, on Windows and X11; None where that is not to be had.

    Raises:
        ConfigError: there is no display that answers, for which Qt would end the whole program.
    """
    if sys.platform == "win32":
        metrics = ctypes.windll.user32.GetSystemMetrics
        return metrics(0), metrics(1)
    if sys.platform != "linux":
        return None
    name = os.environ.get("DISPLAY", "")
    if not name:
        raise ConfigError(
            "There is no display to open a window on (DISPLAY is not set).",
            f"Run it in a desktop session, or with ssh -X. {_HEADLESS}",
        )
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError:
        return None
    x11.XOpenDisplay.restype = ctypes.c_void_p
    display = ctypes.c_void_p(x11.XOpenDisplay(None))
    if not display:
        raise ConfigError(f"The display {name} does not answer.", f"Is DISPLAY right? {_HEADLESS}")
    # Not closed: without any program a bare X server begins anew, and refuses a window that comes just then.
    return x11.XDisplayWidth(display, 0), x11.XDisplayHeight(display, 0)


class Window:
    """One window. Everything in it belongs to one thread, on macOS to the main one."""

    def __init__(self, title: str, size: tuple[int, int]) -> None:
        """Open it with an inside of `size` (width, height) pixels, or of what the screen has room for.

        Raises:
            ConfigError: there is no display, or this OpenCV knows no windows.
        """
        wide, high = check_display() or (size[0] + FRAME[0], size[1] + FRAME[1])
        os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")  # fonts that OpenCV's Qt does not need
        size = min(size[0], wide - FRAME[0]), min(size[1], high - FRAME[1])
        self._title, self._asked, self._shown = title, size, False
        self._mouse: list[tuple[str, int, int]] = []
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_GUI_NORMAL | cv2.WINDOW_FREERATIO)
        except cv2.error as error:
            raise ConfigError(
                "This OpenCV cannot open windows: it is opencv-python-headless, or was built without them.",
                "Replace it: pip uninstall opencv-python-headless && pip install --force-reinstall "
                f'"opencv-python<5". {_HEADLESS}',
            ) from error
        cv2.resizeWindow(title, *size)
        cv2.setMouseCallback(title, self._on_mouse)

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
        dragged = event != cv2.EVENT_MOUSEMOVE or flags & cv2.EVENT_FLAG_LBUTTON
        if event in _EVENTS and dragged:
            self._mouse.append((_EVENTS[event], x, y))
