"""The metadata that an edited picture keeps: who took it, when, where and how; no preview of before."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from typing import Any
from xml.dom import minidom

from PIL import ExifTags, Image

from aif.runtime.image.codecs import Extras

log = logging.getLogger(__name__)

# What the first directory of EXIF may keep: notes on the photo. Tags that lay out a TIFF's pixels are the
# writer's business, and embedded previews are left out because they show the face before the edit.
_KEPT = frozenset(
    ExifTags.Base[name]
    for name in (
        *("ImageDescription", "Make", "Model", "XResolution", "YResolution", "ResolutionUnit", "Software"),
        *("DateTime", "Artist", "HostComputer", "Rating", "RatingPercent", "Copyright"),
        *("XPTitle", "XPComment", "XPAuthor", "XPKeywords", "XPSubject"),
    )
)
# XMP by "namespace name": what is no longer so in the edited picture. Previews and depth show the face before
# the edit; gain map, film and further XMP stood behind it and are not written; it is upright already.
_STALE_XMP = re.compile(
    r"http://ns\.google\.com/photos/1\.0/(?!panorama/).*|.*(hdr-gain-map|HDRGainMap|pixeldatainfo|xmp/note)/.*"
    r"|.*/tiff/1\.0/ Orientation|.* Thumbnails"
)
_REGIONS = re.compile(r".*/schemas/regions/.*")  # of faces, which lie elsewhere in a picture that is turned
_PLACES = re.compile(r".* (GPS.*|Location.*|City|State|Country|CountryCode)")


def kept_exif(image: Image.Image, width: int, height: int) -> bytes | None:
    """The EXIF block that the edited picture, of so many upright pixels, keeps: notes on the photo, camera
    settings, GPS position, orientation 1. None without any, or where they are too damaged (logged).
    """
    try:
        source = image.getexif()
        kept = Image.Exif()
        for tag, value in source.items():
            if tag in _KEPT:
                kept[tag] = value
        for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            entries: dict[int, Any] = dict(source.get_ifd(directory))
            for tag, side in ((ExifTags.Base.ExifImageWidth, width), (ExifTags.Base.ExifImageHeight, height)):
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


def kept_xmp(image: Image.Image) -> bytes | None:
    """The XMP packet that the edited picture keeps; None when there is none, or it is damaged (logged)."""
    data = image.info.get("xmp")
    if not isinstance(data, bytes) or not data.strip(b"\0 "):
        return None
    kept = _without(data, _STALE_XMP)
    return kept if kept is None or read_orientation(image) == 1 else _without(kept, _REGIONS)


def without_location(extras: Extras) -> Extras:
    """The same metadata without GPS position and names of places."""
    exif = Image.Exif()
    exif.load(extras.exif or b"")
    exif.pop(ExifTags.IFD.GPSInfo, None)
    return replace(
        extras,
        exif=exif.tobytes() if len(exif) else None,
        xmp=None if extras.xmp is None else _without(extras.xmp, _PLACES),
    )


def _without(xmp: bytes, unwanted: re.Pattern[str]) -> bytes | None:
    """The packet without the properties whose "namespace name" is unwanted; None if damaged (logged)."""
    try:
        if b"<!DOCTYPE" in xmp:
            raise ValueError("it defines entities")
        document = minidom.parseString(xmp.strip(b"\0 "))
    except Exception as error:  # expat's, and those of a text that is no UTF-8
        log.warning("The XMP data are damaged and will not be kept (%s).", error)
        return None
    for element in document.getElementsByTagName("*"):
        for attribute in list(element.attributes.values()):
            if unwanted.fullmatch(f"{attribute.namespaceURI} {attribute.localName}"):
                element.removeAttributeNode(attribute)
        if element.parentNode and unwanted.fullmatch(f"{element.namespaceURI} {element.localName}"):
            element.parentNode.removeChild(element)
    return b"".join(node.toxml("utf-8") for node in document.childNodes)


def read_orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8 of an opened image; 1 where it says none or nonsense."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Damaged EXIF fails in many ways.
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(samples: Any, orientation: int) -> Any:
    """Turn (H, W, ...) samples as EXIF `orientation` (1 to 8) asks; a view where possible."""
    if orientation >= 5:  # rows and columns are exchanged
        samples = samples.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return samples
