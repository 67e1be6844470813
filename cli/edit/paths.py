"""Which pictures and videos to read and where each result goes; every clash is found before any work."""

from __future__ import annotations

import glob
import os
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aif.runtime.errors import ConfigError, ImageError
from aif.runtime.image.io import missing_file
from aif.runtime.image.kinds import SUFFIXES, Format, format_for
from aif.runtime.video.kinds import VIDEO_SUFFIXES, WRITTEN_SUFFIXES, is_sequence, is_video, sequence_files

STREAM = "-"
DEMO = "demo"
FIELDS = ("stem", "name", "ext", "index")

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


@dataclass(frozen=True)
class Job:
    """One picture to read and the place for its result: a path, or None for standard output."""

    source: Source
    target: Path | None


def find_sources(words: Sequence[str], recursive: bool) -> list[Source]:
    """The pictures that the words of the command line mean, each once, in order.

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
            sources.append(Source(word, path, Path(f"{_without_number(path)}.mp4")))
        elif glob.has_magic(word):
            sources += _matching(word)
        else:
            raise missing_file(path)
    # The same picture named twice is edited once.
    unique = {os.path.realpath(source.path) if source.path else source.label: source for source in sources}
    return list(unique.values())


def _without_number(pattern: Path) -> str:
    """A name for the video that numbered pictures make: "walk" for walk_%04d.png."""
    return re.sub(r"[\s._-]*%\w*d", "", pattern.stem) or "frames"


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


def plan_outputs(
    sources: Sequence[Source], out: str | None, tag: str, kind: Format | None, overwrite: bool
) -> list[Job]:
    """Where each result goes.

    Args:
        sources: the pictures.
        out: a file, a folder (existing, ending in a slash, or for several pictures), a pattern with {stem},
            {name}, {ext} or {index}, "-" for standard output; None = beside each picture, named with `tag`.
        tag: what to add to a picture's name when `out` is None ("_edited").
        kind: format that the user asked for; its suffix then replaces a picture's own.
        overwrite: existing files, and the picture itself, may be replaced.

    Raises:
        ConfigError: an output exists, is itself to be edited, or serves two results; `out` is malformed; a
            video is to go to standard output.
        ImageError: the output's suffix is no format that aif writes.
    """
    if out is None:
        sources = _without_own_results(sources, tag)
    jobs = [
        Job(source, place_for(source, index=index, out=out, tag=tag, kind=kind, count=len(sources)))
        for index, source in enumerate(sources, start=1)
    ]
    _check(jobs, overwrite)
    return jobs


def place_for(
    source: Source, *, index: int, out: str | None, tag: str, kind: Format | None, count: int
) -> Path | None:
    """Where the result of the picture number `index` (from 1) of `count` goes; see `plan_outputs`."""
    suffix = _suffix(source, kind)
    if out == STREAM or (out is None and source.label == "standard input"):
        if count > 1:
            raise ConfigError("Only one picture can go to standard output.", "Name a folder with --out.")
        if source.is_video:
            raise ConfigError("A video cannot go to standard output.", "Name a file with --out.")
        return None
    if out is None:
        return (source.path or source.place).with_name(f"{source.place.stem}{tag}{suffix}")
    if "{" in out or "}" in out:
        return _from_pattern(out, source, index, suffix)
    path = Path(out)
    if path.is_dir() or out.endswith(("/", os.sep)) or (not path.suffix and (count > 1 or source.listed)):
        return path / source.place.with_suffix(suffix)
    if count > 1:
        raise ConfigError(
            f"{count} pictures cannot all go to {out}.",
            "Name a folder (--out edited/) or a pattern (--out '{stem}_new{ext}').",
        )
    if path.suffix:
        if not source.is_video:
            format_for(path.suffix)
    elif kind is None:
        raise ConfigError(
            f"--out {out} is neither a folder nor a picture's name.",
            f"For a folder write {out}/, for a file {out}{suffix or '.png'}.",
        )
    return path


_SUFFIX_OF: dict[Format, str] = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "TIFF": ".tif",
    "BMP": ".bmp",
}


def _suffix(source: Source, kind: Format | None) -> str:
    """The suffix of a result that is not named: the source's own, where aif can write such files."""
    own = source.place.suffix
    if source.is_video:
        return own if own.lower() in WRITTEN_SUFFIXES else ".mp4"
    return own if kind is None else _SUFFIX_OF[kind]


def _from_pattern(pattern: str, source: Source, index: int, suffix: str) -> Path:
    known = f"Known: {', '.join('{' + field + '}' for field in FIELDS)}; {{index:04d}} counts 0001, 0002, ..."
    try:
        for _, field, _, conversion in string.Formatter().parse(pattern):
            if field is not None and (field not in FIELDS or conversion):
                raise ConfigError(f"--out {pattern} has the unknown field {{{field}}}.", known)
        stem = source.place.stem
        path = Path(pattern.format(stem=stem, name=f"{stem}{suffix}", ext=suffix, index=index))
    except ValueError as error:
        raise ConfigError(f"--out {pattern} is not a pattern: {error}.", known) from None
    if not path.suffix:
        raise ConfigError(f"--out {pattern} makes names without a suffix.", f"Write {pattern}{{ext}}.")
    if path.suffix != suffix and not source.is_video:
        format_for(path.suffix)
    return path


def _without_own_results(sources: Sequence[Source], tag: str) -> list[Source]:
    """Leave out what an earlier run wrote beside its pictures, when a folder or pattern finds it again."""
    stems = {(source.path.parent, source.path.stem) for source in sources if source.path is not None}

    def is_result(source: Source) -> bool:
        path = source.path
        if path is None or not source.listed or not path.stem.endswith(tag):
            return False
        return (path.parent, path.stem.removesuffix(tag)) in stems

    return [source for source in sources if not is_result(source)]


def _check(jobs: Sequence[Job], overwrite: bool) -> None:
    inputs = {
        os.path.realpath(job.source.path): job.source.label for job in jobs if job.source.path is not None
    }
    outputs: dict[str, str] = {}
    existing = []
    for job in jobs:
        if job.target is None:
            continue
        real, own = os.path.realpath(job.target), job.source.label
        if real in outputs:
            raise ConfigError(
                f"{outputs[real]} and {own} would both be written to {job.target}.",
                "Make the names differ: {index} in the pattern counts the pictures.",
            )
        outputs[real] = own
        if inputs.get(real, own) != own:
            raise ConfigError(
                f"The result of {own} would replace {job.target}, which is to be edited itself.",
                "Choose another place with --out.",
            )
        if job.target.is_dir():
            raise ConfigError(f"{job.target} is a folder; {own} cannot be written there.")
        if is_sequence(job.target) and inputs.get(real) == own:
            raise ConfigError(
                f"{own} cannot be read and written at once.", "Choose another place with --out."
            )
        if job.target.exists() or (job.source.is_video and sequence_files(job.target)):
            existing.append(str(job.target))
    if existing and not overwrite:
        some = ", ".join(existing[:3]) + (f" and {len(existing) - 3} more" if len(existing) > 3 else "")
        raise ConfigError(
            f"{some} {'exists' if len(existing) == 1 else 'exist'} already.",
            "Add --overwrite to replace, or choose another place with --out.",
        )
