"""The bytes of a picture file to a `Picture`; every damaged or hostile file ends in one clear error."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pillow_heif
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    Image,
    ImageCms,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import ImageError, ImageTooLargeError, UnsupportedImageError
from aif.runtime.image.codecs import Extras, Samples, decode_deep_bgr
from aif.runtime.image.kinds import SUPPORTED, Format, sniff_format
from aif.runtime.image.meta import kept_exif, kept_xmp, read_orientation, upright
from aif.runtime.image.picture import Picture, UInt16Array, to_8_bit

log = logging.getLogger(__name__)

# Not by `Image.open`, whose size limit is one for the whole process; `_check_size` has ours.
_OPENERS: dict[Format, Callable[[io.BytesIO], Image.Image]] = {
    "JPEG": JpegImagePlugin.jpeg_factory,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "HEIF": pillow_heif.HeifImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
}
_COPY_AGAIN = "Copy or download it again, or open and save it in another program."


def decode_picture(data: bytes, name: str, max_megapixels: float | None) -> Picture:
    """Decode the bytes of a picture file, `name` in messages; arguments and errors as `read_image`."""
    kind = sniff_format(data, name)
    try:
        image = _OPENERS[kind](io.BytesIO(data))
    except Exception as error:  # Pillow's plugins raise many kinds on damaged headers.
        raise ImageError(
            f"{name} begins like a {kind} file but is damaged, or is of an uncommon kind.", _COPY_AGAIN
        ) from error
    with image:
        _check_size(image, name, max_megapixels)
        try:
            _check_frames(image, kind, name)
            image.load()
            return _to_picture(image, data, kind, name)
        except ImageError:
            raise
        except MemoryError as error:
            raise ImageTooLargeError(
                f"{name} ({image.width} x {image.height}) does not fit into memory.", "Shrink it first."
            ) from error
        except Exception as error:  # And as many on damaged data.
            detail = str(error) or type(error).__name__
            reason = "is cut short" if "truncat" in str(error).lower() else "is damaged"
            raise ImageError(f"{name} {reason} ({detail}).", _COPY_AGAIN) from error


def _check_frames(image: Image.Image, kind: Format, name: str) -> None:
    # HEIC files may hold further pictures, as JPEGs do. They are not counted, which takes Pillow a time that
    # grows with the square of their number.
    if kind not in ("JPEG", "HEIF") and getattr(image, "is_animated", False):
        what = "pages" if kind == "TIFF" else "frames of an animation"
        raise UnsupportedImageError(
            f"{name} holds several {what}; aif edits single pictures.",
            f"Save the one you want as a file of its own. {SUPPORTED}",
        )


def _check_size(image: Image.Image, name: str, max_megapixels: float | None) -> None:
    megapixels = image.width * image.height / 1e6
    if max_megapixels is not None and megapixels > max_megapixels:
        raise ImageTooLargeError(
            f"{name} is {image.width} x {image.height} = {megapixels:.0f} megapixels, above the limit of "
            f"{max_megapixels:g}.",
            f"Shrink it, or raise the limit: --max-megapixels {int(megapixels) + 1} "
            f"(about {max(1, round(megapixels * 12e-3))} GB of memory).",
        )


def _to_picture(image: Image.Image, data: bytes, kind: Format, name: str) -> Picture:
    orientation = read_orientation(image)
    deep, alpha = _deep_samples(image, data, kind, name, orientation)
    if deep is not None:
        channels = deep.shape[2]
        pixels = np.repeat(to_8_bit(deep), 3, axis=2) if channels == 1 else to_8_bit(deep)
    else:
        samples = upright(_plain_samples(image, name), orientation)
        if samples.shape[2] in (2, 4):
            alpha = np.ascontiguousarray(samples[:, :, -1])
        channels = 1 if samples.shape[2] <= 2 else 3
        colour = np.ascontiguousarray(samples[:, :, :1] if channels == 1 else samples)
        to_bgr = cv2.COLOR_GRAY2BGR if channels == 1 else cv2.COLOR_RGB2BGR
        pixels = np.asarray(cv2.cvtColor(colour, to_bgr), dtype=np.uint8)
    icc = image.info.get("icc_profile")
    return Picture(
        name=name,
        pixels_hwc_bgr=pixels,
        alpha_hw=alpha,
        deep_hwc=deep,
        channels=channels,
        is_grey=channels == 1 or _shows_no_colour(pixels),
        format=kind,
        extras=Extras(
            icc=icc if isinstance(icc, bytes) and icc and image.mode != "CMYK" else None,
            exif=kept_exif(image, pixels.shape[1], pixels.shape[0]),
            xmp=kept_xmp(image),
            dpi=_resolution(image),
            coding=_coding(image, data, kind),
        ),
    )


def _plain_samples(image: Image.Image, name: str) -> UInt8Array:
    """8-bit samples (H, W, C): grey, grey and alpha, RGB, or RGB and alpha; not yet upright."""
    mode = image.mode
    transparent = bool(image.has_transparency_data)
    if mode == "CMYK":
        image, wanted = _cmyk_to_rgb(image), "RGB"
    elif mode in ("1", "L", "LA", "La"):
        wanted = "LA" if transparent else "L"
    elif mode in ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr"):
        wanted = "RGBA" if transparent else "RGB"
    else:
        raise UnsupportedImageError(
            f"{name} stores its pixels as {_MODES.get(mode, mode)}, which aif does not read.",
            "Save it as 8-bit or 16-bit grey or RGB.",
        )
    samples = np.asarray(image if image.mode == wanted else image.convert(wanted), dtype=np.uint8)
    return samples[:, :, None] if samples.ndim == 2 else samples


# How HEIC says which colours its values mean, as keywords of its writer.
_COLOURS = ("color_primaries", "transfer_characteristics", "matrix_coefficients", "full_range_flag")

_MODES = {"I": "32-bit whole numbers", "F": "floating point", "LAB": "CIE Lab", "HSV": "hue and saturation"}


def _cmyk_to_rgb(image: Image.Image) -> Image.Image:
    """Print colours to sRGB, by the picture's own profile where it has one that works."""
    profile, srgb = image.info.get("icc_profile"), ImageCms.createProfile("sRGB")
    if profile:
        try:
            converted = ImageCms.profileToProfile(image, io.BytesIO(profile), srgb, outputMode="RGB")
            return converted or image.convert("RGB")
        except (ImageCms.PyCMSError, OSError) as error:
            log.warning("The CMYK profile cannot be used (%s); colours are approximate.", error)
    return image.convert("RGB")


def _deep_samples(
    image: Image.Image, data: bytes, kind: Format, name: str, orientation: int
) -> tuple[UInt16Array | None, Samples | None]:
    """Upright 16-bit samples (H, W, 1 or 3) grey or BGR and alpha (H, W); (None, None) for 8-bit files."""
    if kind == "HEIF" and image.info.get("bit_depth", 8) > 8:
        found = np.asarray(pillow_heif.open_heif(data, convert_hdr_to_8bit=False, bgr_mode=True))
        found = found.astype(np.uint16).reshape(*found.shape[:2], -1)
        alpha = found[:, :, -1] if found.shape[2] in (2, 4) else None
        return np.ascontiguousarray(found[:, :, : 1 if found.shape[2] <= 2 else 3]), alpha
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint16)
        if kind == "TIFF" and getattr(image, "tag_v2", {}).get(262) == 0:  # 0 means white
            grey = 65535 - grey
        return np.ascontiguousarray(upright(grey, orientation)[:, :, None]), None
    if kind == "AVIF" and data[data.find(b"av1C") + 6] & 0x40:
        log.warning("%s has 10 or 12 bits a channel; 8 are read.", name)
    if not _has_16_bits(image, data, kind) or image.mode not in ("RGB", "RGBA"):
        return None, None
    raw = decode_deep_bgr(data)
    # Readers differ in whether they turn a TIFF upright: take what agrees with Pillow's high bytes.
    shown = upright(np.asarray(image), orientation)
    rows = np.linspace(0, shown.shape[0] - 1, min(64, shown.shape[0])).astype(int)
    candidates: list[UInt16Array] = [] if raw is None else [raw, upright(raw, orientation)]
    for turned in candidates:
        if turned.shape != (*shown.shape[:2], turned.shape[2]):
            continue
        if np.array_equal(turned[rows, :, 2::-1] >> 8, shown[rows, :, :3]):
            deep = np.ascontiguousarray(turned[:, :, :3], dtype=np.uint16)
            return deep, np.ascontiguousarray(turned[:, :, 3]) if turned.shape[2] == 4 else None
    log.warning("%s has 16 bits a channel in an uncommon layout; it is read as 8-bit.", name)
    return None, None


def _has_16_bits(image: Image.Image, data: bytes, kind: Format) -> bool:
    if kind == "PNG":
        return data[24] == 16  # bit depth in the header chunk
    bits = getattr(image, "tag_v2", {}).get(258, 8) if kind == "TIFF" else 8
    return bool(np.max(bits) == 16)


def _shows_no_colour(pixels_hwc_bgr: UInt8Array) -> bool:
    """All three channels equal: looked at in a few rows first, as most pictures are coloured."""
    for part in (pixels_hwc_bgr[:: max(1, len(pixels_hwc_bgr) // 16)], pixels_hwc_bgr):
        blue, green, red = cv2.split(part)
        if not (np.array_equal(blue, green) and np.array_equal(green, red)):
            return False
    return True


def _resolution(image: Image.Image) -> tuple[float, float] | None:
    """Dots per inch across and down; None where the file says nothing usable."""
    stated = image.info.get("dpi")
    if not isinstance(stated, tuple) or len(stated) != 2:
        return None
    across, down = float(stated[0]), float(stated[1])
    return (across, down) if 1 < across < 1e5 and 1 < down < 1e5 else None


def _coding(image: Image.Image, data: bytes, kind: Format) -> dict[str, Any]:
    """How the file was coded, as far as it can be found out and repeated."""
    if kind == "JPEG" and image.mode in ("L", "RGB"):
        sampling = JpegImagePlugin.get_sampling(image)
        return {
            "channels": len(image.getbands()),
            "qtables": getattr(image, "quantization", None),
            "subsampling": sampling if sampling in (0, 1, 2) else 2,
            "progressive": bool(image.info.get("progressive", False)),
        }
    if kind == "WEBP":
        return {"lossless": _webp_is_lossless(data)}
    colours = image.info.get("nclx_profile", {}) if kind == "HEIF" else {}
    return {name: value for name, value in colours.items() if name in _COLOURS}


def _webp_is_lossless(data: bytes) -> bool:
    """Whether the picture's data stand in a VP8L chunk; walks the RIFF chunks."""
    at = 12
    while at + 8 <= len(data):
        if data[at : at + 4] in (b"VP8L", b"VP8 "):
            return data[at : at + 4] == b"VP8L"
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        at += at & 1
    return False
