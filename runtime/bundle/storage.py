"""Guarded reading of a bundle's files, folder or zip: nothing leaves the bundle, nothing is unbounded."""

from __future__ import annotations

import abc
import contextlib
import stat
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
    def read(self, name: str, limit: int = MAX_FILE_BYTES) -> bytes:
        """The contents of `name`.

        Raises:
            BundleError: it is missing, larger than `limit` bytes, unreadable, or lies outside the bundle.
        """

    def _missing(self, name: str) -> BundleError:
        return BundleError(f"{self.path} is incomplete: {name} is missing.", COPY_AGAIN)

    def _too_large(self, name: str, limit: int) -> BundleError:
        return BundleError(f"{self.path}: {name} is larger than a bundle's file may be ({limit:,} bytes).")


class FolderStore(Store):
    """A bundle that lies unpacked in a folder."""

    def names(self) -> list[str]:
        return [file.relative_to(self.path).as_posix() for file in self.path.rglob("*") if not file.is_dir()]

    def read(self, name: str, limit: int = MAX_FILE_BYTES) -> bytes:
        place = self.path / check_member_name(name)
        if not place.resolve().is_relative_to(self.path.resolve()):
            raise BundleError(f"{self.path}: {name} is a link that leaves the bundle.", COPY_AGAIN)
        if not place.is_file():
            raise self._missing(name)
        try:
            if place.stat().st_size > limit:
                raise self._too_large(name, limit)
            return place.read_bytes()
        except OSError as error:
            raise BundleError(f"{place} cannot be read: {error.strerror or error}.") from error


class ZipStore(Store):
    """A bundle in one zip file. Every entry is looked at before any is read, also those nobody asks for."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        super().__init__(path)
        self._archive = archive
        self._entries = {info.filename: info for info in archive.infolist() if not info.is_dir()}
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS or sum(info.file_size for info in infos) > MAX_TOTAL_BYTES:
            raise BundleError(
                f"{path} declares more than a bundle may hold "
                f"({MAX_MEMBERS} files, {MAX_TOTAL_BYTES:,} bytes)."
            )
        if len({info.filename for info in infos}) != len(infos):
            raise BundleError(f"{path} holds two files of one name.", COPY_AGAIN)
        for info in infos:
            try:
                check_member_name(info.filename.removesuffix("/"))
            except ValueError as error:
                raise BundleError(f"{path}: {error}.", COPY_AGAIN) from error
            if stat.S_ISLNK(info.external_attr >> 16):
                raise BundleError(
                    f"{path}: {info.filename} is a link, which a bundle may not hold.", COPY_AGAIN
                )
            if info.flag_bits & 0x1:
                raise BundleError(f"{path} is encrypted.", "Unpack it and use the folder.")

    def names(self) -> list[str]:
        return list(self._entries)

    def read(self, name: str, limit: int = MAX_FILE_BYTES) -> bytes:
        entry = self._entries.get(name)
        if entry is None:
            raise self._missing(name)
        if entry.file_size > limit:
            raise self._too_large(name, limit)
        try:
            with self._archive.open(entry) as file:
                data = file.read(entry.file_size)
                # Reading on to the end makes zipfile check the CRC.
                if len(data) != entry.file_size or file.read(1):
                    raise BundleError(f"{self.path}: {name} is not as long as declared.", COPY_AGAIN)
            return data
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise BundleError(f"{self.path}: {name} is damaged ({error}).", COPY_AGAIN) from error


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
