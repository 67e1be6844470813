"""Where each result goes; every clash is found before any work."""

from __future__ import annotations

import logging
import os
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aif.runtime.batch.sources import STREAM, Source
from aif.runtime.errors import ConfigError
from aif.runtime.image.kinds import SUFFIXES, Format, format_for
from aif.runtime.video.kinds import WRITTEN_SUFFIXES, is_sequence, sequence_files

log = logging.getLogger(__name__)

FIELDS = ("stem", "name", "ext", "index")


@dataclass(frozen=True)
class Job:
    """A picture or video to read, and the place for its result, where none may be if `new`; None: stdout."""

    source: Source
    target: Path | None
    new: bool = False


@dataclass(frozen=True)
class Files:
    """What to read and where to write, in a user's words."""

    inputs: Sequence[str]
    out: str | None = None
    recursive: bool = False
    overwrite: bool = False

    @property
    def to_stdout(self) -> bool:
        """Whether the result goes to standard output."""
        return self.out == STREAM or (self.out is None and STREAM in self.inputs)


def plan_outputs(
    sources: Sequence[Source], out: str | None, tag: str, kind: Format | None, overwrite: bool
) -> list[Job]:
    """Where each result goes; a ConfigError where it cannot.

    Args:
        out: a file, a folder (existing, ending in a slash, or for several pictures), a pattern with {stem},
            {name}, {ext} or {index}, "-" for standard output; None = beside each picture, named with `tag`.
        kind: format that the user asked for; its suffix then replaces a picture's own.
        overwrite: existing files, and the picture itself, may be replaced.
    """
    if out is None:
        sources = _without_own_results(sources, tag)
    jobs = [
        Job(source, place_for(source, index, out, tag, kind, len(sources)), new=not overwrite)
        for index, source in enumerate(sources, start=1)
    ]
    _check(jobs, overwrite)
    return jobs


def place_for(
    source: Source, index: int, out: str | None, tag: str, kind: Format | None, count: int
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


def _suffix(source: Source, kind: Format | None) -> str:
    """The suffix of a result that is not named: the source's own, where aif can write such files."""
    own = source.place.suffix
    if source.is_video:
        return own if own.lower() in WRITTEN_SUFFIXES else ".mp4"
    return own if kind is None else next(suffix for suffix, each in SUFFIXES.items() if each == kind)


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

    if results := [source.label for source in sources if is_result(source)]:
        log.warning("%d results of earlier runs are left out, such as %s.", len(results), results[0])
    return [source for source in sources if source.label not in results]


def check_distinct(pairs: Iterable[tuple[str, str, str, str]]) -> None:
    """Raise a ConfigError for two results for one place, and for a result in the place of another input.

    pairs: of each picture its identity and its name, and those of its result.
    """
    pairs = list(pairs)
    inputs = {identity: name for identity, name, _, _ in pairs if identity}
    outputs: dict[str, str] = {}
    for _, name, result, result_name in pairs:
        if result in outputs:
            raise ConfigError(
                f"{outputs[result]} and {name} would both be written to {result_name}.",
                "Make the names differ: {index} in the pattern counts the pictures.",
            )
        outputs[result] = name
        if inputs.get(result, name) != name:
            raise ConfigError(
                f"The result of {name} would replace {result_name}, which is to be edited itself.",
                "Choose another place with --out.",
            )


def _check(jobs: Sequence[Job], overwrite: bool) -> None:
    written = [(job.source, job.target) for job in jobs if job.target is not None]
    check_distinct(
        (
            os.path.realpath(source.path) if source.path else "",
            source.label,
            os.path.realpath(target),
            str(target),
        )
        for source, target in written
    )
    existing = []
    for source, target in written:
        if target.is_dir():
            raise ConfigError(f"{target} is a folder; {source.label} cannot be written there.")
        if is_sequence(target) and source.path and os.path.realpath(target) == os.path.realpath(source.path):
            raise ConfigError(
                f"{source.label} cannot be read and written at once.", "Choose another place with --out."
            )
        if target.exists() or (source.is_video and sequence_files(target)):
            existing.append(str(target))
    if existing and not overwrite:
        some = ", ".join(existing[:3]) + (f" and {len(existing) - 3} more" if len(existing) > 3 else "")
        raise ConfigError(
            f"{some} {'exists' if len(existing) == 1 else 'exist'} already.",
            "Add --overwrite to replace, or choose another place with --out.",
        )
