"""What a run on a cluster has to do: pictures found, results placed, what earlier runs did left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aif.cli.edit.paths import Source, place_for
from aif.cli.ray.manifest import FINAL, FOLDER, PLANNED, Record, Segment, new_run, read_records
from aif.cli.ray.store import Found, Place, suffix_of
from aif.cli.ray.worker import Setup, Task
from aif.runtime.errors import ConfigError, ImageError
from aif.runtime.image.kinds import SUFFIXES
from aif.runtime.video.kinds import VIDEO_SUFFIXES

if TYPE_CHECKING:
    from aif.cli.edit.run import EditPlan
    from aif.cli.ray.job import Choices

_OTHER = "Add --overwrite to replace, or choose another destination."


@dataclass(frozen=True)
class RayPlan:
    """A run.

    Attributes:
        setup: for the workers.
        tasks: what is to be done.
        known: outcomes of earlier runs, which are not done again.
        left_out: number of videos that were found.
        manifest_name: where the manifest is, for messages.
        planned: the tasks as lines of the manifest.
    """

    setup: Setup
    tasks: tuple[Task, ...]
    known: tuple[Record, ...]
    left_out: int
    manifest_name: str
    planned: tuple[Record, ...]

    def begin(self) -> None:
        """Write down what is to be done, so that a later run knows these outputs for its own.

        Raises:
            ImageError: the destination cannot be written.
        """
        Segment(Place(self.setup.destination), self.setup.root, self.setup.run, "plan").add(self.planned)


def plan_run(choices: Choices, plan: EditPlan, setup: Setup) -> RayPlan:
    """Find the pictures and settle where each result goes; every clash is found before any work.

    Raises:
        ImageError: nothing to edit.
        ConfigError: an output exists and is not ours, serves two pictures, or is itself to be edited; a place
            that other processes cannot see.
    """
    source, destination = Place(choices.source), Place(choices.destination)
    for place in (source, destination):
        if place.in_one_process:
            raise ConfigError(
                f"{place.url} lies in one process's memory, where workers cannot see it.",
                "Name a folder or an object store.",
            )
    every = _without_results(source.find(choices.recursive), source, destination)
    pictures = [found for found in every if suffix_of(found.path) in SUFFIXES]
    videos = sum(suffix_of(found.path) in VIDEO_SUFFIXES for found in every)
    if not pictures:
        deeper = source.is_folder() and not choices.recursive and source.find(True)
        raise ImageError(
            f"There are no pictures at {source.url}.",
            "Perhaps in its subfolders: add --recursive." if deeper else f"Looked for {', '.join(SUFFIXES)}.",
        )
    root = _root(destination, len(pictures))
    tasks = _place(pictures, source, destination, plan)
    setup = replace(setup, root=root, run=new_run())
    planned = [
        Record(
            PLANNED,
            source.name(task.path),
            destination.name(task.output),
            task.size,
            task.mark,
            setup.settings,
        )
        for task in tasks
    ]
    _check(planned)
    done, ours = _earlier(destination, root)
    sizes = destination.sizes(root)
    known, todo = [], []
    taken = []
    for task, record in zip(tasks, planned, strict=True):
        before = done.get(record.key)
        if before is not None and sizes.get(task.output) == before.output_size:
            known.append(before)
            continue
        todo.append((task, record))
        if task.output in sizes and record.key not in ours:
            taken.append(record.output)
    if taken and not choices.overwrite:
        some = ", ".join(taken[:3]) + (f" and {len(taken) - 3} more" if len(taken) > 3 else "")
        raise ConfigError(f"{some} {'exists' if len(taken) == 1 else 'exist'} already.", _OTHER)
    return RayPlan(
        setup,
        tuple(task for task, _ in todo),
        tuple(known),
        videos,
        destination.name(f"{root}/{FOLDER}"),
        tuple(record for _, record in todo),
    )


def _root(destination: Place, count: int) -> str:
    """The folder of the manifest: the destination, or the fixed part of a pattern or file."""
    path: str = destination.path
    fixed = path.partition("{")[0]
    single = count == 1 and suffix_of(destination.path) in SUFFIXES and not destination.is_folder()
    return fixed.rpartition("/")[0] if fixed != path or single else fixed.rstrip("/")


def _place(pictures: Sequence[Found], source: Place, destination: Place, plan: EditPlan) -> tuple[Task, ...]:
    """A task a picture; names of results follow the rules of the local engine."""
    base, out = source.base(), destination.path
    single = len(pictures) == 1 and suffix_of(out) in SUFFIXES and not destination.is_folder()
    if "{" not in out and not single:
        out = f"{out.rstrip('/')}/"
    tasks = []
    for index, found in enumerate(pictures, start=1):
        below = Path(found.path[len(base) :].lstrip("/"))
        named = Source(source.name(found.path), None, below)
        target = place_for(named, index=index, out=out, tag="", kind=plan.kind, count=len(pictures))
        assert target is not None
        tasks.append(Task(found.path, target.as_posix(), found.size, found.mark))
    return tuple(tasks)


def _without_results(every: Sequence[Found], source: Place, destination: Place) -> list[Found]:
    """Leave out the destination where it lies within the source."""
    inside = f"{destination.base()}/"
    if type(source.fs) is not type(destination.fs) or not inside.startswith(f"{source.base()}/"):
        return list(every)
    if inside == f"{source.base()}/":
        return list(every)
    return [found for found in every if not found.path.startswith(inside)]


def _check(planned: Sequence[Record]) -> None:
    inputs = {record.input for record in planned}
    outputs: dict[str, str] = {}
    for record in planned:
        if record.output in outputs:
            raise ConfigError(
                f"{outputs[record.output]} and {record.input} would both be written to {record.output}.",
                "Make the names differ: {index} in a pattern counts the pictures.",
            )
        outputs[record.output] = record.input
        if record.output in inputs:
            raise ConfigError(
                f"The result of {record.input} would replace {record.output}, which is to be edited itself.",
                "Choose another destination.",
            )


_Key = tuple[str, str, int, str, str]


def _earlier(destination: Place, root: str) -> tuple[Mapping[_Key, Record], set[_Key]]:
    """Final outcomes of earlier runs by their key, and the keys of all that they set out to do."""
    done, ours = {}, set()
    for record in read_records(destination, root):
        ours.add(record.key)
        if record.status in FINAL:
            done[record.key] = record
    return done, ours
