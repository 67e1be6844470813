"""The metadata that an edited picture keeps: who took it, when, where and how; no preview of before."""

from __future__ import annotations

import logging
from typing import Any

from PIL import ExifTags, Image

log = logging.getLogger(__name__)

# What the first directory of EXIF may keep: notes on the photo. Tags that lay out a TIFF's pixels are the
# writer's business, and embedded previews are left out because they show the face before the edit.
_KEPT = frozenset(
    {
        0x010E,  # ImageDescription
        0x010F,  # Make
        0x0110,  # Model
        0x011A,  # XResolution
        0x011B,  # YResolution
        0x0128,  # ResolutionUnit
        0x0131,  # Software
        0x0132,  # DateTime
        0x013B,  # Artist
        0x013C,  # HostComputer
        0x4746,  # Rating
        0x4749,  # RatingPercent
        0x8298,  # Copyright
        *range(0x9C9B, 0x9CA0),  # XPTitle, XPComment, XPAuthor, XPKeywords, XPSubject
    }
)
_WIDTH, _HEIGHT = 0xA002, 0xA003  # the picture's size, in the directory of camera settings


def kept_exif(image: Image.Image, width: int, height: int) -> bytes | None:
    """The EXIF block that the edited picture, of so many upright pixels, keeps, with orientation 1.

    The notes on the photo, its camera settings and GPS position; None when there are none, or when they are
    too damaged to be written again (logged).
    """
    try:
        source = image.getexif()
        kept = Image.Exif()
        for tag, value in source.items():
            if tag in _KEPT:
                kept[tag] = value
        for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            entries: dict[int, Any] = dict(source.get_ifd(directory))
            for tag, side in ((_WIDTH, width), (_HEIGHT, height)):
                if tag in entries:
                    entries[tag] = side
            if entries:
                kept[directory] = entries
        if not len(kept):
            return None
        kept[ExifTags.Base.Orientation] = 1
        return kept.tobytes()
    except Exception as error:  # Damaged EXIF fails in many ways; the picture itself is still good.
        log.warning("The EXIF data are damaged and will not be kept (%s).", error)
        return None


def read_orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8 of an opened image; 1 where it says none or nonsense."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Damaged EXIF fails in many ways.
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
