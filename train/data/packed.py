"""Packed faces: zip shards of aligned crops beside one labels.csv (what `aif prepare` writes)."""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aif.runtime.errors import DataError
from aif.train.data.archive import Archive
from aif.train.data.base import FaceDataset, decode_rgb, fingerprint, select_columns

log = logging.getLogger(__name__)

LANDMARK_COLUMNS = tuple(
    f"{part}_{axis}"
    for part in ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
    for axis in ("x", "y")
)
META_COLUMNS = ("file", "shard", "split", "source", "identity", *LANDMARK_COLUMNS, "detector_score")


class PackedFaces(FaceDataset):
    """Reads `labels.csv` and its shards.

    Columns: file, shard, split, optional identity and landmarks, then the attributes as 0/1.

    Args:
        root: the folder that holds labels.csv and the shards.
        split: "train", "val" or any other value of the split column.
        attributes: which columns y has, in this order; None for all.

    Attributes:
        missing: faces of the split whose shard is not on disk.

    Raises:
        DataError: no labels.csv, a malformed row, or no face of this split whose shard is on disk.
    """

    def __init__(self, root: Path, split: str, attributes: Sequence[str] | None = None) -> None:
        self.name = root.resolve().name
        path = root / "labels.csv"
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                header, *rows = csv.reader(file)
        except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
            raise DataError(f"{path} cannot be read: {error}", "Make it with `aif prepare`.") from error
        lacking = [name for name in ("file", "shard", "split") if name not in header]
        if lacking:
            raise DataError(f"{path} has no column {', '.join(lacking)}.", "Make it with `aif prepare`.")
        known = [name for name in header if name not in META_COLUMNS]
        self.attributes = tuple(known[i] for i in select_columns(attributes, known, str(path)))
        rows = self._present(path, header, rows, split)

        def numbers(names: Sequence[str], kind: type[np.generic], what: str) -> npt.NDArray[Any]:
            places = [header.index(name) for name in names]
            try:
                cells = [[row[place] for place in places] for row in rows]
                return np.array(cells, dtype=str).reshape(len(rows), -1).astype(kind)
            except (ValueError, OverflowError) as error:
                raise DataError(f"{path}: {what} is not a number of the right kind ({error}).") from error

        shard, name = header.index("shard"), header.index("file")
        self._files = [(row[shard], row[name]) for row in rows]
        self.labels = numbers(self.attributes, np.uint8, "a label")
        if self.labels.size and self.labels.max() > 1:
            raise DataError(f"{path}: labels must be 0 or 1, found {self.labels.max()}.")
        if "identity" in header:
            self.identities = numbers(["identity"], np.int64, "an identity")[:, 0]
        if all(name in header for name in LANDMARK_COLUMNS):
            self.landmarks = numbers(LANDMARK_COLUMNS, np.float32, "a landmark").reshape(-1, 5, 2)
        self._shards = {name: Archive(root / name) for name, _ in self._files}
        self.fingerprint = fingerprint(self.attributes, self._files, self.labels)

    def _present(self, path: Path, header: list[str], rows: list[list[str]], split: str) -> list[list[str]]:
        """The rows of the split whose shard is on disk; counts the others."""
        shard, where = header.index("shard"), header.index("split")
        for number, row in enumerate(rows, start=2):
            if len(row) != len(header):
                raise DataError(
                    f"{path}, row {number}: {len(row)} fields, but the heading has {len(header)}."
                )
            if not row[shard] or Path(row[shard]).name != row[shard]:
                raise DataError(f"{path}, row {number}: {row[shard]!r} is not a file name.")
        mine = [row for row in rows if row[where] == split]
        there = {name for name in {row[shard] for row in mine} if (path.parent / name).is_file()}
        kept = [row for row in mine if row[shard] in there]
        self.missing = len(mine) - len(kept)
        if not kept:
            raise DataError(
                f"{path} has no face of split {split!r} whose shard is on disk in {path.parent}.",
                f"{self.missing} faces of this split are listed, but their shards are missing."
                if self.missing
                else "Name another split.",
            )
        if self.missing:
            log.warning(
                "%d faces of split %s are in shards that are not in %s", self.missing, split, path.parent
            )
        return kept

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        shard, file = self._files[index]
        return decode_rgb(self._shards[shard].read(file), f"{shard}:{file}")

    def file_name(self, index: int) -> str:
        return ":".join(self._files[index])
