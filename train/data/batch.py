"""One batch of faces, and the faces of a dataset in order, for evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from aif.runtime.errors import ConfigError
from aif.train.data.base import FaceDataset
from aif.train.data.readable import readable_crops


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

    def __reduce__(self) -> tuple[Callable[..., Batch], tuple[npt.NDArray[Any], ...]]:
        """Pickled by value, so that a worker's batch goes through the pipe alone.

        Tensors would be handed over as file descriptors by a thread of the worker, which may not come up in a
        process that was forked from one with threads, and as shared memory, which containers are short of.
        """
        return _batch, tuple(t.numpy() for t in self._tensors())

    def _tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.images, self.y, self.indices


def _batch(*arrays: npt.NDArray[Any]) -> Batch:
    return Batch(*(torch.from_numpy(array) for array in arrays))


def make_batch(dataset: FaceDataset, crops: Sequence[npt.NDArray[np.uint8]], indices: Sequence[int]) -> Batch:
    """Stack (S, S, 3) crops with the dataset's labels at `indices` into one `Batch`."""
    where = np.asarray(indices, dtype=np.int64)
    images = np.ascontiguousarray(np.stack(crops).transpose(0, 3, 1, 2))
    y = dataset.labels[where].astype(np.float32)
    return _batch(images, y, where)


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
    crops: list[npt.NDArray[np.uint8]] = []
    kept: list[int] = []
    wanted = range(len(dataset)) if indices is None else indices
    for index, crop in readable_crops(dataset, image_size, wanted):
        crops.append(crop)
        kept.append(index)
        if len(kept) == batch_size:
            yield make_batch(dataset, crops, kept)
            crops, kept = [], []
    if kept:
        yield make_batch(dataset, crops, kept)
