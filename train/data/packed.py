"""Packed faces: zip shards of aligned crops beside one labels.csv (what `aif prepare` writes)."""

from __future__ import annotations

import csv
import hashlib
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aif.runtime.errors import DataError
from aif.train.data.base import CorruptImageError, FaceDataset, decode_rgb, select_columns

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

    Raises:
        DataError: no labels.csv, a malformed row, or no face of this split whose shard is on disk.
    """

    def __init__(self, root: Path, split: str, attributes: Sequence[str] | None = None) -> None:
        self.name = root.resolve().name
        self._root = root
        path = root / "labels.csv"
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            known = [name for name in header if name not in META_COLUMNS]
            missing = [name for name in ("file", "shard", "split") if name not in header]
            if missing:
                raise DataError(f"{path} has no column {', '.join(missing)}.", "Make it with `aif prepare`.")
            columns = [header.index(known[i]) for i in select_columns(attributes, known, str(path))]
            rows = self._rows(reader, header, split)
        if not rows:
            raise DataError(f"{path} has no face of split {split!r} whose shard is on disk in {root}.")
        self.attributes = tuple(header[c] for c in columns)
        self._files = [(row[header.index("shard")], row[header.index("file")]) for row in rows]
        try:
            self.labels = np.array([[int(row[c]) for c in columns] for row in rows], dtype=np.uint8)
        except (ValueError, OverflowError) as error:
            raise DataError(f"{path}: a label is not 0 or 1 ({error}).") from error
        if self.labels.max() > 1:
            raise DataError(f"{path}: labels must be 0 or 1, found {self.labels.max()}.")
        if "identity" in header:
            identity = header.index("identity")
            self.identities = np.array([int(row[identity]) for row in rows], dtype=np.int64)
        if all(name in header for name in LANDMARK_COLUMNS):
            places = [header.index(name) for name in LANDMARK_COLUMNS]
            points = np.array([[float(row[p]) for p in places] for row in rows], dtype=np.float32)
            self.landmarks = points.reshape(-1, 5, 2)
        digest = hashlib.sha256(repr((self.attributes, self._files)).encode())
        digest.update(self.labels.tobytes())
        self.fingerprint = digest.hexdigest()
        self._open: dict[tuple[int, str], zipfile.ZipFile] = {}

    def _rows(self, reader: object, header: list[str], split: str) -> list[list[str]]:
        shard, where = header.index("shard"), header.index("split")
        present: dict[str, bool] = {}
        rows: list[list[str]] = []
        self.missing = 0
        for row in reader:  # type: ignore[attr-defined]
            if len(row) != len(header):
                raise DataError(
                    f"{self._root / 'labels.csv'}: a row has {len(row)} fields, not {len(header)}: {row[:3]}"
                )
            if row[where] != split:
                continue
            name = row[shard]
            if name not in present:
                if Path(name).name != name:
                    raise DataError(f"labels.csv names a shard outside its folder: {name!r}.")
                present[name] = (self._root / name).is_file()
            if present[name]:
                rows.append(row)
            else:
                self.missing += 1
        return rows

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        shard, file = self._files[index]
        key = (os.getpid(), shard)  # a zip handle must not be shared between processes
        try:
            if key not in self._open:
                self._open[key] = zipfile.ZipFile(self._root / shard)
            data = self._open[key].read(file)
        except (OSError, KeyError, zipfile.BadZipFile, EOFError) as error:
            raise CorruptImageError(f"{shard}:{file} ({error})") from error
        return decode_rgb(data, f"{shard}:{file}")

    def file_name(self, index: int) -> str:
        return ":".join(self._files[index])
