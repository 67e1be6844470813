"""The page's files: in a private folder, in memory where the system has such a place, and not for long."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

# Seconds since it was last used: a photo and what a page shows beside it, and an edit, which browsers fetch
# at once.
KEPT_SECONDS, BRIEF_SECONDS = 1800.0, 120.0

# What all files together may take before uploads are refused; a file counts for so much at least, so that
# there are not too many.
MOST_BYTES, LEAST_COUNTED = 1 << 30, 64 << 10

_BRIEF = "edits"


class PageFiles:
    """Files that browsers fetch, and the photos that they sent, which Gradio puts into `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / _BRIEF).mkdir()

    def write(self, name: str, data: bytes, brief: bool = True) -> str:
        """A file for one browser, under a name that cannot be guessed; its path.

        Args:
            name: of the file itself.
            data: its bytes.
            brief: it is fetched at once, and not needed after that.
        """
        own = (self.folder / _BRIEF if brief else self.folder) / secrets.token_hex(16)
        own.mkdir()
        path = own / name
        path.write_bytes(data)
        return str(path)

    def counted(self, size: int) -> int:
        """What a file of `size` bytes counts for."""
        return max(size, LEAST_COUNTED)

    def taken(self) -> int:
        """Bytes that lie in the folder."""
        total = 0
        for each in self.folder.rglob("*"):
            with contextlib.suppress(OSError):
                total += self.counted(each.stat().st_size) if each.is_file() else 0
        return total

    def has_room(self, more: int) -> bool:
        """Whether so many bytes may come beside those that lie there."""
        return self.taken() + more <= MOST_BYTES

    def use(self, path: Path) -> bool:
        """Keep a file for longer; False where it is gone."""
        try:
            os.utime(path)
        except OSError:
            return False
        return True

    def tidy(self, now: float) -> None:
        """Delete what has not been used for too long.

        Args:
            now: seconds, as `time.time`.
        """
        for folder, kept in ((self.folder / _BRIEF, BRIEF_SECONDS), (self.folder, KEPT_SECONDS)):
            for own in list(folder.iterdir()):
                if own.name == _BRIEF:
                    continue
                with contextlib.suppress(OSError):
                    last = max((each.stat().st_mtime for each in own.rglob("*")), default=own.stat().st_mtime)
                    if now - last > kept:
                        # A file is what came of an upload that was cut short.
                        shutil.rmtree(own) if own.is_dir() else own.unlink()


def folder_for_files(memory: Path = Path("/dev/shm")) -> Path:
    """In memory where there is room for all that may come (a container has 64 MB there), else temporary."""
    with contextlib.suppress(OSError):
        if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= MOST_BYTES:
            return memory
    return Path(tempfile.gettempdir())


@contextlib.contextmanager
def page_files() -> Iterator[PageFiles]:
    """A folder that nobody else may look into, tidied every half minute and deleted at the end."""
    ended = threading.Event()
    with tempfile.TemporaryDirectory(
        prefix=f"aif-page-{os.getpid()}-", dir=folder_for_files(), ignore_cleanup_errors=True
    ) as folder:
        files = PageFiles(Path(folder))

        def tidy() -> None:
            while not ended.wait(30):
                files.tidy(time.time())

        threading.Thread(target=tidy, name="aif-tidy", daemon=True).start()
        try:
            yield files
        finally:
            ended.set()
