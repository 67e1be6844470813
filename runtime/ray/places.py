"""Folders and object stores alike, by fsspec: find pictures, and put results whole."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from aif.runtime.errors import ConfigError, ImageError
from aif.runtime.image.io import write_bytes

# Here a put is atomic: readers see the old object or the whole new one. Elsewhere results are written beside
# their place and renamed.
_WHOLE_PUTS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "memory"}

_FIX = (
    "Check the address, and that its fsspec package (s3fs, gcsfs, adlfs ...) and your credentials are there."
)


class Place:
    """A folder, file or pattern in a file system, as a user names it: `photos/`, `s3://bucket/photos`.

    What cannot be looked at or written raises an ImageError.

    Attributes:
        path: the same in its file system's own words, without the protocol.
        fs: the file system, of fsspec.
    """

    def __init__(self, url: str) -> None:
        """Open the file system that an address means; nothing is looked up yet."""
        from fsspec.core import url_to_fs

        self.path: str
        self.fs: Any
        try:
            self.fs, self.path = url_to_fs(url)
        except (ImportError, ValueError, OSError) as error:
            raise ConfigError(f"{url} cannot be opened: {error}", _FIX) from error
        protocols = self.fs.protocol
        self._protocols = {protocols} if isinstance(protocols, str) else set(protocols)

    @property
    def in_one_process(self) -> bool:
        """What is put there, no other process sees."""
        return "memory" in self._protocols

    def name(self, path: str) -> str:
        """A file's full name, with the protocol, without credentials."""
        name: str = self.fs.unstrip_protocol(path)
        return name

    def is_folder(self) -> bool:
        """Whether there is a folder of this name."""
        return bool(self._try(self.fs.isdir, self.path))

    def base(self) -> str:
        """The folder that names are relative to: itself, or the part of it before any file or pattern."""
        if self.is_folder():
            return self.path.rstrip("/")
        return re.split(r"[*?\[{]", self.path, maxsplit=1)[0].rpartition("/")[0]

    def find(self, recursive: bool) -> list[str]:
        """The paths of the files that the place means, sorted; those of hidden folders are left out."""
        if self.is_folder():
            depth = None if recursive else 1
            infos = self._try(self.fs.find, self.path, maxdepth=depth, withdirs=False, detail=True)
        elif any(sign in self.path for sign in "*?["):
            infos = self._try(self.fs.glob, self.path, detail=True)
        else:
            infos = {self.path: self._try(self.fs.info, self.path)}
        base = self.base()

        def shown(path: str, info: Mapping[str, Any]) -> bool:
            below = path[len(base) :].lstrip("/")
            return info.get("type") == "file" and not any(part.startswith(".") for part in below.split("/"))

        return sorted(path for path, info in infos.items() if shown(path, info))

    def existing(self, folder: str) -> set[str]:
        """The paths of every file below a folder; empty where there is no such folder."""
        self.fs.invalidate_cache()
        try:
            return set(self._try(self.fs.find, folder, withdirs=False))
        except ImageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return set()
            raise

    def put(self, path: str, data: bytes, new: bool = False) -> None:
        """Write a file, which is never half there; one that is there is replaced.

        new: one that is there stays; no fault if it holds the same, from a worker that was started again.
            In object stores it is looked for just before.
        """
        if new and self._try(self.fs.exists, path):
            if self._try(self.fs.cat_file, path) == data:
                return
            raise ImageError(f"{self.name(path)} came there in the meantime; it stays.", "Add --overwrite.")
        if self._protocols & {"file", "local"}:
            write_bytes(Path(path), data, new)
        elif self._protocols & _WHOLE_PUTS:
            self._try(self.fs.pipe_file, path, data)
        else:
            folder, _, name = path.rpartition("/")
            beside = f"{folder}/.aif-{uuid.uuid4().hex}-{name}.part"
            self._try(self.fs.makedirs, folder, exist_ok=True)
            self._try(self.fs.pipe_file, beside, data)
            self._try(self.fs.mv, beside, path)

    def remove(self, path: str) -> None:
        """Remove a file where there is one."""
        if self._try(self.fs.exists, path):
            self._try(self.fs.rm_file, path)

    def _try(self, work: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return work(*arguments, **options)
        except FileNotFoundError as error:
            raise ImageError(f"There is nothing at {self.name(arguments[0])}.") from error
        except Exception as error:  # each file system has errors of its own
            what = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ImageError(f"{self.name(arguments[0])}: {what}", _FIX) from error


def suffix_of(path: str) -> str:
    """`.jpg` of any path, in lower case."""
    return PurePosixPath(path).suffix.lower()
