"""Pixels to the bytes of a file, with their metadata; also what Pillow cannot write (16-bit colour)."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo, putchunk
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from aif.runtime.errors import ImageError
from aif.runtime.image.kinds import Format

log = logging.getLogger(__name__)

# One row of samples: uint8 or uint16 (H, W, C); C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
Samples = npt.NDArray[np.unsignedinteger[Any]]

# Longest side that the format can state.
MAX_SIDE: dict[Format, int] = {"JPEG": 65_535, "WEBP": 16_383, "HEIF": 16_384, "AVIF": 32_768}

# Bytes of EXIF or XMP.
MAX_JPEG_BLOCK = 65_500

_PNG_XMP = "XML:com.adobe.xmp"

# What looks like the original. Of HEIC at x265's fastest: 53 dB, as JPEG at 95 in as many bytes.
DEFAULT_QUALITY: dict[Format, int] = {"JPEG": 95, "WEBP": 95, "AVIF": 95, "HEIF": 85}

# Of lossless files, 1 to 9. On a 1080p photo, 4 takes a third of the time of 6, for 2 to 6% more room.
COMPRESSION = 4


@dataclass(frozen=True)
class Extras:
    """What goes into a file beside its pixels: ICC profile, EXIF block beginning with "Exif\\0\\0", dots per
    inch across and down, how the picture was coded when read, as keywords of the writer for its format,
    and XMP.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    coding: Mapping[str, Any] = field(default_factory=dict)
    xmp: bytes | None = None


def encode_samples(samples: Samples, kind: Format, extras: Extras, quality: int | None) -> bytes:
    """The file's bytes.

    Args:
        samples: (H, W, C); uint16 only for PNG, TIFF and HEIF (which keeps 10 bits); no alpha for JPEG and
            BMP.
        extras: metadata; what the format cannot hold (EXIF in BMP) is left out.
        quality: 1 to 100 for JPEG, lossy WebP, HEIF and AVIF; None = as a JPEG was coded when read, else
            what looks like the original.

    Raises:
        ImageError: the format cannot hold a picture of this size.
    """
    height, width = samples.shape[:2]
    limit = MAX_SIDE.get(kind)
    if limit is not None and max(height, width) > limit:
        raise ImageError(
            f"A {kind} picture can be at most {limit} pixels long; this one is {width} x {height}.",
            "Write it as PNG or TIFF.",
        )
    if samples.shape[2] == 2 and samples.dtype == np.uint16:  # few programs read deep grey with alpha
        samples = samples[:, :, [0, 0, 0, 1]]
    if kind == "TIFF":
        return _encode_tiff(samples, extras)
    if samples.dtype == np.uint16 and kind == "PNG":
        return _encode_png16(np.asarray(samples, dtype=np.uint16), extras)
    options = _options(samples, kind, extras, quality)
    if kind == "HEIF":
        return _encode_heif(samples, options)
    image = Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _options(samples: Samples, kind: Format, extras: Extras, quality: int | None) -> dict[str, Any]:
    """Keywords of the writer for the format."""
    metadata = {"icc_profile": extras.icc, "exif": extras.exif, "xmp": extras.xmp, "dpi": extras.dpi}
    options: dict[str, Any] = {name: data for name, data in metadata.items() if data is not None}
    if kind in DEFAULT_QUALITY:
        options["quality"] = DEFAULT_QUALITY[kind] if quality is None else quality
    if kind == "JPEG":
        options |= _jpeg_options(extras.coding, quality, samples.shape[2])
        for name in ("exif", "xmp"):
            if len(options.get(name, b"")) > MAX_JPEG_BLOCK:
                log.warning(
                    "%s of %d bytes do not fit into a JPEG and are left out.", name, len(options[name])
                )
                del options[name]
    elif kind == "WEBP":
        options["lossless"] = options["exact"] = quality is None and bool(extras.coding.get("lossless"))
    elif kind == "HEIF":  # the other presets of x265 take three times as long and more
        options |= {"enc_params": {"preset": "ultrafast"}, **extras.coding}
    elif kind == "AVIF":
        options["speed"] = 8
    elif kind == "PNG":
        options["compress_level"] = COMPRESSION
        if extras.xmp is not None:
            options["pnginfo"] = PngInfo()
            options["pnginfo"].add_itxt(_PNG_XMP, extras.xmp.decode("utf-8", "replace"))
    return options


def _encode_heif(samples: Samples, options: Mapping[str, Any]) -> bytes:
    """A HEIC file of 8 or 10 bits."""
    import pillow_heif

    height, width, channels = samples.shape
    mode = ("L", "LA", "RGB", "RGBA")[channels - 1] + (";16" if samples.dtype == np.uint16 else "")
    buffer = io.BytesIO()
    pillow_heif.encode(mode, (width, height), samples.tobytes(), buffer, **options)
    return buffer.getvalue()


def _jpeg_options(coding: Mapping[str, Any], quality: int | None, channels: int) -> dict[str, Any]:
    """The input's own quantization tables and chroma sampling when it was a JPEG of as many channels."""
    same_kind = coding.get("channels") == channels
    options: dict[str, Any] = {"progressive": bool(coding.get("progressive", False))}
    if channels == 3:
        options["subsampling"] = coding["subsampling"] if same_kind else "4:4:4"
    if quality is None and same_kind and coding.get("qtables"):
        options |= {"qtables": coding["qtables"], "quality": -1}  # none but theirs
    return options


def _encode_png16(samples: npt.NDArray[np.uint16], extras: Extras) -> bytes:
    """A 16-bit PNG by OpenCV, as Pillow has no 16-bit colour; its metadata are put in behind the header."""
    ordered = samples if samples.shape[2] == 1 else samples[:, :, [2, 1, 0, 3][: samples.shape[2]]]
    _, encoded = cv2.imencode(".png", ordered, [cv2.IMWRITE_PNG_COMPRESSION, COMPRESSION])
    data, buffer = encoded.tobytes(), io.BytesIO()
    header = len(b"\x89PNG\r\n\x1a\n") + 25
    buffer.write(data[:header])
    if extras.icc is not None:
        putchunk(buffer, b"iCCP", b"ICC Profile\0\0", zlib.compress(extras.icc))
    if extras.exif is not None:
        putchunk(buffer, b"eXIf", extras.exif.removeprefix(b"Exif\0\0"))
    if extras.xmp is not None:
        putchunk(buffer, b"iTXt", _PNG_XMP.encode(), bytes(5), extras.xmp)
    if extras.dpi is not None:
        per_metre = [max(1, round(value / 0.0254)) for value in extras.dpi]
        putchunk(buffer, b"pHYs", struct.pack(">IIB", *per_metre, 1))
    buffer.write(data[header:])
    return buffer.getvalue()


def _encode_tiff(samples: Samples, extras: Extras) -> bytes:
    """A TIFF of 8 or 16 bits, losslessly compressed (Deflate with horizontal differencing).

    Pillow writes no 16-bit colour, and no EXIF into compressed files; its writer of directories is used.
    """
    height, width, channels = samples.shape
    depth = samples.dtype.itemsize * 8
    rows_per_strip = max(1, (1 << 20) // (width * channels * samples.dtype.itemsize))
    little = samples.dtype.newbyteorder("<")
    strips = []
    for top in range(0, height, rows_per_strip):
        rows = samples[top : top + rows_per_strip]
        differences = rows.astype(little)
        differences[:, 1:] = rows[:, 1:] - rows[:, :-1]
        strips.append(zlib.compress(differences.tobytes(), COMPRESSION))
    directory = ImageFileDirectory_v2(prefix=b"II")
    if extras.exif is not None:
        exif = Image.Exif()
        exif.load(extras.exif)
        for tag, value in exif.items():
            directory[tag] = value
        for sub in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            if sub in exif:
                directory[sub] = exif.get_ifd(sub)
    directory[256], directory[257] = width, height
    directory[258] = (depth,) * channels
    directory[259] = 8  # Deflate
    directory[262] = 2 if channels >= 3 else 1  # RGB or black is zero
    directory[277] = channels
    directory[278] = rows_per_strip
    directory.tagtype[273] = directory.tagtype[279] = 4  # LONG
    directory[273] = tuple(int(at) for at in np.cumsum([0, *map(len, strips[:-1])]))
    directory[279] = tuple(map(len, strips))
    directory[317] = 2  # horizontal differencing
    if extras.dpi is not None:
        directory[282], directory[283], directory[296] = *extras.dpi, 2
    if channels in (2, 4):
        directory[338] = 2  # the last sample is alpha, not multiplied in
    for tag, content in ((700, extras.xmp), (34675, extras.icc)):
        if content is not None:
            directory.tagtype[tag] = 7  # UNDEFINED
            directory[tag] = content
    buffer = io.BytesIO()
    directory.save(buffer)
    return buffer.getvalue() + b"".join(strips)


def decode_deep_bgr(data: bytes) -> npt.NDArray[np.uint16] | None:
    """16-bit colour samples (H, W, 3 or 4), BGR or BGRA, of a PNG or TIFF; None if not to be had."""
    try:
        raw = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if raw is None or raw.dtype != np.uint16 or raw.ndim != 3 or raw.shape[2] not in (3, 4):
        return None
    return np.asarray(raw, dtype=np.uint16)
