"""Packed faces: zip shards of aligned crops beside one labels.csv (what `aif prepare` writes)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aif.runtime.errors import DataError
from aif.train.data.archive import Archive
from aif.train.data.base import decode_rgb, fingerprint
from aif.train.data.tables import TableFaces, file_names, labelled, read_cells

LANDMARK_COLUMNS = tuple(
    f"{part}_{axis}"
    for part in ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
    for axis in ("x", "y")
)
META_COLUMNS = ("file", "shard", "split", "source", "identity", *LANDMARK_COLUMNS, "detector_score")


class PackedFaces(TableFaces):
    """Reads `labels.csv` and its shards. A face's name is `SHARD:FILE`.

    Columns: file, shard, split, optionally identity and others of `META_COLUMNS`, then the attributes.

    Raises:
        DataError: no labels.csv, a malformed row, or no face of this split whose shard is on disk.
        UnknownAttributeError: there is no such column.
    """

    def __init__(self, root: Path, split: str, attributes: Sequence[str] | None = None) -> None:
        path = root / "labels.csv"
        cells = read_cells(path, ",")
        lacking = [name for name in ("file", "shard", "split") if name not in cells]
        if lacking:
            raise DataError(f"{path} has no column {', '.join(lacking)}.", "Make it with `aif prepare`.")
        shards = file_names(cells["shard"].drop_duplicates(), path)
        if any("/" in name for name in shards):
            raise DataError(f"{path}: a shard is not a file name in that folder.")
        files = [f"{shard}:{file}" for shard, file in zip(cells["shard"], cells["file"], strict=True)]
        people = list(cells["identity"]) if "identity" in cells else None
        labels = cells.drop(columns=list(META_COLUMNS), errors="ignore")
        table = labelled(labels, attributes, path, files, list(cells["split"]), people)
        there = {name for name in shards if (root / name).is_file()}
        fix = "Name another split, or copy the shards that are missing beside labels.csv."
        super().__init__(
            root.resolve().name, table, split, lambda name: name.partition(":")[0] in there, root, fix
        )
        self.fingerprint = fingerprint(
            self.attributes, [self._place(i) for i in range(len(self))], self.labels
        )
        self._shards = {name: Archive(root / name) for name in there}

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        shard, file = self._place(index)
        return decode_rgb(self._shards[shard].read(file), self.files[index])

    def _place(self, index: int) -> tuple[str, str]:
        shard, _, file = self.files[index].partition(":")
        return shard, file
