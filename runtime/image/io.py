"""Read and write picture files, and the demo portrait."""

from __future__ import annotations

import importlib.util
import logging
import os
from dataclasses import replace
from pathlib import Path

from aif.runtime import files
from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import ImageError
from aif.runtime.image.codecs import encode_samples
from aif.runtime.image.decode import decode_picture
from aif.runtime.image.kinds import Format
from aif.runtime.image.picture import Picture

log = logging.getLogger(__name__)

# Larger pictures are refused unless the caller raises the limit: a file of a few kilobytes can claim a size
# that fills any memory. 200 megapixels take 0.6 GB a copy.
DEFAULT_MAX_MEGAPIXELS = 200.0

HDR = (16, 18)
"""The transfers PQ and HLG, by their numbers in H.273."""


def read_image(
    source: str | os.PathLike[str] | bytes,
    name: str | None = None,
    max_megapixels: float | None = DEFAULT_MAX_MEGAPIXELS,
) -> Picture:
    """Read a picture in one of `aif.runtime.image.kinds.FORMATS`.

    Args:
        source: a path, or the file's bytes.
        name: what to call it in messages; None = the path.
        max_megapixels: larger pictures are refused; None = no limit.

    Raises:
        UnsupportedImageError: no picture, animated, or of a kind that aif does not read.
        ImageTooLargeError: more pixels than the limit, or than memory holds.
        ImageError: missing, empty, damaged or cut short.
    """
    if isinstance(source, bytes):
        return decode_picture(source, name or "the picture", max_megapixels)
    return decode_picture(read_bytes(Path(source)), name or str(source), max_megapixels)


def read_bytes(path: Path) -> bytes:
    """A file's bytes; ImageError where it is missing (with the nearest names), a folder, or not readable."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise files.missing_file(path) from error
    except IsADirectoryError as error:
        raise ImageError(f"{path} is a folder, not a picture.") from error
    except (OSError, ValueError) as error:
        raise ImageError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}.") from error


def encode_image(
    picture: Picture, pixels_hwc_bgr: UInt8Array, kind: Format | None = None, quality: int | None = None
) -> bytes:
    """The bytes of an edited picture, of the same kind as it was read.

    Kept: transparency, 10 to 16 bits a channel (see `Picture.samples`), grey or colour, ICC profile, EXIF,
    XMP, resolution, and a JPEG's quantization tables and chroma sampling. Comments, embedded previews and
    further pictures in the file (depth, gain map of HDR) are not kept.

    Args:
        pixels_hwc_bgr: uint8, the edited pixels, of the picture's size.
        quality: 1 to 100 for JPEG, WebP, HEIF and AVIF; None = as the picture was coded, else what looks like
            the original.

    Raises:
        ImageError: the format cannot hold a picture of this size.
        ValueError: the pixels have another size than the picture.
    """
    if pixels_hwc_bgr.shape != picture.pixels_hwc_bgr.shape:
        raise ValueError(f"pixels {pixels_hwc_bgr.shape} do not fit {picture.pixels_hwc_bgr.shape}")
    kind = kind or picture.format
    extras = picture.extras if kind == picture.format else replace(picture.extras, coding={})
    if picture.format == "HEIF" != kind and picture.extras.coding.get("transfer_characteristics") in HDR:
        log.warning("%s is HDR, which %s files do not say: its colours will look pale.", picture.name, kind)
    if picture.channels == 1 and kind == "WEBP":  # three channels there, which a grey profile does not fit
        extras = replace(extras, icc=None)
    return encode_samples(picture.samples(pixels_hwc_bgr, kind), kind, extras, quality)


def write_bytes(path: Path, data: bytes, new: bool = False) -> None:
    """`aif.runtime.files.write_bytes` with an ImageError where the place cannot be written."""
    try:
        files.write_bytes(path, data, new)
    except OSError as error:
        raise ImageError(
            f"Cannot write {path}: {error.strerror or error}.", "Choose another place with --out."
        ) from error


def demo_picture() -> Picture:
    """The public-domain portrait of Eileen Collins, 512 x 512 px; ImageError without scikit-image."""
    found = importlib.util.find_spec("skimage")
    place = Path(found.origin).parent / "data" / "astronaut.png" if found and found.origin else None
    if place is None or not place.is_file():
        raise ImageError(
            "The demo portrait comes with scikit-image, which is not installed.",
            'Install it with: pip install "aif[demo]"',
        )
    return replace(read_image(place), name="demo")
