"""Any folder of face images with a CSV of labels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aif.runtime.errors import DataError
from aif.train.data.base import CorruptImageError, FaceDataset, decode_rgb
from aif.train.data.tables import read_csv_table

log = logging.getLogger(__name__)


class FolderFaces(FaceDataset):
    """Images in a folder (and its sub-folders) with a label table that `read_csv_table` reads.

    Images that are not square are cut to their middle square. Faces that are not aligned to aif's template
    train a poor model: `aif prepare` aligns them.

    Args:
        root: the folder that the table's file names are relative to.
        split: "train", "val" or "test".
        attributes: which columns y has, in this order; None for all.
        table: the CSV; None when it is the only one in `root`.

    Attributes:
        missing: listed images of the split that are not there.

    Raises:
        DataError: the table is missing or malformed (with the line's number), or the split has no image.
        UnknownAttributeError: there is no such column.
    """

    def __init__(
        self, root: Path, split: str, attributes: Sequence[str] | None = None, table: Path | None = None
    ) -> None:
        self.name = root.resolve().name
        self._root = root
        path = only_table(root) if table is None else table
        labels = read_csv_table(path, attributes)
        mine = [i for i, name in enumerate(labels.splits) if name == split]
        there = [i for i in mine if (root / labels.files[i]).is_file()]
        self.missing = len(mine) - len(there)
        if not there:
            raise DataError(
                f"{path} has {len(mine)} images of split {split!r}, and none of them is in {root}.",
                "File names in the table are relative to the folder.",
            )
        if self.missing:
            log.warning("%d of %d images of split %s are not in %s", self.missing, len(mine), split, root)
        kept = labels.rows(there)
        self._files = kept.files
        self.attributes, self.labels, self.identities = kept.attributes, kept.labels, kept.identities
        self.fingerprint = kept.fingerprint()

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        name = self._files[index]
        try:
            data = (self._root / name).read_bytes()
        except OSError as error:
            raise CorruptImageError(f"{name} ({error.strerror or error})") from error
        pixels = decode_rgb(data, name)
        height, width = pixels.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return pixels[top : top + side, left : left + side]

    def file_name(self, index: int) -> str:
        return self._files[index]


def only_table(root: Path) -> Path:
    """The one CSV file in `root`.

    Raises:
        DataError: there is none, or more than one.
    """
    tables = sorted(root.glob("*.csv"))
    if len(tables) != 1:
        found = ", ".join(path.name for path in tables) or "none"
        raise DataError(
            f"{root} must hold one CSV of labels; found {found}.", "Name the table: --table labels.csv"
        )
    return tables[0]
