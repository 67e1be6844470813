"""Whether a window can open, without opening one."""

from __future__ import annotations

import sys

import cv2

from aif.runtime.doctor.finding import Finding
from aif.runtime.errors import ConfigError
from aif.runtime.live.window import check_display


def check_window(bundle: str) -> list[Finding]:
    """OpenCV's windows, and on Linux the display."""
    toolkit = cv2.currentUIFramework()
    facts = {"toolkit": toolkit}
    if not toolkit:
        return [
            Finding(
                "window",
                "absent",
                "this OpenCV is built without windows (opencv-python-headless)",
                'For live editing: pip uninstall opencv-python-headless && pip install "opencv-python<5"',
                facts,
            )
        ]
    try:
        check_display()
    except ConfigError as error:
        return [Finding("window", "absent", error.message, error.fix, facts)]
    if sys.platform != "linux":
        return [
            Finding(
                "window", "unknown", f"OpenCV has {toolkit}; whether it opens shows when used", facts=facts
            )
        ]
    return [Finding("window", "ok", f"the display answers, and OpenCV has {toolkit}", facts=facts)]
