"""What a run has to do: pictures found, results placed, those that are there already left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aif.runtime.batch.places import check_distinct, place_for
from aif.runtime.batch.sources import Source
from aif.runtime.errors import ConfigError, ImageError
from aif.runtime.image.kinds import SUFFIXES, Format
from aif.runtime.ray.places import Place, suffix_of

FAILURES = "aif_failures.jsonl"
"""The report of what failed, in the destination."""


@dataclass(frozen=True)
class Tasks:
    """The pictures of a run: `outputs` has the path of each one and of its result.

    Left out are those `done` already, and files of other suffixes (counted in `others`). `report` is the path
    for failures, in the destination. `new`: what comes to a result's place while it is made stays there.
    """

    source: Place
    destination: Place
    outputs: Mapping[str, str]
    done: int
    others: Mapping[str, int]
    report: str
    new: bool = True


def find_tasks(
    source: Place, destination: Place, recursive: bool, overwrite: bool, kind: Format | None
) -> Tasks:
    """Find the pictures and where each result goes, named as on one machine; clashes are found first.

    overwrite: make results anew that are there already; else their pictures are left out.
    """
    for place, url in ((source, source.name(source.path)), (destination, destination.name(destination.path))):
        if place.in_one_process:
            raise ConfigError(
                f"{url} lies in one process's memory, where workers cannot see it.",
                "Name a folder or an object store.",
            )
    every = _without_results(source.find(recursive), source, destination)
    pictures = [path for path in every if suffix_of(path) in SUFFIXES]
    if not pictures:
        deeper = source.is_folder() and not recursive and source.find(True)
        raise ImageError(
            f"There are no pictures at {source.name(source.path)}.",
            "Perhaps in its subfolders: add --recursive." if deeper else f"Looked for {', '.join(SUFFIXES)}.",
        )
    single = len(pictures) == 1 and suffix_of(destination.path) in SUFFIXES and not destination.is_folder()
    outputs = _outputs(pictures, source, destination, single, kind)
    names = [(source.name(path), destination.name(output)) for path, output in outputs.items()]
    check_distinct((name, name, result, result) for name, result in names)
    if same := [name for name, result in names if name == result]:
        raise ConfigError(
            f"The result of {same[0]} would replace it, which is to be edited itself.",
            "Choose another destination.",
        )
    fixed = destination.path.partition("{")[0]
    root = fixed.rpartition("/")[0] if fixed != destination.path or single else fixed.rstrip("/")
    there = set() if overwrite else destination.existing(root)
    todo = {path: output for path, output in outputs.items() if output not in there}
    done, report = len(outputs) - len(todo), f"{root}/{FAILURES}"
    others = Counter(suffix_of(path) for path in every if suffix_of(path) not in SUFFIXES)
    return Tasks(source, destination, todo, done, others, report, not overwrite)


def _outputs(
    pictures: Sequence[str], source: Place, destination: Place, single: bool, kind: Format | None
) -> dict[str, str]:
    """The result's path for each picture; names follow the rules of one machine."""
    base, out = source.base(), destination.path
    if "{" not in out and not single:
        out = f"{out.rstrip('/')}/"
    outputs = {}
    for index, path in enumerate(pictures, start=1):
        named = Source(source.name(path), None, Path(path[len(base) :].lstrip("/")))
        target = place_for(named, index, out, "", kind, len(pictures))
        assert target is not None
        outputs[path] = target.as_posix()
    return outputs


def _without_results(every: Sequence[str], source: Place, destination: Place) -> list[str]:
    """Leave out the destination where it lies within the source."""
    inside = f"{destination.base()}/"
    within = inside.startswith(f"{source.base()}/") and inside != f"{source.base()}/"
    if type(source.fs) is not type(destination.fs) or not within:
        return list(every)
    return [path for path in every if not path.startswith(inside)]
