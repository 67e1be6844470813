"""What every face dataset looks like to the training code."""

from __future__ import annotations

import abc
import hashlib
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.errors import DataError, UnknownAttributeError


class CorruptImageError(Exception):
    """One image could not be decoded. The loader counts, names and skips it, up to a limit."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


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

        Raises:
            CorruptImageError: the file cannot be decoded.
        """

    @abc.abstractmethod
    def file_name(self, index: int) -> str:
        """The name under which the user knows image `index`."""


def select_columns(wanted: Sequence[str] | None, known: Sequence[str], where: str) -> list[int]:
    """Column numbers of the `wanted` attributes (None = all) among the `known` ones.

    Raises:
        UnknownAttributeError: with the nearest names.
        DataError: an attribute is asked for twice, or none is.
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
        try:
            height, width, channels = dataset.image(index).shape
        except CorruptImageError:
            continue
        return height, width, channels
    return None


def fingerprint(attributes: Sequence[str], files: Sequence[object], labels: npt.NDArray[np.uint8]) -> str:
    """Hex digest over names and labels: equal data give equal digests."""
    digest = hashlib.sha256(repr((tuple(attributes), files)).encode())
    digest.update(labels.tobytes())
    return digest.hexdigest()


def decode_rgb(data: bytes, name: str) -> npt.NDArray[np.uint8]:
    """Decode an image file's bytes to uint8 (H, W, 3) RGB.

    Raises:
        CorruptImageError: the bytes are no readable image, or a JPEG that was cut short (which OpenCV would
            fill up with grey).
    """
    if data[:2] == b"\xff\xd8" and b"\xff\xd9" not in data[-65536:]:
        raise CorruptImageError(f"{name} (cut short)")
    bgr = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR) if data else None
    if bgr is None:
        raise CorruptImageError(name)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
