"""Aligned faces with hair masks: `NAME.webp` (.png, .jpg) beside `NAME_hair.png`, a zip or folder a split."""

from __future__ import annotations

import logging
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.errors import DataError
from aif.train.data.archive import Archive
from aif.train.data.augment import resize_crop
from aif.train.data.base import CorruptImageError, decode_rgb

log = logging.getLogger(__name__)

IMAGES = (".webp", ".png", ".jpg", ".jpeg")
MASK = "_hair.png"
LAYOUT = f"Looked for train.zip and val.zip (or folders train/ and val/) with NAME.webp beside NAME{MASK}."


class HairPairs:
    """The pairs of one split, in the order of their names. Decodes on demand.

    Args:
        root: the folder with `train.zip` and `val.zip`, or with folders `train` and `val` that hold the same.
        split: "train", "val" or any other name.

    Attributes:
        name: short name for logs.
        names: the images' names, one a pair.

    Raises:
        DataError: the split is not there, cannot be opened, holds no pair, or an image without its mask.
    """

    def __init__(self, root: Path, split: str) -> None:
        self.name = f"{root.resolve().name}/{split}"
        place = next((p for p in (root / f"{split}.zip", root / split) if p.exists()), None)
        if place is None:
            raise DataError(f"{root} has no hair masks for {split!r}.", LAYOUT)
        self._archive = Archive(place)
        there = self._archive.names()
        known = set(there)
        self.names = sorted(n for n in there if _is_image(n))
        alone = [name for name in self.names if _mask_of(name) not in known]
        if alone:
            raise DataError(
                f"{len(alone)} of {len(self.names)} images in {place} have no mask: {alone[0]}, ...",
                f"Its mask would be {_mask_of(alone[0])}.",
            )
        if not self.names:
            raise DataError(f"{place} holds no images with hair masks.", LAYOUT)

    def __len__(self) -> int:
        return len(self.names)

    def pair(self, index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Image uint8 (S, S, 3) RGB and mask uint8 (S, S), 255 = hair.

        Raises:
            CorruptImageError: one of the two cannot be read, they differ in size, or are not square.
        """
        name = self.names[index]
        image = decode_rgb(self._archive.read(name), name)
        data = self._archive.read(_mask_of(name))
        mask = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data else None
        if mask is None:
            raise CorruptImageError(_mask_of(name))
        if mask.shape != image.shape[:2] or mask.shape[0] != mask.shape[1]:
            raise CorruptImageError(f"{name} (image {image.shape[:2]}, mask {mask.shape}: not one square)")
        return image, np.asarray(mask, dtype=np.uint8)

    def arrays(self, size: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """All pairs at `size` px: uint8 (N, size, size, 3) RGB and (N, size, size), 255 = hair.

        Unreadable pairs are named in the log and left out.

        Raises:
            DataError: more than 1% (and more than 10) are unreadable, or all.
        """
        images, masks, corrupt = [], [], []
        for index in range(len(self)):
            try:
                image, mask = self.pair(index)
            except CorruptImageError as error:
                log.warning("cannot read %s; it is left out", error.name)
                corrupt.append(error.name)
                continue
            images.append(resize_crop(image, size))
            masks.append(resize_crop(mask, size))
        if len(corrupt) > max(10, len(self) // 100) or not images:
            raise DataError(
                f"{len(corrupt)} pairs of {self.name} cannot be read, {corrupt[0]} for one.", LAYOUT
            )
        return np.stack(images), np.stack(masks)


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGES and not name.endswith(MASK)


def _mask_of(name: str) -> str:
    return str(PurePosixPath(name).with_suffix("")) + MASK
