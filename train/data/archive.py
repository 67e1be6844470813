"""Files out of zip archives, for many processes at once."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

from aif.train.data.base import CorruptImageError


class ZipReader:
    """Reads single files from zip archives and keeps the archives open, once for each process.

    May be pickled and may live through a fork: every process opens its own handles.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[int, Path], zipfile.ZipFile] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"_open": {}}

    def read(self, archive: Path, file: str) -> bytes:
        """The bytes of `file` in `archive`.

        Raises:
            CorruptImageError: the archive or the file in it is missing or damaged.
        """
        key = (os.getpid(), archive)
        try:
            if key not in self._open:
                self._open[key] = zipfile.ZipFile(archive)
            return self._open[key].read(file)
        except (
            OSError,
            KeyError,
            EOFError,
            RuntimeError,
            NotImplementedError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise CorruptImageError(f"{archive.name}:{file} ({error})") from error
