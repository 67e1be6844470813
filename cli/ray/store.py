"""Folders and object stores alike, by fsspec: find pictures, read them, and put results whole."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from aif.runtime.errors import ConfigError, ImageError

# Here a put is one deed: readers see the old object or the whole new one. Elsewhere results are written
# beside their place and renamed.
_WHOLE_PUTS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "memory"}

_FIX = (
    "Check the address, and that its fsspec package (s3fs, gcsfs, adlfs ...) and your credentials are there."
)


@dataclass(frozen=True)
class Found:
    """A file: its path in its file system, its size in bytes, and a mark that changes when it does."""

    path: str
    size: int
    mark: str


class Place:
    """A folder, file or pattern in a file system, as a user names it: `photos/`, `s3://bucket/photos`.

    Attributes:
        path: the same in its file system's own words, without the protocol.
        fs: the file system.
        local: it is this machine's.
    """

    def __init__(self, url: str) -> None:
        """Open the file system that an address means; nothing is looked up yet.

        Raises:
            ConfigError: fsspec does not know the protocol, or its package is missing.
        """
        from fsspec.core import url_to_fs

        self.url = url
        try:
            self.fs: Any
            self.fs, self.path = url_to_fs(url)
        except (ImportError, ValueError, OSError) as error:
            raise ConfigError(f"{without_password(url)} cannot be opened: {error}", _FIX) from error
        protocols = self.fs.protocol
        self._protocols = {protocols} if isinstance(protocols, str) else set(protocols)
        self.local = bool(self._protocols & {"file", "local"})

    @property
    def in_one_process(self) -> bool:
        """What is put there, no other process sees."""
        return "memory" in self._protocols

    @property
    def appends(self) -> bool:
        """Files can grow there; else they can only be put as a whole."""
        return self.local

    def name(self, path: str) -> str:
        """A file's full name, with the protocol, without credentials."""
        name: str = self.fs.unstrip_protocol(path)
        return name

    def is_folder(self) -> bool:
        """Whether there is a folder of this name."""
        return bool(self._try(self.fs.isdir, self.path))

    def find(self, recursive: bool) -> list[Found]:
        """The files that the place means, in order of their names; those of hidden folders are left out.

        Raises:
            ImageError: there is nothing, or it cannot be looked at.
        """
        if self.is_folder():
            infos = self._try(
                self.fs.find, self.path, maxdepth=None if recursive else 1, withdirs=False, detail=True
            )
        elif any(sign in self.path for sign in "*?["):
            infos = self._try(self.fs.glob, self.path, detail=True)
        else:
            infos = {self.path: self._try(self.fs.info, self.path)}
        base = self.base()
        found = []
        for path, info in sorted(infos.items()):
            below = path[len(base) :].lstrip("/")
            if info.get("type") == "file" and not any(part.startswith(".") for part in below.split("/")):
                found.append(_found(path, info))
        return found

    def base(self) -> str:
        """The folder that names are relative to: itself, or the part of it before any file or pattern."""
        path: str = self.path
        if self.is_folder():
            return path.rstrip("/")
        return re.split(r"[*?\[{]", path, maxsplit=1)[0].rpartition("/")[0]

    def sizes(self, folder: str) -> dict[str, int]:
        """Every file below a folder with its size; empty where there is no such folder.

        Raises:
            ImageError: it cannot be looked at.
        """
        self.fs.invalidate_cache()
        try:
            infos = self._try(self.fs.find, folder, withdirs=False, detail=True)
        except ImageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return {}
            raise
        return {path: int(info.get("size") or 0) for path, info in infos.items()}

    def read(self, path: str) -> bytes:
        """The contents of a file.

        Raises:
            ImageError: it cannot be read.
        """
        return bytes(self._try(self.fs.cat_file, path))

    def put(self, path: str, data: bytes) -> None:
        """Write a file, which is never half there; one that is there is replaced.

        Raises:
            ImageError: the place cannot be written.
        """
        if self.local:
            from pathlib import Path

            from aif.runtime.image.io import write_bytes

            write_bytes(Path(path), data)
            return
        if self._protocols & _WHOLE_PUTS:
            self._try(self.fs.pipe_file, path, data)
            return
        folder, _, name = path.rpartition("/")
        beside = f"{folder}/.aif-{uuid.uuid4().hex}-{name}.part"
        self._try(self.fs.makedirs, folder, exist_ok=True)
        self._try(self.fs.pipe_file, beside, data)
        self._try(self.fs.mv, beside, path)

    def _try(self, work: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return work(*arguments, **options)
        except FileNotFoundError as error:
            raise ImageError(f"There is nothing at {self.name(arguments[0])}.") from error
        except Exception as error:  # each file system has errors of its own
            what = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ImageError(f"{self.name(arguments[0])}: {what}", _FIX) from error


def without_password(url: str) -> str:
    """The address as it may be shown."""
    return re.sub(r"//[^/@]*@", "//", url)


def suffix_of(path: str) -> str:
    """`.jpg` of any path, in lower case."""
    return PurePosixPath(path).suffix.lower()


def _found(path: str, info: dict[str, Any]) -> Found:
    known = ("ETag", "etag", "md5Hash", "content_md5", "checksum", "mtime", "LastModified", "last_modified")
    mark = next((str(info[key]) for key in (*known, "updated", "created") if info.get(key) is not None), "")
    return Found(path, int(info.get("size") or 0), mark.strip('"'))
