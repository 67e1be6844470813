"""Packed faces: zip shards of aligned crops beside one labels.csv (what `aif prepare` writes)."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import itertools
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TextIO

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.errors import ConfigError, DataError
from aif.runtime.files import replacing_folder
from aif.train.data.base import Archive, decode_rgb, fingerprint
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

    Raises DataError where labels.csv is missing or malformed, or no face of this split has its shard on disk,
    UnknownAttributeError where there is no such column.
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


@contextlib.contextmanager
def packed_writer(
    out: Path,
    attributes: Sequence[str],
    shards: Mapping[str, int],
    *,
    with_identity: bool,
    quality: int,
    overwrite: bool,
) -> Iterator[PackedWriter]:
    """What faces are added to one by one; the result gets its name `out` when the block ends well.

    Faces of one split go to its `shards` zip files by a hash of their names, so that one shard alone is a
    fair sample. The same faces give the same bytes.

    Raises ConfigError where `out` is taken (see `check_target`), DataError where it cannot be written.
    """
    check_target(out, overwrite)
    try:
        with contextlib.ExitStack() as opened:
            part = opened.enter_context(replacing_folder(out, not overwrite))
            file = opened.enter_context((part / "labels.csv").open("w", newline="", encoding="utf-8"))
            writer = PackedWriter(part, file, opened, shards, quality)
            columns = [name for name in META_COLUMNS if name != "identity" or with_identity]
            writer.table.writerow([*columns, *attributes])
            yield writer
            if overwrite:  # once more: it took hours
                check_target(out, True)
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror or error}.") from error


class PackedWriter:
    """The open files of `packed_writer`. `faces` counts what was added, by split."""

    def __init__(
        self,
        part: Path,
        file: TextIO,
        opened: contextlib.ExitStack,
        shards: Mapping[str, int],
        quality: int,
    ) -> None:
        self.table, self.faces = csv.writer(file, lineterminator="\n"), Counter[str]()
        self._part, self._opened, self._shards, self._quality = part, opened, shards, quality
        self._zips: dict[str, zipfile.ZipFile] = {}
        self._names: set[str] = set()

    def add(
        self,
        source: str,
        split: str,
        crop_hwc_bgr: npt.NDArray[np.uint8],
        *,
        landmarks: npt.NDArray[np.float32],
        score: float,
        labels: Sequence[int],
        identity: int | None,
    ) -> None:
        """Add one face: its crop uint8 (S, S, 3), and its landmarks float32 (5, 2) in pixels of that.

        source: name of the photo, from which the face's own name is made; split: a key of `shards`.
        """
        stem = str(PurePosixPath(source).with_suffix(""))
        numbered = (f"{stem}{'' if n == 1 else f'-{n}'}.webp" for n in itertools.count(1))
        name = next(name for name in numbered if name not in self._names)
        self._names.add(name)
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % self._shards[split]
        shard = f"{split}-{number}.zip"
        if shard not in self._zips:
            self._zips[shard] = self._opened.enter_context(zipfile.ZipFile(self._part / shard, "w"))
        _, data = cv2.imencode(".webp", crop_hwc_bgr, [cv2.IMWRITE_WEBP_QUALITY, self._quality])
        # A fixed date: the same faces give the same bytes.
        self._zips[shard].writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data.tobytes())
        points = [f"{value:.2f}" for value in landmarks.reshape(-1)]
        person = [] if identity is None else [identity]
        self.table.writerow([name, shard, split, source, *person, *points, f"{score:.3f}", *labels])
        self.faces[split] += 1


def check_target(out: Path, overwrite: bool) -> None:
    """A ConfigError unless `out` is new, empty, or older packed faces to be replaced."""
    if not out.exists():
        return
    if not out.is_dir():
        raise ConfigError(f"{out} exists and is no folder.", "Choose another place with --out.")
    inside = {path.name for path in out.iterdir()}
    strange = sorted(n for n in inside if n != "labels.csv" and not n.endswith(".zip"))
    if inside and (strange or "labels.csv" not in inside):
        raise ConfigError(
            f"{out} holds something other than packed faces ({', '.join(strange[:3]) or 'no labels.csv'}); "
            "it is left alone.",
            "Choose another place with --out.",
        )
    if inside and not overwrite:
        raise ConfigError(f"{out} holds packed faces already.", "Choose another place, or say --overwrite.")
