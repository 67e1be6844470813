"""CelebA in its official layout: aligned images of 178 x 218 px and three text files."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from aif.runtime.errors import DataError
from aif.runtime.geometry.align import similarity_transform, warp_crop
from aif.train.data.base import Archive, CorruptImageError, decode_rgb
from aif.train.data.tables import LabelTable, TableFaces, file_names, labelled, read_cells, split_names

log = logging.getLogger(__name__)

Crop = Literal["template", "authors"]

ATTRIBUTE_FILE = "list_attr_celeba.txt"
SPLIT_FILE = "list_eval_partition.txt"
IDENTITY_FILE = "identity_CelebA.txt"
IMAGES = "img_align_celeba"

WIDTH, HEIGHT, SIDE = 178, 218, 128
# Where CelebA's own alignment puts the five landmarks: the median of a face detector's (YuNet's) points over
# 1,200 of its images, made symmetric about x = 88.7.
LANDMARKS = np.array(
    [[68.9, 112.5], [108.5, 112.5], [88.7, 135.1], [72.0, 152.0], [105.4, 152.0]], dtype=np.float32
)


def find_celeba(root: Path) -> Path | None:
    """The folder below `root` that holds CelebA's attribute list, or None."""
    return next((p for p in (root, root / "Anno") if (p / ATTRIBUTE_FILE).is_file()), None)


class CelebAFaces(TableFaces):
    """The images of one split that are both listed and there.

    Args:
        root: the folder with the text files and `img_align_celeba/` or `img_align_celeba.zip`; also with
            the sub-folders Anno, Eval and Img, as it is downloaded.
        crop: "template" moves the images to aif's landmark template, by one fixed similarity for all, and
            gives 128 px; "authors" cuts the middle 178 x 178 px, as the method's authors did.

    Raises DataError where a text file is missing or malformed, or the split has no image,
    UnknownAttributeError where there is no such attribute.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        attributes: Sequence[str] | None = None,
        *,
        crop: Crop = "template",
    ) -> None:
        self._images = CelebAImages(root)
        table = read_celeba_table(root, attributes)
        fix = f"Put CelebA's aligned images into {root / IMAGES}, or name another split."
        there = self._images.__contains__
        super().__init__(f"celeba-{crop}", table, split, there, self._images.place, fix)
        self._crop = crop
        self._matrix = similarity_transform(LANDMARKS, SIDE)

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        name = self.files[index]
        pixels = decode_rgb(self._images.read(name), name)
        if pixels.shape != (HEIGHT, WIDTH, 3):
            height, width = pixels.shape[:2]
            raise CorruptImageError(f"{name} ({width} x {height} px, not {WIDTH} x {HEIGHT})")
        if self._crop == "authors":
            top = (HEIGHT - WIDTH) // 2
            return pixels[top : top + WIDTH]
        return warp_crop(pixels, self._matrix, SIDE)


class CelebAImages:
    """The aligned images, from the folder or the zip. `place` is where they were found."""

    def __init__(self, root: Path) -> None:
        folders = [root / IMAGES / IMAGES, root / "Img" / IMAGES, root / IMAGES]
        for place in (*folders, root / f"{IMAGES}.zip", root / "Img" / f"{IMAGES}.zip"):
            if place.exists():
                self._archive = Archive(place)
                self._members = {Path(name).name: name for name in self._archive.names()}
                if any(name.endswith((".jpg", ".png")) for name in self._members):
                    self.place = place
                    return
        raise DataError(f"There are no CelebA images in {root}.", f"Looked for {IMAGES}/ and {IMAGES}.zip.")

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str) -> bytes:
        """The bytes of one image. Raises CorruptImageError when they cannot be had."""
        return self._archive.read(self._members.get(name, name))


def read_celeba_table(root: Path, attributes: Sequence[str] | None = None) -> LabelTable:
    """Read the labels, splits and (where there) identities of the official layout; errors as `CelebAFaces`.

    Without `list_eval_partition.txt`, `hash_split` decides the split, by person where known.
    """
    place = find_celeba(root)
    if place is None:
        raise DataError(f"There is no {ATTRIBUTE_FILE} in {root}.")
    path = place / ATTRIBUTE_FILE
    with path.open(encoding="utf-8", errors="replace") as file:
        count, names = file.readline(), file.readline().split()
    if not names or not count.strip().isdigit():
        raise DataError(f"{path}: line 1 must be the number of images, line 2 the attributes' names.")
    cells = read_cells(path, r"\s+", ["file", *names], skip=2)
    files = file_names(cells["file"], path)
    people, splits_of = _pairs(root, IDENTITY_FILE), _pairs(root, SPLIT_FILE)
    # Somebody unknown is somebody else: -1 - position never equals a person's number.
    numbers = None if people is None else [people.get(name, str(-1 - i)) for i, name in enumerate(files)]
    if splits_of is None:
        splits = split_names(files if numbers is None else numbers, None, path)
    else:
        known = dict(zip(splits_of, split_names((), pd.Series(splits_of), root / SPLIT_FILE), strict=True))
        splits = tuple(known.get(name, "") for name in files)
        if "" in splits:
            log.warning("%d images of %s are in no split of %s", splits.count(""), path, SPLIT_FILE)
    return labelled(cells.drop(columns="file"), attributes, path, files, splits, numbers)


def _pairs(root: Path, name: str) -> dict[str, str] | None:
    """A text file of two columns, as a dictionary; None when there is no such file."""
    path = next((p / name for p in (root, root / "Eval", root / "Anno") if (p / name).is_file()), None)
    if path is None:
        return None
    cells = read_cells(path, r"\s+", ["file", "value"])
    if (cells["value"] == "").any():
        raise DataError(f"{path}: a line has only one value.")
    return dict(zip(cells["file"], cells["value"], strict=True))
