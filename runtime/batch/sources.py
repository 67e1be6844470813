"""Which pictures and videos the words of a command line mean."""

from __future__ import annotations

import glob
import logging
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aif.runtime.errors import ConfigError, ImageError
from aif.runtime.files import missing_file
from aif.runtime.image.kinds import SUFFIXES, sniff_format
from aif.runtime.video.kinds import VIDEO_SUFFIXES, is_sequence, is_video

log = logging.getLogger(__name__)

STREAM = "-"
DEMO = "demo"

_FOUND = (*SUFFIXES, *VIDEO_SUFFIXES)


@dataclass(frozen=True)
class Source:
    """One picture or video to read.

    Attributes:
        label: what to call it in messages.
        path: the file; None for the demo portrait and standard input.
        place: where its result goes in an output folder.
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
    """The pictures and videos that the words mean, each once, in order; an error for one that means nothing.

    words: paths of files and folders, glob patterns (`*` `?` `[...]`, `**` for any depth), patterns of
    numbered pictures (`frame_%04d.png`) for a video, `demo` for the portrait, `-` for standard input. A file
    called demo is `./demo`.
    """
    sources: list[Source] = []
    for word in words:
        path = Path(word)
        if word == STREAM:
            sources.append(Source("standard input", None, Path("stdin.png")))
        elif word == DEMO:
            sources.append(Source(DEMO, None, Path("demo.png")))
        elif "://" in word:
            raise ConfigError(
                f"{word} is an address, and files are edited here.",
                "A camera's stream: add --webcam. Pictures in a bucket: --engine ray.",
            )
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
    unique: dict[str, Source] = {}
    for source in sources:
        first = unique.setdefault(os.path.realpath(source.path) if source.path else source.label, source)
        if first.label != source.label:
            log.warning("%s is the same file as %s, and edited once.", source.label, first.label)
    return list(unique.values())


def _in_folder(folder: Path, recursive: bool) -> list[Source]:
    entries = _visible(folder, recursive)
    files = [entry for entry in entries if entry.is_file()]
    found = [file for file in files if file.suffix.lower() in _FOUND]
    if not found:
        deeper = not recursive and any(
            file.suffix.lower() in _FOUND for file in _visible(folder, True, onerror=None)
        )
        raise ImageError(
            f"There are no pictures in the folder {folder}.",
            "Its subfolders have some: add --recursive." if deeper else f"Looked for {', '.join(_FOUND)}.",
        )
    if not recursive and any(entry.is_dir() for entry in entries):
        log.warning("%s: its subfolders are left out; --recursive takes them.", folder)
    _say_left_out([file for file in files if file.suffix.lower() not in _FOUND])
    return [Source(str(file), file, file.relative_to(folder), listed=True) for file in found]


def _unreadable(error: OSError) -> None:
    raise ImageError(f"Cannot read the folder {error.filename}: {error.strerror}.")


def _visible(
    folder: Path, recursive: bool, onerror: Callable[[OSError], None] | None = _unreadable
) -> list[Path]:
    """What lies in a folder, in order, without what is hidden; an ImageError where a folder is unreadable."""
    entries = []
    for root, folders, files in os.walk(folder, onerror=onerror):
        folders[:] = [name for name in folders if not name.startswith(".")]
        entries += [Path(root, name) for name in (*folders, *files) if not name.startswith(".")]
        if not recursive:
            break
    return sorted(entries)


def _say_left_out(files: Sequence[Path]) -> None:
    """Of each suffix what the first such file is, and how many more there are."""
    for suffix in sorted({file.suffix.lower() for file in files}):
        first, *more = [file for file in files if file.suffix.lower() == suffix]
        try:
            with first.open("rb") as file:
                kind = sniff_format(file.read(64), str(first))
            reason = f"{first} is a {kind} picture, but not named as one."
        except (ImageError, OSError) as error:
            reason = (
                error.message if isinstance(error, ImageError) else f"Cannot read {first}: {error.strerror}."
            )
        others = f", as {'is' if len(more) == 1 else 'are'} {len(more)} more of the kind" if more else ""
        log.warning("%s It is left out%s.", reason, others)


def _matching(pattern: str) -> list[Source]:
    found = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 - absolute ones too
    pictures = [file for file in found if file.suffix.lower() in _FOUND and file.is_file()]
    if not pictures:
        raise ImageError(f"No picture matches {pattern}.", f"Looked for {', '.join(_FOUND)}.")
    return [Source(str(file), file, Path(file.name), listed=True) for file in pictures]
