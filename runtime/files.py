"""Files that are never seen half written: each is made beside its place and renamed into it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path


def part_beside(path: Path) -> Path:
    """A new hidden name in the folder of `path`, for a file that will take its place."""
    return path.with_name(f".aif-{os.getpid()}-{secrets.token_hex(6)}.part")


def put_in_place(part: Path, path: Path, new: bool = False) -> None:
    """Let a finished file take the place of `path`, on the disk for good, with the mode of what was there.

    Args:
        part: the file.
        path: its place.
        new: whatever came to that place in the meantime stays there.

    Raises:
        FileExistsError: something did.
        OSError: the disk is full, or the place cannot be written.
    """
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    if new:
        path.open("xb").close()  # takes the place, or fails; links would do without, where there are any
    elif path.is_file():
        part.chmod(path.stat().st_mode & 0o777)
    part.replace(path)


@contextlib.contextmanager
def replacing(path: Path, new: bool = False) -> Iterator[Path]:
    """A path to write a new file to, which takes the place of `path` when the block ends well.

    Missing folders are made; what a link points to is replaced, not the link. If the block fails, the new
    file is removed and `path` stays as it was. `new`: see `put_in_place`.

    Raises:
        OSError: the place cannot be written.
    """
    with contextlib.suppress(OSError, RuntimeError):
        path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_beside(path)
    try:
        yield part
        put_in_place(part, path, new)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of `path` (a folder, or a file) when the block ends well.

    What was there goes last; if anything fails, it is still there and the new folder is removed.

    Raises:
        OSError: the place cannot be written.
    """
    part, old = part_beside(path), part_beside(path)
    part.mkdir(parents=True)
    try:
        yield part
        if path.exists():
            path.rename(old)
        try:
            part.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
    finally:
        for each in (part, old):
            shutil.rmtree(each, ignore_errors=True) if each.is_dir() else each.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes, new: bool = False) -> None:
    """Write a whole file; see `replacing`."""
    with replacing(path, new) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file in UTF-8; see `replacing`."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
