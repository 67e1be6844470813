"""Keep decoded faces in one memory-mapped file that all workers share.

Decoding a 128 px WebP costs about a millisecond, copying it from the page cache a few microseconds. 45,000
faces of 128 px take 2.2 GB of disk.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aif.train.data.base import FaceDataset, first_shape

log = logging.getLogger(__name__)


def cached(dataset: FaceDataset, folder: Path | None = None) -> FaceDataset:
    """`dataset` with its decoded images kept in a temporary file in `folder` (None: the system's own), filled
    as they are first asked for.

    Where there is no room on the disk the dataset is returned as it is, with a warning; and without one where
    it is cached already or none of its first images can be read.
    """
    shape = None if isinstance(dataset, CachedFaces) else first_shape(dataset)
    if shape is None:
        return dataset
    try:
        return CachedFaces(dataset, shape, folder or Path(tempfile.gettempdir()))
    except OSError as error:
        log.warning("decoded faces are not cached: %s", error)
        return dataset


class CachedFaces(FaceDataset):
    """A dataset whose decoded images are kept in a file without a name; `cached` makes it.

    One byte an image says whether its pixels are there. Forked workers share the file and fill it together;
    a process that is started afresh decodes for itself. Images of another size than the first readable one
    are decoded each time. Raises OSError where there is no room in `folder`.
    """

    def __init__(self, dataset: FaceDataset, shape: tuple[int, int, int], folder: Path) -> None:
        self._inner, count = dataset, len(dataset)
        self.name, self.fingerprint = dataset.name, dataset.fingerprint
        self.attributes, self.labels, self.identities = dataset.attributes, dataset.labels, dataset.identities
        total = count * (1 + int(np.prod(shape)))
        free = shutil.disk_usage(folder).free
        if free < 1.25 * total:
            raise OSError(f"{folder} has {free / 1e9:.1f} GB free, {total / 1e9:.1f} GB wanted")
        with tempfile.TemporaryFile(prefix="aif-faces-", dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, total)  # a full disk is an error here, not a crash later
            memory = np.memmap(file, np.uint8, "w+", shape=(total,))
        self._filled, self._pixels = memory[:count], memory[count:].reshape(count, *shape)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _itself, (self._inner,)

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        if self._filled[index]:
            return np.array(self._pixels[index])
        pixels = self._inner.image(index)
        if pixels.shape == self._pixels.shape[1:]:
            self._pixels[index] = pixels
            self._filled[index] = 1  # after the pixels: another worker may look at any moment
        return pixels

    def file_name(self, index: int) -> str:
        return self._inner.file_name(index)

    @property
    def filled(self) -> int:
        """How many images are in the file."""
        return int(np.count_nonzero(self._filled))


def _itself(dataset: FaceDataset) -> FaceDataset:
    return dataset
