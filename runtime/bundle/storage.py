"""Guarded reading of a bundle's files, folder or zip: nothing leaves the bundle, nothing is unbounded."""

from __future__ import annotations

import abc
import contextlib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from aif.runtime.bundle.manifest import check_member_name
from aif.runtime.errors import BundleError

# Limits on what a bundle may declare, so that a hostile one cannot fill the memory.
MAX_MEMBERS = 1000
MAX_TOTAL_BYTES = 4 << 30
MAX_FILE_BYTES = 2 << 30

COPY_AGAIN = "Copy or download it again, or export it again with aif-export."


class Store(abc.ABC):
    """The files of one bundle. `path` is the folder or zip, for messages."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abc.abstractmethod
    def names(self) -> list[str]:
        """Paths of all files inside, with forward slashes."""

    @abc.abstractmethod
    def _size(self, name: str) -> int | None:
        """The declared size in bytes; None where there is no such file."""

    @abc.abstractmethod
    def _bytes(self, name: str) -> bytes: ...

    def read(self, name: str, limit: int = MAX_FILE_BYTES) -> bytes:
        """The contents of `name`.

        Raises:
            BundleError: it is missing, larger than `limit` bytes, unreadable, or lies outside the bundle.
        """
        size = self._size(name)
        if size is None:
            raise BundleError(f"{self.path} is incomplete: {name} is missing.", COPY_AGAIN)
        if size > limit:
            raise BundleError(f"{self.path}: {name} is larger than a bundle's file may be ({limit:,} bytes).")
        try:
            return self._bytes(name)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise BundleError(f"{self.path}: {name} is damaged or locked ({error}).", COPY_AGAIN) from error


class FolderStore(Store):
    """A bundle that lies unpacked in a folder."""

    def names(self) -> list[str]:
        return [file.relative_to(self.path).as_posix() for file in self.path.rglob("*") if not file.is_dir()]

    def _size(self, name: str) -> int | None:
        place = self.path / name
        if not place.resolve().is_relative_to(self.path.resolve()):
            raise BundleError(f"{self.path}: {name} is a link that leaves the bundle.", COPY_AGAIN)
        return place.stat().st_size if place.is_file() else None

    def _bytes(self, name: str) -> bytes:
        return (self.path / name).read_bytes()


class ZipStore(Store):
    """A bundle in one zip file. What it declares is looked at before any of it is read."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        super().__init__(path)
        self._archive = archive
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS or sum(info.file_size for info in infos) > MAX_TOTAL_BYTES:
            raise BundleError(
                f"{path} declares more than a bundle may hold "
                f"({MAX_MEMBERS} files, {MAX_TOTAL_BYTES:,} bytes)."
            )
        for info in infos:
            try:
                check_member_name(info.filename.removesuffix("/"))
            except ValueError as error:
                raise BundleError(f"{path}: {error}.", COPY_AGAIN) from error
        self._sizes = {info.filename: info.file_size for info in infos if not info.is_dir()}

    def names(self) -> list[str]:
        return list(self._sizes)

    def _size(self, name: str) -> int | None:
        return self._sizes.get(name)

    def _bytes(self, name: str) -> bytes:
        with self._archive.open(name) as file:
            # Not all there is: that would be unpacked first, and then cut to what was declared.
            return file.read(self._sizes[name])


@contextlib.contextmanager
def open_store(path: Path) -> Iterator[Store]:
    """Open the bundle at `path`: a folder, or a zip file of any suffix.

    Raises:
        BundleError: neither, truncated, or declaring what a bundle may not.
    """
    if path.is_dir():
        yield FolderStore(path)
        return
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise BundleError(
            f"{path} is no bundle, or is cut short: not a whole zip file.", COPY_AGAIN
        ) from error
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}.") from error
    with archive:
        yield ZipStore(path, archive)
