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

# Seconds since it was last used.
KEPT_SECONDS = 600.0

# What all files together may take before uploads are refused.
MOST_BYTES = 1 << 30


class PageFiles:
    """Files that browsers fetch, and the photos that they sent, which Gradio puts into `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, data: bytes) -> str:
        """A file for one browser, under a name that cannot be guessed; its path."""
        path = self.folder / secrets.token_hex(16) / name
        path.parent.mkdir()
        path.write_bytes(data)
        return str(path)

    def has_room(self, more: int) -> bool:
        """Whether so many bytes may come beside those that lie there."""
        taken = 0
        for each in self.folder.rglob("*"):
            with contextlib.suppress(OSError):
                taken += each.stat().st_size
        return taken + more <= MOST_BYTES

    def use(self, *paths: Path) -> bool:
        """Keep files for longer; False where one is gone."""
        try:
            for path in paths:
                os.utime(path)
        except OSError:
            return False
        return True

    def tidy(self, now: float) -> None:
        """Delete what has not been used for too long; `now` as `time.time`."""
        for own in list(self.folder.iterdir()):
            with contextlib.suppress(OSError):
                last = max(each.stat().st_mtime for each in (own, *own.rglob("*")))
                if now - last > KEPT_SECONDS:
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
