"""Cameras and their formats, asked of Video4Linux without taking a picture.

Source of numbers and structures: the Linux kernel's user-space header `videodev2.h` (`VIDIOC_QUERYCAP`,
`VIDIOC_ENUM_FMT`, `VIDIOC_ENUM_FRAMESIZES`), whose documentation says when an enumeration ends.
"""

from __future__ import annotations

import errno
import os
import re
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from aif.runtime.doctor.finding import Finding

Ioctl = Callable[[int, int, bytearray], object]

# Direction, size of the structure and number, packed as the kernel's _IOR and _IOWR do.
_QUERYCAP = 0x80685600
_ENUM_FMT = 0xC0405602
_ENUM_FRAMESIZES = 0xC02C564A

_CAPTURE, _DEVICE_CAPS = 0x1, 0x80000000
_DISCRETE = 1
_MOST = 64
"""Formats, or sizes of one, after which a driver is not asked for more."""


def check_cameras(bundle: str) -> list[Finding]:
    """Every camera of this machine with its formats."""
    if not sys.platform.startswith("linux"):
        text = "not known on this system without opening each; try one: aif-edit --webcam 0"
        return [Finding("cameras", "unknown", text)]
    paths = sorted(Path("/dev").glob("video*"), key=_number)
    found = [finding for path in paths for finding in look_at(path)]
    return found or [Finding("cameras", "absent", "there is none (no /dev/video*)")]


def look_at(path: Path, ioctl: Ioctl | None = None) -> list[Finding]:
    """One device: nothing where it is no camera (most cameras bring a second device for metadata)."""
    if ioctl is None:
        import fcntl

        ioctl = fcntl.ioctl
    name = f"camera {_number(path)}"
    handle = None
    try:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        card = _card(handle, ioctl)
        if card is None:
            return []
        formats = {each: _sizes(handle, each, ioctl) for each in _formats(handle, ioctl)}
    except PermissionError:
        fix = "sudo usermod -aG video $USER, then log out and in again"
        return [Finding(name, "problem", f"You may not read {path}.", fix)]
    except OSError as error:
        failed = "open" if handle is None else "answer"
        text = f"{path} does not {failed}: {error.strerror}."
        return [Finding(name, "problem", text, "Plug it in again.")]
    finally:
        if handle is not None:
            os.close(handle)
    listed = "; ".join(f"{each} {_short(sizes)}".strip() for each, sizes in formats.items())
    facts = {"path": str(path), "card": card, "formats": formats}
    return [Finding(name, "ok", f"{card} ({path}): {listed or 'no formats'}", facts=facts)]


def _card(handle: int, ioctl: Ioctl) -> str | None:
    """The camera's name; None for a device that takes no pictures."""
    answer = bytearray(104)
    ioctl(handle, _QUERYCAP, answer)
    _, name, _, _, everything, own, *_ = struct.unpack("=16s32s32s6I", answer)
    does = own if everything & _DEVICE_CAPS else everything
    return name.split(b"\0")[0].decode(errors="replace").strip() if does & _CAPTURE else None


def _formats(handle: int, ioctl: Ioctl) -> Iterator[str]:
    """Four letters each, such as MJPG."""
    for index in range(_MOST):
        answer = bytearray(struct.pack("=3I32s5I", index, _CAPTURE, 0, b"", 0, 0, 0, 0, 0))
        if not _asked(ioctl, handle, _ENUM_FMT, answer):
            return
        yield struct.unpack("=3I32s5I", answer)[4].to_bytes(4, "little").decode("ascii", "replace").strip()


def _sizes(handle: int, letters: str, ioctl: Ioctl) -> list[str]:
    """Each as 640x480, or as 48x32 to 1920x1080 where the camera takes anything between."""
    sizes: list[str] = []
    code = int.from_bytes(letters.ljust(4).encode("ascii", "replace"), "little")
    for index in range(_MOST):
        answer = bytearray(struct.pack("=11I", index, code, *[0] * 9))
        if not _asked(ioctl, handle, _ENUM_FRAMESIZES, answer):
            break
        kind, *numbers = struct.unpack("=11I", answer)[2:]
        if kind != _DISCRETE:
            return [f"{numbers[0]}x{numbers[3]} to {numbers[1]}x{numbers[4]}"]
        sizes.append(f"{numbers[0]}x{numbers[1]}")
    return sizes


def _asked(ioctl: Ioctl, handle: int, request: int, answer: bytearray) -> bool:
    """Whether there was an answer; drivers end their lists with EINVAL, or know no such list (ENOTTY)."""
    try:
        ioctl(handle, request, answer)
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.ENOTTY}:
            return False
        raise
    return True


def _short(sizes: list[str]) -> str:
    return ", ".join(sizes) if len(sizes) <= 3 else f"{sizes[0]} ... {sizes[-1]} ({len(sizes)} sizes)"


def _number(path: Path) -> int:
    found = re.search(r"\d+$", path.name)
    return int(found[0]) if found else 0
