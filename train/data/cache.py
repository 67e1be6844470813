"""Keep decoded faces in one memory-mapped file that all workers share.

Decoding a 128 px WebP costs about a millisecond, copying it from the page cache a few microseconds. The file
holds raw pixels: 128 * 128 * 3 bytes a face, so 45,000 faces take 2.2 GB of disk (and of page cache while
there is memory to spare; the system gives it back when needed).
"""

from __future__ import annotations

import logging
import mmap
import os
import shutil
import sys
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aif.train.data.base import FaceDataset, first_shape

log = logging.getLogger(__name__)


def cached(dataset: FaceDataset, folder: Path | None = None) -> FaceDataset:
    """`dataset` with its decoded images kept in a temporary file, filled as they are first asked for.

    Images of another size than the first readable one are decoded each time. Where there is no room on the
    disk the dataset is returned as it is, with a warning. One that is cached already is returned as it is.

    Args:
        folder: where the temporary file goes; None for the system's temporary folder.
    """
    shape = None if isinstance(dataset, CachedFaces) else first_shape(dataset)
    if shape is None:
        return dataset
    size = _file_size(dataset, shape)
    place = Path(tempfile.gettempdir()) if folder is None else folder
    try:
        place.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(place).free
        if free < size + size // 4:
            raise OSError(f"{place} has {free / 1e9:.1f} GB free, {size / 1e9:.1f} GB wanted")
        return CachedFaces.create(dataset, shape, place)
    except OSError as error:
        log.warning("decoded faces are not cached: %s", error)
        return dataset


class CachedFaces(FaceDataset):
    """A dataset whose decoded images are kept in a file under `folder`; `cached` makes it.

    One byte an image says whether its pixels are there. Forked workers share the file and fill it together.
    The file goes away with the process: on Linux it has no name from the start, elsewhere it is removed on
    exit.
    """

    def __init__(
        self, dataset: FaceDataset, shape: tuple[int, int, int], memory: mmap.mmap, path: str | None
    ) -> None:
        self._inner = dataset
        self._shape = shape
        self.name, self.fingerprint = dataset.name, dataset.fingerprint
        self.attributes, self.labels = dataset.attributes, dataset.labels
        self.identities, self.landmarks = dataset.identities, dataset.landmarks
        self._path, count = path, len(dataset)
        self._filled = np.frombuffer(memory, dtype=np.uint8, count=count)
        self._pixels = np.frombuffer(memory, dtype=np.uint8, offset=count).reshape(count, *shape)

    @classmethod
    def create(cls, dataset: FaceDataset, shape: tuple[int, int, int], folder: Path) -> CachedFaces:
        """Start an empty file in `folder`. Raises OSError when there is no room."""
        total = _file_size(dataset, shape)
        handle, path = tempfile.mkstemp(prefix="aif-faces-", dir=folder)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(handle, 0, total)  # a full disk is an error here, not a crash later
            else:
                os.truncate(handle, total)
            memory = mmap.mmap(handle, total)
        except BaseException:
            Path(path).unlink()
            raise
        finally:
            os.close(handle)
        if sys.platform == "linux":
            Path(path).unlink()
            return cls(dataset, shape, memory, None)
        faces = cls(dataset, shape, memory, path)
        weakref.finalize(faces, Path(path).unlink, missing_ok=True)
        return faces

    def __reduce__(self) -> tuple[Any, ...]:
        # A process started afresh maps the named file; where it has no name, it decodes for itself.
        if self._path is None:
            return _itself, (self._inner,)
        return _reopen, (self._inner, self._shape, self._path)

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        if self._filled[index]:
            pixels: npt.NDArray[np.uint8] = self._pixels[index].copy()
            return pixels
        pixels = self._inner.image(index)
        if pixels.shape == self._shape:
            self._pixels[index] = pixels
            self._filled[index] = 1  # after the pixels: another worker may look at any moment
        return pixels

    def file_name(self, index: int) -> str:
        return self._inner.file_name(index)

    @property
    def filled(self) -> int:
        """How many images are in the file."""
        return int(np.count_nonzero(self._filled))


def _file_size(dataset: FaceDataset, shape: tuple[int, int, int]) -> int:
    return len(dataset) * (1 + int(np.prod(shape)))


def _itself(dataset: FaceDataset) -> FaceDataset:
    return dataset


def _reopen(dataset: FaceDataset, shape: tuple[int, int, int], path: str) -> CachedFaces:
    with Path(path).open("r+b") as file:
        return CachedFaces(dataset, shape, mmap.mmap(file.fileno(), _file_size(dataset, shape)), path)
