"""Files of a folder or of a zip archive, for many processes at once."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

from aif.runtime.errors import DataError
from aif.train.data.base import CorruptImageError

_DAMAGE = (OSError, KeyError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error)


class Archive:
    """Reads single files by their names; a zip stays open, once for each process.

    May be pickled and may live through a fork: every process opens its own handle.
    """

    def __init__(self, place: Path) -> None:
        self.place, self._zipped = place, not place.is_dir()
        self._open: tuple[int, zipfile.ZipFile] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None}

    def names(self) -> list[str]:
        """All files. Raises DataError where the archive cannot be opened."""
        if not self._zipped:
            return [path.name for path in self.place.iterdir() if path.is_file()]
        try:
            with zipfile.ZipFile(self.place) as file:
                return [name for name in file.namelist() if not name.endswith("/")]
        except _DAMAGE as error:
            raise DataError(f"{self.place} is no whole zip file: {error}.", "Copy it again.") from error

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            CorruptImageError: the archive or the file in it is missing or damaged.
        """
        try:
            if not self._zipped:
                return (self.place / name).read_bytes()
            if self._open is None or self._open[0] != os.getpid():
                self._open = (os.getpid(), zipfile.ZipFile(self.place))
            return self._open[1].read(name)
        except _DAMAGE as error:
            raise CorruptImageError(f"{self.place.name}:{name} ({error})") from error
