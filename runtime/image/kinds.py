"""What a picture file is, by its first bytes, and which kinds aif reads and writes."""

from __future__ import annotations

import re
from typing import Literal, get_args

from aif.runtime.errors import ConfigError, ImageError, UnsupportedImageError

Format = Literal["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF", "BMP"]
FORMATS: tuple[Format, ...] = get_args(Format)

SUFFIXES: dict[str, Format] = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".heic": "HEIF",
    ".heif": "HEIF",
    ".hif": "HEIF",
    ".avif": "AVIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".dib": "BMP",
}

SUPPORTED = "aif reads and writes JPEG, PNG, WebP, HEIC, AVIF, TIFF and BMP."

# Pictures of cameras that are TIFF inside, but whose first TIFF image is only a small preview.
_RAW_SUFFIXES = (".dng", ".nef", ".cr2", ".arw", ".pef", ".orf", ".rw2", ".srw", ".3fr", ".raw")

# Brands of HEIF files; mif1 and msf1 are those of AVIF files, too, which then list theirs beside them.
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")
_CONVERT = f"{SUPPORTED} Convert it to one of these first."
_DEVELOP = "Export it as TIFF or JPEG from a raw converter (darktable, RawTherapee, Lightroom) first."
_FRAMES = "aif-edit edits videos that are named as such (.mp4, .mov, .mkv ...); this is the way for pictures."

# Known files that are no picture for aif: where the mark stands, the mark, what it is, what to do.
_FOREIGN: tuple[tuple[int, bytes, str, str], ...] = (
    (8, b"crx ", "a camera raw file", _DEVELOP),
    (0, b"IIU\0", "a camera raw file", _DEVELOP),
    (0, b"FUJIFILM", "a camera raw file", _DEVELOP),
    (4, b"ftyp", "a video", _FRAMES),
    (8, b"AVI ", "a video", _FRAMES),
    (0, b"\x1a\x45\xdf\xa3", "a video", _FRAMES),
    (0, b"\0\0\1\xba", "a video", _FRAMES),
    (0, b"\0\0\1\xb3", "a video", _FRAMES),
    (0, b"GIF8", "a GIF", _CONVERT),
    (0, b"\xff\x0a", "a JPEG XL picture", _CONVERT),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture", _CONVERT),
    (0, b"\0\0\0\x0cjP", "a JPEG 2000 picture", _CONVERT),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture", _CONVERT),
    (0, b"8BPS", "a Photoshop file", _CONVERT),
    (0, b"%PDF", "a PDF", "Save its picture first: pdfimages -png IN.pdf OUT"),
    (0, b"PK\3\4", "a zip archive", "Unpack it first; aif-edit takes the folder."),
)


def sniff_format(data: bytes, name: str) -> Format:
    """The format of a picture file, from its first bytes (a suffix may lie, but sets camera raw files apart
    from TIFF); ImageError for an empty file, UnsupportedImageError, which says what it is, for any other.
    """
    if not data:
        raise ImageError(f"{name} is empty (0 bytes).", "Copy or download it again.")
    head = data[:64]
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        if name.lower().endswith(_RAW_SUFFIXES):
            raise UnsupportedImageError(f"{name} is a camera raw file, which aif does not read.", _DEVELOP)
        return "TIFF"
    if head.startswith(b"BM"):
        return "BMP"
    if head[4:8] == b"ftyp" and head[8:12] in (*_HEIF_BRANDS, *_AVIF_BRANDS):
        brands = head[8 : int.from_bytes(head[:4])]
        return "AVIF" if any(brand in brands for brand in _AVIF_BRANDS) else "HEIF"
    kind, fix = _foreign_kind(head)
    more = "" if "not a picture" in kind else ", which aif does not read"
    raise UnsupportedImageError(f"{name} is {kind}{more}.", fix)


def _foreign_kind(head: bytes) -> tuple[str, str]:
    """What the first bytes of an unsupported file say it is, and what to do about it."""
    for at, mark, kind, fix in _FOREIGN:
        if head[at : at + len(mark)] == mark:
            return kind, fix
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page, not a picture", "Download the picture itself, not the page that shows it."
    if text.startswith((b"<svg", b"<?xml")):
        return "an SVG or XML file", _CONVERT
    if re.match(rb"P[1-7]\s", head):
        return "a PNM picture", _CONVERT
    if not re.search(rb"[^\x09\x0a\x0d\x20-\x7e]", head):
        return "a text file, not a picture", SUPPORTED
    return "not a picture, or is damaged at its start", f"{SUPPORTED} Copy or download it again."


def format_for(suffix_or_name: str) -> Format:
    """The format meant by a suffix (".jpg") or a name ("jpg", "JPEG"), in any case; else ConfigError."""
    found = SUFFIXES.get(f".{suffix_or_name.lower().removeprefix('.')}")
    if found is None:
        raise ConfigError(
            f"aif cannot write pictures of the kind {suffix_or_name!r}.",
            f"Use one of: {', '.join(SUFFIXES)}.",
        )
    return found
