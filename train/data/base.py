"""What every face dataset looks like to the training code, and how its files are read."""

from __future__ import annotations

import abc
import contextlib
import hashlib
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.errors import DataError, UnknownAttributeError


class CorruptImageError(Exception):
    """The image of this name could not be decoded. The loader counts, names and skips it, up to a limit."""


class FaceDataset(abc.ABC):
    """Aligned face crops with attribute labels. Decodes on demand; never holds the decoded set in memory.

    Attributes:
        name: short name for logs and manifests.
        attributes: names of the label columns.
        labels: uint8 (len, A), 0 = absent, 1 = present.
        identities: int64 (len,) person numbers, or None where unknown.
        fingerprint: hex digest over the files' names and labels; equal data give equal digests.
    """

    name: str
    attributes: tuple[str, ...]
    labels: npt.NDArray[np.uint8]
    identities: npt.NDArray[np.int64] | None = None
    fingerprint: str

    def __len__(self) -> int:
        return len(self.labels)

    @abc.abstractmethod
    def image(self, index: int) -> npt.NDArray[np.uint8]:
        """The face crop `index`: uint8 (H, W, 3) RGB, H = W. Safe to call from any worker process.

        Raises CorruptImageError where the file cannot be decoded.
        """

    @abc.abstractmethod
    def file_name(self, index: int) -> str:
        """The name under which the user knows image `index`."""


def select_columns(wanted: Sequence[str] | None, known: Sequence[str], where: str) -> list[int]:
    """Column numbers of the `wanted` attributes (None = all) among the `known` ones.

    Raises UnknownAttributeError with the nearest names, DataError where one is asked for twice, or none is.
    """
    if wanted is None:
        return list(range(len(known)))
    if not wanted:
        raise DataError("No attribute was asked for.", f"Choose from: {', '.join(known)}.")
    if len(set(wanted)) != len(wanted):
        raise DataError(f"An attribute is named twice: {', '.join(wanted)}.", "Name each attribute once.")
    for name in wanted:
        if name not in known:
            raise UnknownAttributeError(name, known, where)
    return [list(known).index(name) for name in wanted]


def first_shape(dataset: FaceDataset) -> tuple[int, int, int] | None:
    """Height, width and channels of the first image that can be read; None where the first twenty cannot."""
    for index in range(min(len(dataset), 20)):
        with contextlib.suppress(CorruptImageError):
            height, width, channels = dataset.image(index).shape
            return height, width, channels
    return None


def fingerprint(attributes: Sequence[str], files: Sequence[object], labels: npt.NDArray[np.uint8]) -> str:
    """Hex digest over names and labels: equal data give equal digests."""
    digest = hashlib.sha256(repr((tuple(attributes), files)).encode())
    digest.update(labels.tobytes())
    return digest.hexdigest()


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
        """The bytes of one file. Raises CorruptImageError where it, or the archive, is missing or damaged."""
        try:
            if not self._zipped:
                return (self.place / name).read_bytes()
            if self._open is None or self._open[0] != os.getpid():
                self._open = (os.getpid(), zipfile.ZipFile(self.place))
            return self._open[1].read(name)
        except _DAMAGE as error:
            raise CorruptImageError(f"{self.place.name}:{name} ({error})") from error


def decode_rgb(data: bytes, name: str) -> npt.NDArray[np.uint8]:
    """Decode an image file's bytes to uint8 (H, W, 3) RGB.

    Raises CorruptImageError where they are no readable image, or a JPEG that was cut short (which OpenCV
    would fill up with grey).
    """
    if data[:2] == b"\xff\xd8" and b"\xff\xd9" not in data[-65536:]:
        raise CorruptImageError(f"{name} (cut short)")
    bgr = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR) if data else None
    if bgr is None:
        raise CorruptImageError(name)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
