"""CelebA in its official layout: aligned images of 178 x 218 px and three text files."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from aif.runtime.errors import ConfigError, DataError
from aif.runtime.geometry.align import similarity_transform, warp_crop
from aif.train.data.archive import ZipReader
from aif.train.data.base import CorruptImageError, FaceDataset, decode_rgb, select_columns
from aif.train.data.tables import LabelTable, check_file_name, hash_split, parse_label, parse_split

log = logging.getLogger(__name__)

Crop = Literal["template", "authors", "whole"]

ATTRIBUTE_FILE = "list_attr_celeba.txt"
SPLIT_FILE = "list_eval_partition.txt"
IDENTITY_FILE = "identity_CelebA.txt"
IMAGES = "img_align_celeba"

WIDTH, HEIGHT = 178, 218
# Where CelebA's own alignment puts the five landmarks: the median of a face detector's (YuNet's) points over
# 1,200 of its images, made symmetric about x = 88.7.
LANDMARKS = np.array(
    [[68.9, 112.5], [108.5, 112.5], [88.7, 135.1], [72.0, 152.0], [105.4, 152.0]], dtype=np.float32
)


def find_celeba(root: Path) -> Path | None:
    """The folder below `root` that holds CelebA's attribute list, or None."""
    return next((p for p in (root, root / "Anno") if (p / ATTRIBUTE_FILE).is_file()), None)


class CelebAFaces(FaceDataset):
    """The images of one split that are both listed and there.

    Args:
        root: the folder with the text files and `img_align_celeba/` or `img_align_celeba.zip`; also with
            the sub-folders Anno, Eval and Img, as it is downloaded.
        split: "train", "val" or "test".
        attributes: which columns y has, in this order; None for all 40.
        crop: "template" moves the images to aif's landmark template, by one fixed similarity for all, and
            gives `size` px; "authors" cuts the middle 178 x 178 px, as the method's authors did; "whole" cuts
            nothing.
        size: side of a template crop in pixels. The images hold 136 px of detail there.

    Attributes:
        missing: listed images of the split that are not there.

    Raises:
        DataError: a text file is missing or malformed (with the line's number), or the split has no image.
        UnknownAttributeError: there is no such attribute.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        attributes: Sequence[str] | None = None,
        *,
        crop: Crop = "template",
        size: int = 128,
    ) -> None:
        if crop not in get_args(Crop):
            raise ConfigError(f"There is no crop {crop!r}.", f"Use one of {', '.join(get_args(Crop))}.")
        self.name = f"celeba-{crop}"
        self._images = CelebAImages(root)
        table = read_celeba_table(root, attributes)
        mine = [i for i, name in enumerate(table.splits) if name == split]
        there = [i for i in mine if table.files[i] in self._images]
        self.missing = len(mine) - len(there)
        if not there:
            raise DataError(
                f"{self._images.place} holds none of the {len(mine)} images of split {split!r}.",
                f"Put CelebA's aligned images into {root / IMAGES}, or name another split.",
            )
        if self.missing:
            log.warning("%d of %d images of split %s are not in %s", self.missing, len(mine), split, root)
        kept = table.rows(there)
        self._files = kept.files
        self.attributes, self.labels, self.identities = kept.attributes, kept.labels, kept.identities
        self.fingerprint = kept.fingerprint()
        self._crop, self._size = crop, size
        self._matrix = similarity_transform(LANDMARKS, size)

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        name = self._files[index]
        pixels = decode_rgb(self._images.read(name), name)
        if pixels.shape != (HEIGHT, WIDTH, 3):
            raise CorruptImageError(
                f"{name} ({pixels.shape[1]} x {pixels.shape[0]} px, not {WIDTH} x {HEIGHT})"
            )
        if self._crop == "whole":
            return pixels
        if self._crop == "authors":
            top = (HEIGHT - WIDTH) // 2
            return pixels[top : top + WIDTH]
        return warp_crop(pixels, self._matrix, self._size)

    def file_name(self, index: int) -> str:
        return self._files[index]


class CelebAImages:
    """The aligned images, from the folder or the zip. `place` is where they were found."""

    def __init__(self, root: Path) -> None:
        self._zips = ZipReader()
        folders = [root / IMAGES, root / "Img" / IMAGES, root / IMAGES / IMAGES]
        archives = [root / f"{IMAGES}.zip", root / "Img" / f"{IMAGES}.zip"]
        for folder in reversed(folders):
            if folder.is_dir():
                names = {path.name for path in folder.iterdir()}
                if any(name.endswith((".jpg", ".png")) for name in names):
                    self.place, self._members = folder, {name: name for name in names}
                    return
        for archive in archives:
            if archive.is_file():
                self.place = archive
                self._members = {Path(name).name: name for name in _zip_names(archive)}
                return
        raise DataError(f"There are no CelebA images in {root}.", f"Looked for {IMAGES}/ and {IMAGES}.zip.")

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str) -> bytes:
        """The bytes of one image. Raises CorruptImageError when they cannot be had."""
        if self.place.suffix == ".zip":
            return self._zips.read(self.place, self._members[name])
        try:
            return (self.place / self._members[name]).read_bytes()
        except (OSError, KeyError) as error:
            raise CorruptImageError(f"{name} ({error})") from error


def read_celeba_table(root: Path, attributes: Sequence[str] | None = None) -> LabelTable:
    """Read the labels, splits and (where there) identities of the official layout.

    Without `list_eval_partition.txt`, `hash_split` decides the split, by person where known.

    Raises:
        DataError: the attribute list is missing, or a file is malformed (with the line's number).
        UnknownAttributeError: there is no such attribute.
    """
    place = find_celeba(root)
    if place is None:
        raise DataError(f"There is no {ATTRIBUTE_FILE} in {root}.")
    path = place / ATTRIBUTE_FILE
    lines = _lines(path)
    header = lines[1].split() if len(lines) > 1 else []
    if len(header) < 1 or not lines[0].strip().isdigit():
        raise DataError(f"{path}: line 1 must be the number of images, line 2 the attributes' names.")
    columns = select_columns(attributes, header, str(path))
    files: dict[str, int] = {}
    labels: list[list[int]] = []
    for number, line in enumerate(lines[2:], start=3):
        fields = line.split()
        if not fields:
            continue
        where = f"{path}, line {number}"
        if len(fields) != len(header) + 1:
            raise DataError(f"{where}: {len(fields) - 1} values, but {len(header)} attributes.")
        if fields[0] in files:
            raise DataError(f"{where}: {fields[0]} was named before, in line {files[fields[0]]}.")
        files[check_file_name(fields[0], where)] = number
        labels.append([parse_label(fields[c + 1], header[c], where) for c in columns])
    if not files:
        raise DataError(f"{path} lists no images.")

    people_of = _pairs(root, IDENTITY_FILE)
    split_of = _pairs(root, SPLIT_FILE)
    names = tuple(files)
    identities: npt.NDArray[np.int64] | None = None
    if people_of is not None:
        try:
            # Somebody unknown is somebody else: -1 - position never equals a person's number.
            identities = np.array(
                [int(people_of.get(n, -1 - i)) for i, n in enumerate(names)], dtype=np.int64
            )
        except ValueError as error:
            raise DataError(
                f"{IDENTITY_FILE} in {root}: a person's number is not whole ({error})."
            ) from error
    if split_of is None:
        splits = [hash_split(n if people_of is None else str(people_of.get(n, n))) for n in names]
    else:
        splits = [parse_split(split_of[n], f"{SPLIT_FILE}, {n}") if n in split_of else "" for n in names]
        lost = splits.count("")
        if lost:
            log.warning("%d images of %s are in no split of %s", lost, path, SPLIT_FILE)
    return LabelTable(
        files=names,
        attributes=tuple(header[c] for c in columns),
        labels=np.array(labels, dtype=np.uint8).reshape(len(names), len(columns)),
        splits=tuple(splits),
        identities=identities,
    )


def _pairs(root: Path, name: str) -> dict[str, str] | None:
    """A text file of two columns, as a dictionary; None when there is no such file."""
    path = next((p / name for p in (root, root / "Eval", root / "Anno") if (p / name).is_file()), None)
    if path is None:
        return None
    pairs: dict[str, str] = {}
    for number, line in enumerate(_lines(path), start=1):
        fields = line.split()
        if fields and len(fields) != 2:
            raise DataError(f"{path}, line {number}: {len(fields)} values instead of 2.")
        if fields:
            pairs[fields[0]] = fields[1]
    return pairs


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a readable text file: {error}") from error


def _zip_names(archive: Path) -> list[str]:
    try:
        with zipfile.ZipFile(archive) as file:
            return [name for name in file.namelist() if not name.endswith("/")]
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{archive} is no whole zip file: {error}.", "Download it again.") from error
