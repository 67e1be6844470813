"""Training batches as a pure function of (dataset, seed, step), for any number of workers and ranks."""

from __future__ import annotations

import ctypes
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
from aif.runtime.machine import core_count
from aif.train.data.augment import Augmentation, augment_crop, resize_crop
from aif.train.data.base import CorruptImageError, FaceDataset
from aif.train.data.batch import Batch, make_batch
from aif.train.data.readable import default_corrupt_limit, too_many_corrupt
from aif.train.data.sampling import SampleOrder

log = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when its parent dies, however it dies."""


def start_worker(_: int) -> None:
    """How every worker process begins."""
    cv2.setNumThreads(0)  # torch itself is already set to one thread in workers
    # They may reach the whole process group; the main process decides what they mean, workers end with it.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if sys.platform == "linux":  # torch's own watch over the parent does not end a worker whose queue is full
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        parent = multiprocessing.parent_process()
        if parent is not None and parent.pid != os.getppid():  # it died before it could be watched
            os._exit(1)


class FaceLoader(Dataset["Batch | DataError"]):
    """Endless deterministic batches; iterating yields the `Batch` of start_step, start_step + 1, ...

    Batch k depends on (dataset, seed, k) and the settings alone: not on where iteration started, nor on the
    number of workers. Of several ranks, rank r gets samples r, r + world_size, ... of the global batch.
    Unreadable images are named in the log and replaced by other faces, chosen by (seed, sample number).

    Args:
        batch_size: faces in the global batch, over all ranks.
        seed: of order and augmentation, >= 0.
        balance: show rare attribute values more often (`sampling.balanced_weights` has the rule).
        workers: worker processes that decode; 0 = decode in this process, None = one a core.
        rank, world_size: this process's place among several.
        start_step: number of the first batch.
        pin_memory: give page-locked tensors, for copying to a GPU in the background.

    Raises ConfigError where batch_size is no multiple of world_size, DataError where there is no face, and
    while iterating, where more images are unreadable than `default_corrupt_limit`.
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
        pin_memory: bool = False,
    ) -> None:
        if len(dataset) == 0:
            raise DataError(f"{dataset.name} has no faces.")
        if batch_size % world_size:
            raise ConfigError(
                f"A global batch of {batch_size} faces cannot be shared evenly by {world_size} processes.",
                f"Use a multiple of {world_size}.",
            )
        self.dataset, self.image_size, self.seed, self.augment = dataset, image_size, seed, augment
        self.batch_size, self.rank, self.world_size = batch_size, rank, world_size
        self.workers = core_count() if workers is None else workers
        self.start_step, self.pin_memory = start_step, pin_memory
        self._order = SampleOrder(dataset.labels, seed, balance)
        self._limit = default_corrupt_limit(dataset)
        self._corrupt = torch.zeros(len(dataset), dtype=torch.uint8)  # shared by all workers
        self._corrupt.share_memory_()  # type: ignore[no-untyped-call]

    @property
    def corrupt(self) -> tuple[str, ...]:
        """Names of the images found unreadable so far, by any worker of this process."""
        found = self._corrupt.clone()  # `nonzero` counts first, and fails where a worker finds one meanwhile
        return tuple(self.dataset.file_name(i) for i in found.nonzero().flatten().tolist())

    def __getitem__(self, step: int) -> Batch | DataError:
        """This rank's share of batch `step`; the error, not raised, where too many images are unreadable:
        DataLoader would make another one of it.
        """
        first = step * self.batch_size
        samples = range(first + self.rank, first + self.batch_size, self.world_size)
        try:
            indices, crops = zip(*map(self._face, samples), strict=True)
        except DataError as error:
            return error
        return make_batch(self.dataset, crops, indices)

    def _face(self, sample: int) -> tuple[int, npt.NDArray[np.uint8]]:
        """Which face a sample shows, and the crop."""
        index, image = self._readable(sample)
        if self.augment is None:
            return index, resize_crop(image, self.image_size)
        rng = np.random.default_rng([self.seed, 2, sample])
        return index, augment_crop(image, self.image_size, self.augment, rng)

    def _readable(self, sample: int) -> tuple[int, npt.NDArray[np.uint8]]:
        """The image of a sample, or of its replacements, which depend on (seed, sample) alone."""
        index = self._order[sample]
        replacements = np.random.default_rng([self.seed, 3, sample])
        while int(self._corrupt.sum()) <= self._limit and not self._corrupt.all():
            if not self._corrupt[index]:
                try:
                    return index, self.dataset.image(index)
                except CorruptImageError:
                    self._corrupt[index] = 1
            index = int(replacements.integers(len(self.dataset)))
        raise too_many_corrupt(self.dataset, self.corrupt, self._limit)

    def __iter__(self) -> Iterator[Batch]:
        # One item is one whole batch (batch_size=None); DataLoader keeps the order of the steps.
        linux = self.workers > 0 and sys.platform == "linux"
        loader = DataLoader(
            self,
            batch_size=None,
            sampler=itertools.count(self.start_step),
            num_workers=self.workers,
            prefetch_factor=4 if self.workers else None,
            collate_fn=_as_it_is,
            worker_init_fn=start_worker,
            pin_memory=self.pin_memory,
            generator=torch.Generator(),  # else torch's own random state would depend on `workers`
            multiprocessing_context=multiprocessing.get_context("fork") if linux else None,
        )
        named: set[str] = set()
        for item in loader:
            for name in set(self.corrupt) - named:  # here and not in a worker, which may have forked mid-line
                log.warning("cannot read %s; another face takes its place", name)
                named.add(name)
            if isinstance(item, DataError):
                raise item
            yield item


def _as_it_is(item: Any) -> Any:
    return item
