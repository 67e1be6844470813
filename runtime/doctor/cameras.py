"""Cameras, as Linux lists them, without opening one."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from aif.runtime.doctor.finding import Finding
from aif.runtime.machine import read_text


def check_cameras(bundle: str, listed: Path = Path("/sys/class/video4linux")) -> list[Finding]:
    """Every camera of this machine."""
    if not sys.platform.startswith("linux"):
        text = "not known on this system without opening each; try one: aif-edit --webcam 0"
        return [Finding("cameras", "unknown", text)]
    # A camera's further devices, with an index above 0, are for metadata.
    devices = [each for each in listed.glob("video*") if read_text(each / "index").strip() == "0"]
    found = [_finding(each) for each in sorted(devices, key=_number)]
    return found or [Finding("cameras", "absent", "there is none (no /dev/video*)")]


def _finding(device: Path) -> Finding:
    path, card, name = f"/dev/{device.name}", read_text(device / "name").strip(), f"camera {_number(device)}"
    if not os.access(path, os.R_OK | os.W_OK):
        fix = "sudo usermod -aG video $USER, then log out and in again"
        return Finding(name, "problem", f"You may not read {path} ({card}).", fix)
    text = f"{card} ({path}); v4l2-ctl --list-formats-ext shows its formats"
    return Finding(name, "ok", text, facts={"path": path, "card": card})


def _number(device: Path) -> int:
    return int(re.sub(r"\D", "", device.name) or 0)
