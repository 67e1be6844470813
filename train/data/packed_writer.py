"""Writes packed faces: everything beside the final place, which gets its name when all of it is there."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import itertools
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.errors import ConfigError, DataError
from aif.runtime.files import replacing_folder
from aif.train.data.packed import META_COLUMNS


class PackedWriter:
    """A context in which faces are added one by one; leaving it without an error names the result `out`.

    Faces of one split go to its `shards` zip files by a hash of their names, so that one shard alone is a
    fair sample. The same faces give the same bytes.

    Raises:
        DataError: `out` exists (and is not to be, or is no packed dataset), or cannot be written.
    """

    def __init__(
        self,
        out: Path,
        attributes: Sequence[str],
        shards: Mapping[str, int],
        *,
        with_identity: bool = False,
        quality: int = 92,
        overwrite: bool = False,
    ) -> None:
        check_target(out, overwrite)
        self.out, self.faces = out, Counter[str]()
        self._attributes, self._shards, self._with_identity = tuple(attributes), dict(shards), with_identity
        self._quality, self._overwrite = quality, overwrite
        self._open = contextlib.ExitStack()
        self._zips: dict[str, zipfile.ZipFile] = {}
        self._names: set[str] = set()

    def __enter__(self) -> PackedWriter:
        try:
            self._part = self._open.enter_context(replacing_folder(self.out, not self._overwrite))
        except OSError as error:
            raise DataError(f"{self.out} cannot be made: {error.strerror or error}.") from error
        table = (self._part / "labels.csv").open("w", newline="", encoding="utf-8")
        self._table = csv.writer(self._open.enter_context(table), lineterminator="\n")
        columns = [name for name in META_COLUMNS if name != "identity" or self._with_identity]
        self._table.writerow([*columns, *self._attributes])
        return self

    def add(
        self,
        source: str,
        split: str,
        crop_hwc_bgr: npt.NDArray[np.uint8],
        *,
        landmarks: npt.NDArray[np.float32],
        score: float,
        labels: Sequence[int],
        identity: int | None = None,
    ) -> None:
        """Add one face: its crop uint8 (S, S, 3), and its landmarks float32 (5, 2) in pixels of that.

        source: name of the photo, from which the face's own name is made; split: a key of `shards`.
        """
        name = self._unused_name(source)
        part = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % self._shards[split]
        shard = f"{split}-{part}.zip"
        if shard not in self._zips:
            self._zips[shard] = self._open.enter_context(zipfile.ZipFile(self._part / shard, "w"))
        _, data = cv2.imencode(".webp", crop_hwc_bgr, [cv2.IMWRITE_WEBP_QUALITY, self._quality])
        # A fixed date: the same faces give the same bytes.
        self._zips[shard].writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data.tobytes())
        points = [f"{value:.2f}" for value in landmarks.reshape(-1)]
        person = [str(identity)] if self._with_identity else []
        self._table.writerow(
            [name, shard, split, source, *person, *points, f"{score:.3f}", *map(int, labels)]
        )
        self.faces[split] += 1

    def _unused_name(self, source: str) -> str:
        stem = str(PurePosixPath(source).with_suffix(""))
        numbered = (f"{stem}{'' if n == 1 else f'-{n}'}.webp" for n in itertools.count(1))
        name = next(name for name in numbered if name not in self._names)
        self._names.add(name)
        return name

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with self._open:
                if error is not None:
                    raise error
                if self._overwrite:
                    check_target(self.out, True)
        except OSError as failed:
            raise DataError(f"{self.out} cannot be written: {failed.strerror or failed}.") from failed


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
