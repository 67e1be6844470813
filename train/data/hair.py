"""Aligned faces with hair masks: `NAME.webp` (.png, .jpg) beside `NAME_hair.png`, a zip or folder a split."""

from __future__ import annotations

import logging
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from aif.runtime.errors import DataError
from aif.train.data.augment import resize_crop
from aif.train.data.base import Archive, CorruptImageError, decode_rgb

log = logging.getLogger(__name__)

IMAGES = (".webp", ".png", ".jpg", ".jpeg")
MASK = "_hair.png"
LAYOUT = f"Looked for train.zip and val.zip (or folders train/ and val/) with NAME.webp beside NAME{MASK}."


def read_hair_pairs(root: Path, split: str, size: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """All pairs of one split at `size` px: uint8 (N, size, size, 3) RGB and (N, size, size), 255 = hair.

    They lie in `root`, in SPLIT.zip or a folder SPLIT, and come in the order of their names. Unreadable pairs
    are named in the log and left out. Raises DataError where the split is not there, cannot be opened, holds
    no pair, or an image without its mask; or more than 1% (and more than 10) are unreadable, or all.
    """
    place = next((p for p in (root / f"{split}.zip", root / split) if p.exists()), None)
    if place is None:
        raise DataError(f"{root} has no hair masks for {split!r}.", LAYOUT)
    archive = Archive(place)
    there = set(archive.names())
    names = sorted(filter(_is_image, there))
    alone = [name for name in names if _mask_of(name) not in there]
    if alone:
        raise DataError(
            f"{len(alone)} of {len(names)} images in {place} have no mask: {alone[0]}, ...",
            f"Its mask would be {_mask_of(alone[0])}.",
        )
    if not names:
        raise DataError(f"{place} holds no images with hair masks.", LAYOUT)
    pairs, corrupt = [], []
    for name in names:
        try:
            pairs.append([resize_crop(picture, size) for picture in _pair(archive, name)])
        except CorruptImageError as error:
            log.warning("cannot read %s; it is left out", error)
            corrupt.append(name)
    if len(corrupt) > max(10, len(names) // 100) or not pairs:
        raise DataError(f"{len(corrupt)} pairs of {place} cannot be read, {corrupt[0]} for one.", LAYOUT)
    images, masks = zip(*pairs, strict=True)
    return np.stack(images), np.stack(masks)


def _pair(archive: Archive, name: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    image = decode_rgb(archive.read(name), name)
    mask = decode_rgb(archive.read(_mask_of(name)), _mask_of(name))[..., 0]
    if mask.shape != image.shape[:2] or mask.shape[0] != mask.shape[1]:
        raise CorruptImageError(f"{name} (image {image.shape[:2]}, mask {mask.shape}: not one square)")
    return image, mask


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGES and not name.endswith(MASK)


def _mask_of(name: str) -> str:
    return str(PurePosixPath(name).with_suffix("")) + MASK
