"""Label tables: which image shows which attributes, in which split, of which person; and folders with one."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import pandas as pd

from aif.runtime.errors import DataError
from aif.train.data.base import Archive, FaceDataset, decode_rgb, fingerprint, select_columns

log = logging.getLogger(__name__)

VALUES = {"1": 1, "0": 0, "-1": 0, "+1": 1, "1.0": 1, "0.0": 0, "-1.0": 0}
SPLITS = {
    "train": "train", "training": "train", "0": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val", "1": "val",
    "test": "test", "testing": "test", "2": "test",
}  # fmt: skip
SPLIT_COLUMNS = ("split", "partition")
IDENTITY_COLUMNS = ("identity", "person")
EXAMPLE = "For example: file,Smiling,Eyeglasses"


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Labels of N images: file names with forward slashes; names of the A label columns; labels uint8 (N,
    A), 0 or 1; "train", "val" or "test" for each, "" where it is in none; person numbers int64 (N,), None
    where unknown.
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

    `there` says whether the image of a name exists; `place` and `fix` are for messages.
    Raises DataError where the split has no image.
    """

    def __init__(
        self, name: str, table: LabelTable, split: str, there: Callable[[str], bool], place: Path, fix: str
    ) -> None:
        mine = [i for i, its in enumerate(table.splits) if its == split]
        kept = table.rows([i for i in mine if there(table.files[i])])
        missing = len(mine) - len(kept.files)
        if not kept.files:
            raise DataError(f"{place} holds none of the {len(mine)} images of split {split!r}.", fix)
        if missing:
            log.warning("%d of %d images of split %s are not in %s", missing, len(mine), split, place)
        self.name, self.files, self.attributes = name, kept.files, kept.attributes
        self.labels, self.identities = kept.labels, kept.identities
        self.fingerprint = fingerprint(kept.attributes, kept.files, kept.labels)

    def file_name(self, index: int) -> str:
        return self.files[index]


class FolderFaces(TableFaces):
    """Images in a folder (and its sub-folders) with a label table, cut to their middle square.

    Faces that are not aligned to aif's template train a poor model: `aif prepare` aligns them.
    Raises DataError where the table is missing or malformed, or the split has no image,
    UnknownAttributeError where there is no such column.
    """

    def __init__(
        self, root: Path, split: str, attributes: Sequence[str] | None = None, table: Path | None = None
    ) -> None:
        labels = read_csv_table(only_table(root) if table is None else table, attributes)
        fix = "File names in the table are relative to the folder."
        super().__init__(root.resolve().name, labels, split, lambda name: (root / name).is_file(), root, fix)
        self._archive = Archive(root)

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        name = self.files[index]
        pixels = decode_rgb(self._archive.read(name), name)
        height, width = pixels.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return pixels[top : top + side, left : left + side]


def hash_split(name: str) -> str:
    """ "val" for one name in ten, "train" for the others, for ever the same."""
    return "val" if hashlib.sha256(name.encode()).digest()[0] * 10 < 256 else "train"


def read_cells(
    path: Path, separator: str | None = None, names: Sequence[str] | None = None, skip: int = 0
) -> pd.DataFrame:
    """The cells of a text table, stripped; what a row lacks is "".

    separator None: the commonest of comma, semicolon and tab in the heading; names None: those of line 1.
    Raises DataError where the file is missing, empty or no such table.
    """
    try:
        if separator is None:
            with path.open(encoding="utf-8-sig") as file:
                first = file.readline()
            separator = max(",;\t", key=first.count)
        cells = pd.read_csv(
            path, sep=separator, header=None, names=names, skiprows=skip, dtype=str, encoding="utf-8-sig",
            keep_default_na=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise DataError(f"There is no label table {path}.") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable table: {error}.") from error
    if not isinstance(cells.index, pd.RangeIndex):
        raise DataError(f"{path}: rows have more fields than there are columns.")
    cells = cells.fillna("").apply(lambda column: column.str.strip())
    if names is None:
        cells.columns = list(cells.iloc[0])
        cells = cells.iloc[1:]
    return cells[(cells != "").any(axis=1)].reset_index(drop=True)


def read_csv_table(path: Path, attributes: Sequence[str] | None = None) -> LabelTable:
    """Read a table with a heading: file names first, then one column of 0/1 or -1/1 an attribute.

    A column named `split` or `partition` (train, val, test or CelebA's 0, 1, 2) and one named `identity` or
    `person` are not attributes. Without a split column `hash_split` decides, by person where there is one,
    else by file name. `attributes` are the columns to read, in this order; others may hold anything.

    Raises DataError where it is missing, empty or malformed, with the image's name, UnknownAttributeError
    where there is no such column.
    """
    cells = read_cells(path)
    header = list(cells.columns)
    if len(header) < 2 or any(name in VALUES for name in header[1:]):
        raise DataError(
            f"{path}: the first line must name the file column and at least one attribute.", EXAMPLE
        )
    if len(set(header)) != len(header) or "" in header[1:]:
        raise DataError(f"{path}: a column has no name, or the name of another one.", EXAMPLE)
    lower = [name.lower() for name in header[1:]]
    split, person = (
        next((header[1 + lower.index(name)] for name in names if name in lower), None)
        for names in (SPLIT_COLUMNS, IDENTITY_COLUMNS)
    )
    labels = cells.drop(columns=[split, person, header[0]], errors="ignore")
    if not len(labels.columns):
        raise DataError(f"{path}: there is no attribute column.", EXAMPLE)
    files = file_names(cells[header[0]], path)
    people = None if person is None else list(cells[person])
    splits = split_names(files if people is None else people, None if split is None else cells[split], path)
    return labelled(labels, attributes, path, files, splits, people)


def only_table(root: Path) -> Path:
    """The one CSV file in `root`. Raises DataError where there is none, or more than one."""
    tables = sorted(root.glob("*.csv"))
    if len(tables) != 1:
        found = ", ".join(path.name for path in tables) or "none"
        raise DataError(
            f"{root} must hold one CSV of labels; found {found}.", "Name the table: --table labels.csv"
        )
    return tables[0]


def labelled(
    cells: pd.DataFrame,
    attributes: Sequence[str] | None,
    path: Path,
    files: Sequence[str],
    splits: Sequence[str],
    people: Sequence[str] | None,
) -> LabelTable:
    """A table of the label columns in `cells`; arguments and errors as those of `read_csv_table`."""
    known = list(cells.columns)
    names = [known[i] for i in select_columns(attributes, known, str(path))]
    if not len(cells):
        raise DataError(f"{path} lists no images.")
    labels = cells[names].apply(lambda column: column.map(VALUES))
    bad = np.argwhere(labels.isna().to_numpy())
    if len(bad):
        row, column = bad[0]
        raise DataError(
            f"{path}: {names[column]} = {cells[names[column]].iloc[row]!r} of {files[row]} is neither 0/1 "
            "nor -1/1.",
            "If the column is no attribute, take it out, or name the ones that are: --attributes A,B.",
        )
    identities = None if people is None else number_people(people)
    return LabelTable(tuple(files), tuple(names), labels.to_numpy(np.uint8), tuple(splits), identities)


def file_names(column: pd.Series, path: Path) -> tuple[str, ...]:
    """The names with forward slashes; a DataError for one that leads out of its folder or is there twice."""
    names = tuple(str(PurePosixPath(name.replace("\\", "/"))) for name in column)
    for given, name in zip(column, names, strict=True):
        parts = PurePosixPath(name).parts
        if not parts or parts[0] == "/" or ".." in parts or given[1:2] == ":":
            raise DataError(f"{path}: {given!r} is not a file name inside the image folder.")
    twice = pd.Series(names)[pd.Series(names).duplicated()]
    if len(twice):
        raise DataError(f"{path}: {twice.iloc[0]} is named twice.")
    return names


def split_names(owners: Sequence[str], column: pd.Series | None, path: Path) -> tuple[str, ...]:
    """ "train", "val" or "test" from one of their usual names; without a column by the owners' hash."""
    if column is None:
        return tuple(map(hash_split, owners))
    found = column.str.lower().map(SPLITS)
    if found.isna().any():
        unknown = column[found.isna()].iloc[0]
        raise DataError(f"{path}: split {unknown!r} is unknown.", "Use train, val or test (or 0, 1, 2).")
    return tuple(found)


def number_people(people: Sequence[str]) -> npt.NDArray[np.int64]:
    """Person numbers: the names themselves where all are whole numbers, else 0, 1, ... in order of name."""
    try:
        return np.array([int(name) for name in people], dtype=np.int64)
    except (ValueError, OverflowError):
        return np.unique(list(people), return_inverse=True)[1].astype(np.int64)
