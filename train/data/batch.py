"""One batch of faces, and the faces of a dataset in order, for evaluation."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

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

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory (DataLoader calls this when asked to pin)."""
        return Batch(self.images.pin_memory(), self.y.pin_memory(), self.indices.pin_memory())

    def __reduce__(self) -> tuple[Callable[..., Batch], tuple[npt.NDArray[Any], ...]]:
        """Pickled by value: a worker's batch goes through its pipe, not through shared memory, which is
        short in containers and needs a thread that a forked process may lack."""
        return _batch, (self.images.numpy(), self.y.numpy(), self.indices.numpy())


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

    `Batch.indices` says which faces are there: unreadable ones are left out as `readable_crops` does.
    """
    faces = readable_crops(dataset, image_size, range(len(dataset)) if indices is None else indices)
    while part := list(itertools.islice(faces, batch_size)):
        kept, crops = zip(*part, strict=True)
        yield make_batch(dataset, crops, kept)
