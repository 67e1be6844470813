"""Training batches as a pure function of (dataset, seed, step), for any number of workers and ranks."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from aif.runtime.errors import ConfigError, DataError
from aif.train.data.augment import Augmentation, augment_crop, resize_crop
from aif.train.data.base import CorruptImageError, FaceDataset
from aif.train.data.batch import Batch, evaluation_batches, make_batch
from aif.train.data.readable import default_corrupt_limit, too_many_corrupt
from aif.train.data.sampling import SampleOrder

__all__ = ["Batch", "FaceLoader", "evaluation_batches"]

log = logging.getLogger(__name__)


class _Steps(Dataset[tuple["Batch | None", list[int]]]):
    """Step number -> (this rank's batch, indices found unreadable on the way). Runs in the workers.

    The batch is None when more images are unreadable than allowed. `share` is batch size, rank, world size.
    """

    def __init__(
        self, dataset: FaceDataset, order: SampleOrder, image_size: int, seed: int,
        augmentation: Augmentation | None, share: tuple[int, int, int], limit: int,
    ) -> None:  # fmt: skip
        self.dataset, self.order, self.image_size, self.seed = dataset, order, image_size, seed
        self.augmentation, self.share, self.limit = augmentation, share, limit
        self.corrupt = torch.zeros(len(dataset), dtype=torch.uint8)  # shared by all workers
        self.corrupt.share_memory_()  # type: ignore[no-untyped-call]

    def __getitem__(self, step: int) -> tuple[Batch | None, list[int]]:
        size, rank, world_size = self.share
        crops: list[npt.NDArray[np.uint8]] = []
        indices: list[int] = []
        bad: list[int] = []
        for sample in range(step * size + rank, (step + 1) * size, world_size):
            found = self._readable(sample, bad)
            if found is None:
                return None, bad
            image, index = found
            if self.augmentation is None:
                crops.append(resize_crop(image, self.image_size))
            else:
                rng = np.random.default_rng([self.seed, 2, sample])
                crops.append(augment_crop(image, self.image_size, self.augmentation, rng))
            indices.append(index)
        return make_batch(self.dataset, crops, indices), bad

    def _readable(self, sample: int, bad: list[int]) -> tuple[npt.NDArray[np.uint8], int] | None:
        """The image of a sample, or of its replacements, which depend on (seed, sample) alone."""
        index = self.order[sample]
        replacements = None
        while True:
            if not self.corrupt[index]:
                try:
                    return self.dataset.image(index), index
                except CorruptImageError:
                    self.corrupt[index] = 1  # setting it twice does no harm
                    bad.append(index)
            if int(self.corrupt.sum()) > self.limit or bool(self.corrupt.all()):
                return None
            replacements = replacements or np.random.default_rng([self.seed, 3, sample])
            index = int(replacements.integers(len(self.dataset)))


def start_worker(_: int) -> None:
    """How every worker process begins."""
    cv2.setNumThreads(0)  # torch itself is already set to one thread in workers
    # Both may reach the whole process group; the main process decides what they mean, workers end with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _as_it_is(item: Any) -> Any:
    return item


class FaceLoader:
    """Endless deterministic batches; iterating yields the `Batch` of start_step, start_step + 1, ...

    Batch k depends on (dataset, seed, k) and the settings alone: not on where iteration started, nor on the
    number of workers. With several ranks, rank r gets samples r, r + world_size, ... of the global batch, so
    the ranks' shares together are exactly the batch of a single process.

    Args:
        dataset: the faces.
        image_size: side S of the images in pixels.
        batch_size: faces in the global batch, over all ranks.
        seed: of order and augmentation, >= 0.
        augment: random changes; None for the plain faces.
        balance: show rare attribute values more often (`sampling.balanced_weights` has the rule).
        workers: worker processes that decode; 0 = decode in this process, None = one a core.
        rank, world_size: this process's place among several.
        start_step: number of the first batch.
        corrupt_limit: unreadable images put up with; None = 1 % of the dataset, at least 10. Each is reported
            once through `logging` and replaced by another face, chosen by (seed, sample number).
        pin_memory: hand out page-locked tensors, for copying to a GPU in the background.

    Raises:
        ConfigError: a number is out of range, or batch_size is no multiple of world_size.
        DataError: (while iterating) more images are unreadable than allowed.
    """

    def __init__(
        self,
        dataset: FaceDataset,
        image_size: int,
        batch_size: int,
        seed: int,
        *,
        augment: Augmentation | None = None,
        balance: bool = False,
        workers: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        start_step: int = 0,
        corrupt_limit: int | None = None,
        pin_memory: bool = False,
    ) -> None:
        if len(dataset) == 0:
            raise DataError(f"{dataset.name} has no faces.")
        least = {"image_size": (image_size, 1), "batch_size": (batch_size, 1), "seed": (seed, 0)}
        least |= {"workers": (workers or 0, 0), "start_step": (start_step, 0)}
        for name, (value, low) in (least | {"corrupt_limit": (corrupt_limit or 0, 0)}).items():
            if value < low:
                raise ConfigError(f"{name} = {value} is out of range.", f"It must be at least {low}.")
        if not 0 <= rank < world_size:
            raise ConfigError(f"Rank {rank} does not exist among {world_size} processes.")
        if batch_size % world_size:
            raise ConfigError(
                f"A global batch of {batch_size} faces cannot be shared evenly by {world_size} processes.",
                f"Use a multiple of {world_size}.",
            )
        self.dataset, self.start_step = dataset, start_step
        self.workers = _cores() if workers is None else workers
        self.corrupt_limit = default_corrupt_limit(dataset) if corrupt_limit is None else corrupt_limit
        self._pin, self._reported = pin_memory, set[int]()
        order, share = SampleOrder(dataset.labels, seed, balance), (batch_size, rank, world_size)
        self._steps = _Steps(dataset, order, image_size, seed, augment, share, self.corrupt_limit)

    @property
    def corrupt(self) -> tuple[str, ...]:
        """Names of the images found unreadable so far, by any worker of this process."""
        return tuple(self.dataset.file_name(int(i)) for i in torch.nonzero(self._steps.corrupt).flatten())

    def __iter__(self) -> Iterator[Batch]:
        for batch, bad in self._raw():
            for index in bad:
                if index not in self._reported:
                    self._reported.add(index)
                    log.warning("cannot read %s; another face takes its place", self.dataset.file_name(index))
            if batch is None:
                raise too_many_corrupt(self.dataset, self.corrupt, self.corrupt_limit)
            yield batch

    def _raw(self) -> Iterator[tuple[Batch | None, list[int]]]:
        steps = itertools.count(self.start_step)
        if self.workers == 0:
            for step in steps:
                batch, bad = self._steps[step]
                yield (batch.pin_memory() if batch is not None and self._pin else batch), bad
        # One item is one whole batch (batch_size=None); DataLoader keeps the order of `steps`.
        yield from DataLoader(
            self._steps,
            batch_size=None,
            sampler=steps,
            num_workers=self.workers,
            prefetch_factor=4,
            collate_fn=_as_it_is,
            worker_init_fn=start_worker,
            pin_memory=self._pin,
            generator=torch.Generator(),  # else torch's own random state would depend on `workers`
            multiprocessing_context=multiprocessing.get_context("fork") if sys.platform == "linux" else None,
        )


def _cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
