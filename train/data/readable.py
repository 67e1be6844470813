"""Faces of a dataset as plain arrays, in order; images that cannot be read are left out, up to a limit."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from aif.runtime.errors import DataError
from aif.train.data.augment import resize_crop
from aif.train.data.base import CorruptImageError, FaceDataset

log = logging.getLogger(__name__)


def default_corrupt_limit(dataset: FaceDataset) -> int:
    """How many unreadable images are put up with: 1 % of the dataset, at least 10."""
    return max(10, len(dataset) // 100)


def too_many_corrupt(dataset: FaceDataset, names: Sequence[str], limit: int) -> DataError:
    """The error that names a few of the unreadable images."""
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return DataError(
        f"{len(names)} images of {dataset.name} cannot be read, more than the limit of {limit}: {shown}",
        "Restore these files, or take their lines out of the table of labels.",
    )


def readable_crops(
    dataset: FaceDataset, image_size: int, indices: Iterable[int]
) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """The faces at `indices` once, in order: position and uint8 (S, S, 3) RGB, without augmentation.

    Unreadable images are named in the log and left out. Raises DataError where there are more than
    `default_corrupt_limit`, or none is readable.
    """
    limit, bad, seen = default_corrupt_limit(dataset), list[str](), 0
    for index in indices:
        try:
            crop = resize_crop(dataset.image(index), image_size)
        except CorruptImageError as error:
            log.warning("cannot read %s; it is left out", error)
            bad.append(dataset.file_name(index))
            if len(bad) > limit:
                raise too_many_corrupt(dataset, bad, limit) from error
            continue
        seen += 1
        yield index, crop
    if bad and not seen:
        raise too_many_corrupt(dataset, bad, 0)
