"""Find out how a folder of faces is laid out, and open it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from aif.runtime.errors import DataError

if TYPE_CHECKING:  # what a folder lacks is said before pandas and OpenCV are loaded
    from aif.train.data.base import FaceDataset
    from aif.train.data.celeba import Crop

Split = Literal["train", "val", "test"]
Layout = Literal["synthetic", "packed", "celeba", "folder"]

SYNTHETIC_TRAIN, SYNTHETIC_VAL = 20_000, 2_000


def find_layout(data: Path | str | None, table: Path | None = None) -> Layout:
    """Which of the layouts `data` has; a DataError that says what was looked for where it has none."""
    if data is None or str(data) == "synthetic":
        return "synthetic"
    root = Path(data)
    if not root.is_dir():
        raise DataError(
            f"There is no folder {root}." if not root.exists() else f"{root} is not a folder.",
            "Give a folder of faces, or leave it out (or say `synthetic`) for drawn faces.",
        )
    if table is not None:
        return "folder"
    from aif.train.data.celeba import ATTRIBUTE_FILE, find_celeba

    if (root / "labels.csv").is_file() and "shard" in _header(root / "labels.csv"):
        return "packed"
    if find_celeba(root) is not None:
        return "celeba"
    if any(root.glob("*.csv")):
        return "folder"
    raise DataError(
        f"{root} holds no faces in a layout known to aif.",
        f"Looked for labels.csv with zip shards (made by `aif prepare`), {ATTRIBUTE_FILE} (CelebA), "
        "and a CSV of labels beside images.",
    )


def open_faces(
    data: Path | str | None,
    split: Split,
    attributes: Sequence[str] | None = None,
    *,
    table: Path | None = None,
    crop: Crop = "template",
    image_size: int = 64,
) -> FaceDataset:
    """Open the faces of one split, whatever their layout.

    Args:
        data: a folder of packed faces, of CelebA, of images with a CSV; None or "synthetic" for drawn ones.
        attributes: which columns y has, in this order; None for all.
        table: the CSV, when `data` is a folder of images and holds none or several.
        image_size: side of synthetic faces in pixels (others keep theirs; the loader resizes).

    Raises DataError where nothing known is there, or it is damaged, UnknownAttributeError where an attribute
    is not among those there.
    """
    layout = find_layout(data, table)
    from aif.train.data.celeba import CelebAFaces
    from aif.train.data.packed import PackedFaces
    from aif.train.data.synthetic import VALIDATION_START, SyntheticFaces
    from aif.train.data.tables import FolderFaces

    if layout == "synthetic":
        start = {"train": 0, "val": VALIDATION_START, "test": 2 * VALIDATION_START}[split]
        count = SYNTHETIC_TRAIN if split == "train" else SYNTHETIC_VAL
        return SyntheticFaces(count, image_size, attributes=attributes, first=start)
    root = Path(str(data))
    if layout == "packed":
        return PackedFaces(root, split, attributes)
    if layout == "celeba":
        return CelebAFaces(root, split, attributes, crop=crop)
    return FolderFaces(root, split, attributes, table)


def _header(path: Path) -> list[str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a readable CSV file: {error}") from error
