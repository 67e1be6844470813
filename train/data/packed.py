"""Packed faces: zip shards of aligned crops beside one labels.csv (what `aif prepare` writes)."""

from __future__ import annotations

import csv
import hashlib
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from aif.runtime.errors import DataError
from aif.train.data.archive import ZipReader
from aif.train.data.base import FaceDataset, decode_rgb, select_columns

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
        self._root = root
        self._zips = ZipReader()
        path = root / "labels.csv"
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                header, columns, rows = self._read(csv.reader(file), split, attributes)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{path} cannot be read: {error}", "Make it with `aif prepare`.") from error
        if not rows:
            raise DataError(
                f"{path} has no face of split {split!r} whose shard is on disk in {root}.",
                f"{self.missing} faces of this split are listed, but their shards are missing."
                if self.missing
                else "Name another split.",
            )
        if self.missing:
            log.warning("%d faces of split %s are in shards that are not in %s", self.missing, split, root)
        self.attributes = tuple(header[c] for c in columns)
        shard, name = header.index("shard"), header.index("file")
        self._files = [(row[shard], row[name]) for row in rows]
        self.labels = _numbers(path, rows, columns, np.uint8, "a label")
        if self.labels.size and self.labels.max() > 1:
            raise DataError(f"{path}: labels must be 0 or 1, found {self.labels.max()}.")
        if "identity" in header:
            self.identities = _numbers(path, rows, [header.index("identity")], np.int64, "an identity")[:, 0]
        if all(name in header for name in LANDMARK_COLUMNS):
            places = [header.index(name) for name in LANDMARK_COLUMNS]
            self.landmarks = _numbers(path, rows, places, np.float32, "a landmark").reshape(-1, 5, 2)
        digest = hashlib.sha256(repr((self.attributes, self._files)).encode())
        digest.update(self.labels.tobytes())
        self.fingerprint = digest.hexdigest()

    def _read(
        self, reader: Iterable[list[str]], split: str, attributes: Sequence[str] | None
    ) -> tuple[list[str], list[int], list[list[str]]]:
        """Heading, attribute columns, and the rows of the split whose shard is there; counts the others."""
        path = self._root / "labels.csv"
        lines = enumerate(reader, start=1)
        header = next(lines, (1, []))[1]
        lacking = [name for name in ("file", "shard", "split") if name not in header]
        if lacking:
            raise DataError(f"{path} has no column {', '.join(lacking)}.", "Make it with `aif prepare`.")
        known = [name for name in header if name not in META_COLUMNS]
        columns = [header.index(known[i]) for i in select_columns(attributes, known, str(path))]
        shard, where = header.index("shard"), header.index("split")
        present: dict[str, bool] = {}
        rows: list[list[str]] = []
        self.missing = 0
        for number, row in lines:
            if len(row) != len(header):
                raise DataError(
                    f"{path}, row {number}: {len(row)} fields, but the heading has {len(header)}."
                )
            if row[where] != split:
                continue
            name = row[shard]
            if name not in present:
                if not name or Path(name).name != name:
                    raise DataError(f"{path}, row {number}: {name!r} is not a file name.")
                present[name] = (self._root / name).is_file()
            if present[name]:
                rows.append(row)
            else:
                self.missing += 1
        return header, columns, rows

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        shard, file = self._files[index]
        return decode_rgb(self._zips.read(self._root / shard, file), f"{shard}:{file}")

    def file_name(self, index: int) -> str:
        return ":".join(self._files[index])


_Number = TypeVar("_Number", np.uint8, np.int64, np.float32)


def _numbers(
    path: Path, rows: list[list[str]], columns: list[int], kind: type[_Number], what: str
) -> npt.NDArray[_Number]:
    """The numbers in some columns of all rows: (rows, columns)."""
    convert = float if kind is np.float32 else int
    try:
        return np.array([[convert(row[c]) for c in columns] for row in rows], dtype=kind)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{path}: {what} is not a number of the right kind ({error}).") from error
