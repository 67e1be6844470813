"""Label tables: which image shows which attributes, in which split, of which person."""

from __future__ import annotations

import csv
import hashlib
import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from aif.runtime.errors import DataError
from aif.train.data.base import FaceDataset, fingerprint, select_columns

log = logging.getLogger(__name__)

VALUES = {"1": 1, "0": 0, "-1": 0, "+1": 1, "1.0": 1, "0.0": 0, "-1.0": 0}
SPLITS = {
    "train": "train", "training": "train", "0": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val", "1": "val",
    "test": "test", "testing": "test", "2": "test",
}  # fmt: skip
SPLIT_COLUMNS = ("split", "partition")
IDENTITY_COLUMNS = ("identity", "person")


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Labels of N images.

    Attributes:
        files: names as the table gives them, with forward slashes.
        attributes: names of the A label columns.
        labels: uint8 (N, A), 0 or 1.
        splits: "train", "val" or "test" for each image.
        identities: int64 (N,), or None where unknown.
    """

    files: tuple[str, ...]
    attributes: tuple[str, ...]
    labels: npt.NDArray[np.uint8]
    splits: tuple[str, ...]
    identities: npt.NDArray[np.int64] | None

    def rows(self, keep: Sequence[int]) -> LabelTable:
        """The table with only the rows `keep`."""
        where = np.asarray(keep, dtype=np.int64)
        files, splits = (tuple(names[i] for i in keep) for names in (self.files, self.splits))
        people = None if self.identities is None else self.identities[where]
        return LabelTable(files, self.attributes, self.labels[where], splits, people)


class TableFaces(FaceDataset):
    """The faces of one split that are both in a table and there; what reads them is up to the subclass.

    Args:
        name: short name for logs.
        table: the labels.
        split: "train", "val" or "test".
        there: whether the image of a name exists.
        place: where images are looked for, for messages.
        fix: what to do where there are none.

    Attributes:
        files: names of the images.
        missing: listed images of the split that are not there.

    Raises:
        DataError: the split has no image.
    """

    def __init__(
        self, name: str, table: LabelTable, split: str, there: Callable[[str], bool], place: Path, fix: str
    ) -> None:
        mine = [i for i, its in enumerate(table.splits) if its == split]
        kept = table.rows([i for i in mine if there(table.files[i])])
        self.name, self.missing = name, len(mine) - len(kept.files)
        if not kept.files:
            raise DataError(f"{place} holds none of the {len(mine)} images of split {split!r}.", fix)
        if self.missing:
            log.warning("%d of %d images of split %s are not in %s", self.missing, len(mine), split, place)
        self.files, self.attributes = kept.files, kept.attributes
        self.labels, self.identities = kept.labels, kept.identities
        self.fingerprint = fingerprint(kept.attributes, kept.files, kept.labels)

    def file_name(self, index: int) -> str:
        return self.files[index]


def hash_split(name: str) -> str:
    """ "val" for one name in ten, "train" for the others, for ever the same."""
    return "val" if hashlib.sha256(name.encode()).digest()[0] * 10 < 256 else "train"


def read_csv_table(path: Path, attributes: Sequence[str] | None = None) -> LabelTable:
    """Read a table with a heading line: file names first, then one column of 0/1 or -1/1 an attribute.

    A column named `split` or `partition` (train, val, test or CelebA's 0, 1, 2) and one named `identity` or
    `person` are not attributes. Without a split column `hash_split` decides, by person where there is one,
    else by file name. Commas, semicolons and tabs all separate.

    Args:
        attributes: which columns to read, in this order; None for all. Others may hold anything.

    Raises:
        DataError: missing, empty or malformed, with the line's number.
        UnknownAttributeError: there is no such column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"There is no label table {path}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a readable UTF-8 text file: {error}") from error
    first = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    header = [name.strip() for name in next(reader, [])]
    _check_header(path, header)
    lower = [name.lower() for name in header]
    split, person = (
        next((lower.index(n, 1) for n in names if n in lower[1:]), None)
        for names in (SPLIT_COLUMNS, IDENTITY_COLUMNS)
    )
    known = [name for column, name in enumerate(header) if column not in (0, split, person)]
    if not known:
        raise DataError(f"{path}, line 1: there is no attribute column beside {', '.join(header)}.")
    names = [known[i] for i in select_columns(attributes, known, str(path))]
    columns = [header.index(name) for name in names]

    files: dict[str, int] = {}
    labels: list[list[int]] = []
    splits: list[str] = []
    people: list[str] = []
    try:
        for row in reader:
            if not any(field.strip() for field in row):
                continue
            where = f"{path}, line {reader.line_num}"
            if len(row) != len(header):
                raise DataError(f"{where}: {len(row)} fields, but the heading has {len(header)}.")
            file = check_file_name(row[0].strip(), where)
            if file in files:
                raise DataError(f"{where}: {file} was named before, in line {files[file]}.")
            files[file] = reader.line_num
            labels.append([parse_label(row[c], header[c], where) for c in columns])
            if person is not None:
                people.append(row[person].strip())
            if split is None:
                splits.append(hash_split(people[-1] if person is not None else file))
            else:
                splits.append(parse_split(row[split], where))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}.") from error
    if not files:
        raise DataError(f"{path} has a heading but no images.")
    return LabelTable(
        files=tuple(files),
        attributes=tuple(names),
        labels=np.array(labels, dtype=np.uint8).reshape(len(files), len(names)),
        splits=tuple(splits),
        identities=number_people(people) if person is not None else None,
    )


def check_file_name(name: str, where: str) -> str:
    """`name` with forward slashes. Raises DataError when it is empty or leads out of its folder."""
    plain = PurePosixPath(name.replace("\\", "/"))
    if not plain.parts or plain.is_absolute() or ".." in plain.parts or name[1:2] == ":":
        raise DataError(f"{where}: {name!r} is not a file name inside the image folder.")
    return str(plain)


def parse_label(text: str, column: str, where: str) -> int:
    """0 or 1 from 0/1 or -1/1."""
    if text.strip() not in VALUES:
        raise DataError(
            f"{where}: {column} = {text.strip()!r} is neither 0/1 nor -1/1.",
            "If the column is no attribute, name the ones that are: --attributes A,B.",
        )
    return VALUES[text.strip()]


def parse_split(text: str, where: str) -> str:
    """ "train", "val" or "test" from one of their usual names."""
    if text.strip().lower() not in SPLITS:
        raise DataError(
            f"{where}: split {text.strip()!r} is unknown.", "Use train, val or test (or 0, 1, 2)."
        )
    return SPLITS[text.strip().lower()]


def number_people(people: Sequence[str]) -> npt.NDArray[np.int64]:
    """Person numbers: the names themselves where all are whole numbers, else 0, 1, ... in order of name."""
    try:
        return np.array([int(name) for name in people], dtype=np.int64)
    except (ValueError, OverflowError):
        return np.unique(list(people), return_inverse=True)[1].astype(np.int64)


def _check_header(path: Path, header: list[str]) -> None:
    if len(header) < 2:
        raise DataError(
            f"{path}, line 1: the heading must name the file column and at least one attribute.",
            "For example: file,Smiling,Eyeglasses",
        )
    if len(set(header)) != len(header) or "" in header[1:]:
        raise DataError(f"{path}, line 1: a column has no name or the name of another one.")
    if any(name.strip() in VALUES for name in header[1:]):
        raise DataError(f"{path}, line 1: the heading is missing.", "For example: file,Smiling,Eyeglasses")
