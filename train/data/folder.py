"""Any folder of face images with a CSV of labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aif.train.data.base import Archive, decode_rgb
from aif.train.data.tables import TableFaces, only_table, read_csv_table


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
