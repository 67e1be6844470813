"""Files that are never seen half written: each is made beside its place and renamed into it."""

from __future__ import annotations

import contextlib
import difflib
import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from aif.runtime.errors import AifError, ImageError, TakenError

log = logging.getLogger(__name__)


def missing_file(path: Path) -> ImageError:
    """The error for a file that is not there: names what lies beside it under a similar name."""
    if not path.parent.is_dir():
        return ImageError(f"There is no file {path}.", f"There is no folder {path.parent} either.")
    beside: list[str] = []
    with contextlib.suppress(OSError):
        beside = [entry.name for entry in path.parent.iterdir()]
    close = difflib.get_close_matches(path.name, beside, n=3, cutoff=0.75)
    return ImageError(f"There is no file {path}.", f"Did you mean {' or '.join(close)}?" if close else None)


def check_reachable(path: Path) -> None:
    """Raise an AifError where `path` cannot be written, as far as the folders above it say."""
    above = next(each for each in path.absolute().parents if each.exists())
    if not (above.is_dir() and os.access(above, os.W_OK)):
        reason = "may not be written to" if above.is_dir() else "is no folder"
        raise AifError(f"Cannot write {path}: {above} {reason}.", "Choose a place you may write to.")


def part_beside(path: Path) -> Path:
    """A new hidden name in the folder of `path`, for a file that will take its place."""
    return path.with_name(f".aif-{os.getpid()}-{secrets.token_hex(6)}.part")


def put_in_place(part: Path, path: Path, new: bool = False) -> None:
    """Let a finished file take the place of `path`, on the disk for good, with the mode of what was there.

    new: whatever came to that place in the meantime stays there, and a TakenError is raised.
    """
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    if new:
        try:
            path.open("xb").close()  # takes the place; links would do without, where there are any
        except FileExistsError:
            raise TakenError(path) from None
    elif path.is_file():
        part.chmod(path.stat().st_mode & 0o777)
    part.replace(path)


def put_in_place_or_beside(part: Path, path: Path, new: bool) -> Path:
    """`put_in_place` for what cannot be made again: where the place is taken it gets another name, which is
    returned, and said.
    """
    try:
        put_in_place(part, path, new)
    except TakenError:
        taken, path = path, path.with_stem(f"{path.stem}_{os.getpid()}")
        put_in_place(part, path, new=True)
        log.warning("%s was made by another program meanwhile; the result is %s.", taken, path)
    return path


@contextlib.contextmanager
def replacing(path: Path, new: bool = False) -> Iterator[Path]:
    """A path to write a new file to, which takes the place of `path` when the block ends well.

    Missing folders are made; what a link points to is replaced, not the link. If the block fails, the new
    file is removed and `path` stays as it was. `new`: see `put_in_place`.
    """
    path = _followed(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_beside(path)
    try:
        yield part
        put_in_place(part, path, new)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path, new: bool = False) -> Iterator[Path]:
    """A new folder to fill, which takes the place of `path` (a folder, or a file) when the block ends well.

    What was there goes last; if anything fails, it is still there and the new folder is removed. What a link
    points to is replaced, not the link. `new`: whatever is there then, but an empty folder, stays, and a
    TakenError is raised.
    """
    path = _followed(path)
    part, old = part_beside(path), part_beside(path)
    part.mkdir(parents=True)
    try:
        yield part
        if new:
            with contextlib.suppress(OSError):
                path.rmdir()  # an empty one; where there is more it fails
        elif path.exists():
            path.rename(old)
        try:
            part.rename(path)  # fails where there is a file, or a folder that holds something
        except OSError:
            if old.exists():
                old.rename(path)
            if new and path.exists():
                raise TakenError(path) from None
            raise
    finally:
        for each in (part, old):
            shutil.rmtree(each, ignore_errors=True) if each.is_dir() else each.unlink(missing_ok=True)


def _followed(path: Path) -> Path:
    """What a link points to; a path that cannot be looked up as it is."""
    with contextlib.suppress(OSError, RuntimeError):
        return path.resolve()
    return path


def write_bytes(path: Path, data: bytes, new: bool = False) -> None:
    """Write a whole file; see `replacing`."""
    with replacing(path, new) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str, new: bool = False) -> None:
    """Write a whole text file in UTF-8; see `replacing`."""
    with replacing(path, new) as part:
        part.write_text(text, encoding="utf-8")
