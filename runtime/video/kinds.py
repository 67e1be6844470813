"""What is called a video, found out without loading FFmpeg; numbered pictures that stand for one."""

from __future__ import annotations

import re
from pathlib import Path

from aif.runtime.errors import AifError
from aif.runtime.image.kinds import SUFFIXES as PICTURE_SUFFIXES

# What aif writes.
WRITTEN_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".gif")

# By these names a folder's videos are found. What a file really is, FFmpeg finds out from its first bytes.
VIDEO_SUFFIXES = (
    *WRITTEN_SUFFIXES,
    *(".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp", ".ogv", ".vob", ".mxf"),
)

# The first bytes of videos without a telling name; MP4 and MOV by their brand, as HEIC pictures begin alike.
_MARKS = re.compile(
    rb"....ftyp(isom|iso\d|mp4\d|avc1|M4V |M4VP|qt  |3gp|MSNV|dash)|\x1a\x45\xdf\xa3|RIFF....AVI |GIF8[79]a"
    rb"|\0\0\1\xba|FLV\1|OggS",
    re.DOTALL,
)
_NUMBER = re.compile(r"%(?:0\d+)?d")


class VideoError(AifError):
    """A video cannot be read or written."""


def is_video(path: Path) -> bool:
    """Whether a path means a video: by its suffix, else, where that is no picture's, by its first bytes."""
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES or is_sequence(path):
        return True
    if suffix in PICTURE_SUFFIXES or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return bool(_MARKS.match(file.read(16)))
    except OSError:
        return False


def is_sequence(path: Path) -> bool:
    """Whether a path is a pattern for numbered pictures, such as "frames/%04d.png", and no file."""
    return bool(_NUMBER.search(path.name)) and not path.exists()


def sequence_files(pattern: Path) -> dict[int, Path]:
    """The files of a numbered sequence that are there, by number."""
    number = _NUMBER.search(pattern.name)
    if number is None or not pattern.parent.is_dir():
        return {}
    before, after = pattern.name[: number.start()], pattern.name[number.end() :]
    name = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    numbered = {
        int(match[1]): file for file in pattern.parent.iterdir() if (match := name.fullmatch(file.name))
    }
    return {n: file for n, file in sorted(numbered.items()) if file.name == sequence_name(pattern, n)}


def sequence_name(pattern: Path, number: int) -> str:
    """The name of one picture of a numbered sequence."""
    return _NUMBER.sub(lambda match: match[0] % number, pattern.name, count=1)
