"""Which pictures and videos the words of a command line mean."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aif.runtime.errors import ImageError
from aif.runtime.image.io import missing_file
from aif.runtime.image.kinds import SUFFIXES
from aif.runtime.video.kinds import VIDEO_SUFFIXES, is_sequence, is_video

STREAM = "-"
DEMO = "demo"

_FOUND = (*SUFFIXES, *VIDEO_SUFFIXES)


@dataclass(frozen=True)
class Source:
    """One picture or video to read.

    Attributes:
        label: what to call it in messages.
        path: the file; None for the demo portrait and standard input.
        place: its name below the folder that was given, or its file name: where it goes in an output folder.
        listed: it was found in a folder or by a pattern, not named itself.
    """

    label: str
    path: Path | None
    place: Path
    listed: bool = False

    @property
    def is_video(self) -> bool:
        """It is a video, an animation or a sequence of numbered pictures."""
        return self.path is not None and is_video(self.path)


def find_sources(words: Sequence[str], recursive: bool) -> list[Source]:
    """The pictures and videos that the words mean, each once, in order.

    Args:
        words: paths of files and folders, glob patterns (`*` `?` `[...]`, `**` for any depth), patterns of
            numbered pictures (`frame_%04d.png`) for a video, `demo` for the portrait, `-` for standard input.
            A file called demo is `./demo`.
        recursive: look into folders within folders.

    Raises:
        ImageError: a word that means nothing, or a folder without pictures.
    """
    sources: list[Source] = []
    for word in words:
        path = Path(word)
        if word == STREAM:
            sources.append(Source("standard input", None, Path("stdin.png")))
        elif word == DEMO:
            sources.append(Source(DEMO, None, Path("demo.png")))
        elif path.is_dir():
            sources += _in_folder(path, recursive)
        elif path.exists():
            sources.append(Source(word, path, Path(path.name)))
        elif is_sequence(path):
            name = re.sub(r"[\s._-]*%\w*d", "", path.stem) or "frames"  # walk_%04d.png makes walk.mp4
            sources.append(Source(word, path, Path(f"{name}.mp4")))
        elif glob.has_magic(word):
            sources += _matching(word)
        else:
            raise missing_file(path)
    unique = {os.path.realpath(source.path) if source.path else source.label: source for source in sources}
    return list(unique.values())


def _in_folder(folder: Path, recursive: bool) -> list[Source]:
    found = [file for file in sorted(folder.glob("**/*" if recursive else "*")) if _is_picture(file, folder)]
    if not found:
        deeper = not recursive and any(_is_picture(file, folder) for file in folder.glob("**/*"))
        raise ImageError(
            f"There are no pictures in the folder {folder}.",
            "Its subfolders have some: add --recursive." if deeper else f"Looked for {', '.join(_FOUND)}.",
        )
    return [Source(str(file), file, file.relative_to(folder), listed=True) for file in found]


def _matching(pattern: str) -> list[Source]:
    found = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 - absolute ones too
    pictures = [file for file in found if file.suffix.lower() in _FOUND and file.is_file()]
    if not pictures:
        raise ImageError(f"No picture matches {pattern}.", f"Looked for {', '.join(_FOUND)}.")
    return [Source(str(file), file, Path(file.name), listed=True) for file in pictures]


def _is_picture(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and file.suffix.lower() in _FOUND and file.is_file()
