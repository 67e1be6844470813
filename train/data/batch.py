"""One batch of faces, and the faces of a dataset in order, for evaluation."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from aif.runtime.errors import ConfigError, DataError
from aif.train.data.augment import resize_crop
from aif.train.data.base import CorruptImageError, FaceDataset

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """Faces and their labels.

    Attributes:
        images: uint8 (N, 3, S, S) RGB.
        y: float32 (N, A), 0 or 1.
        indices: int64 (N,), positions in the dataset.
    """

    images: torch.Tensor
    y: torch.Tensor
    indices: torch.Tensor

    def __len__(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch on `device`."""
        return Batch(*(t.to(device, non_blocking=non_blocking) for t in self._tensors()))

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory (DataLoader calls this when asked to pin)."""
        return Batch(*(t.pin_memory() for t in self._tensors()))

    def _tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.images, self.y, self.indices


def make_batch(dataset: FaceDataset, crops: Sequence[npt.NDArray[np.uint8]], indices: Sequence[int]) -> Batch:
    """Stack (S, S, 3) crops with the dataset's labels at `indices` into one `Batch`."""
    where = np.asarray(indices, dtype=np.int64)
    images = np.ascontiguousarray(np.stack(crops).transpose(0, 3, 1, 2))
    y = dataset.labels[where].astype(np.float32)
    return Batch(torch.from_numpy(images), torch.from_numpy(y), torch.from_numpy(where))


def default_corrupt_limit(dataset: FaceDataset) -> int:
    """How many unreadable images are put up with: 1 % of the dataset, at least 10."""
    return max(10, len(dataset) // 100)


def too_many_corrupt(dataset: FaceDataset, names: Sequence[str], limit: int) -> DataError:
    """The error that names a few of the unreadable images."""
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return DataError(
        f"{len(names)} images of {dataset.name} cannot be read, more than the limit of {limit}: {shown}",
        "Restore or remove these files, or raise the limit on corrupt images.",
    )


def evaluation_batches(
    dataset: FaceDataset, image_size: int, batch_size: int, indices: Sequence[int] | None = None
) -> Iterator[Batch]:
    """The faces at `indices` (None: all) once, in order, without augmentation; the last batch may be smaller.

    Unreadable images are reported and left out: `Batch.indices` says which faces are there.

    Raises:
        DataError: more images are unreadable than `default_corrupt_limit`, or none is readable.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size = {batch_size} is out of range.", "It must be at least 1.")
    limit = default_corrupt_limit(dataset)
    bad: list[str] = []
    crops: list[npt.NDArray[np.uint8]] = []
    kept: list[int] = []
    seen = 0
    for index in range(len(dataset)) if indices is None else indices:
        try:
            crops.append(resize_crop(dataset.image(index), image_size))
        except CorruptImageError as error:
            log.warning("cannot read %s; it is left out", error.name)
            bad.append(dataset.file_name(index))
            if len(bad) > limit:
                raise too_many_corrupt(dataset, bad, limit) from error
            continue
        kept.append(index)
        seen += 1
        if len(kept) == batch_size:
            yield make_batch(dataset, crops, kept)
            crops, kept = [], []
    if kept:
        yield make_batch(dataset, crops, kept)
    if bad and not seen:
        raise too_many_corrupt(dataset, bad, 0)
