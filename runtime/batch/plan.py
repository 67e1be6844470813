"""What to do with every picture and video: in a user's words, and as a bundle understands them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aif.runtime.batch.places import Job
from aif.runtime.editing.options import (
    find_attribute,
    modes_of,
    parse_faces,
    parse_mode,
    parse_settings,
    sweep_values,
)
from aif.runtime.errors import ConfigError
from aif.runtime.image.kinds import Format
from aif.runtime.video.kinds import is_sequence

if TYPE_CHECKING:
    from aif.runtime.bundle.manifest import Manifest, Mode
    from aif.runtime.faces.choice import FaceChoice

_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)")


@dataclass(frozen=True)
class Edit:
    """Which edit of which faces: attribute to value, and the attribute and values of a sweep.

    `mode` is how to compose, None = the bundle's default; `compare` puts original and result side by side.
    """

    settings: Mapping[str, float] = field(default_factory=dict)
    faces: FaceChoice = "all"
    mode: Mode | None = None
    sweep: tuple[str, tuple[float, ...]] | None = None
    compare: bool = False

    def __bool__(self) -> bool:
        """Whether pictures are made, not only looked at."""
        return bool(self.settings) or self.sweep is not None

    @property
    def all_settings(self) -> dict[str, float]:
        """What changes, with a swept attribute as present."""
        return {**self.settings, **({} if self.sweep is None else {self.sweep[0]: 1.0})}


@dataclass(frozen=True)
class Look:
    """The same in the words of a command line; `steps` is the number of pictures in a sweep."""

    settings: Sequence[str] = ()
    faces: str = "all"
    mode: str | None = None
    sweep: str | None = None
    steps: int = 7
    compare: bool = False

    def __bool__(self) -> bool:
        """Whether there is something to edit."""
        return bool(self.settings) or self.sweep is not None

    @property
    def tag(self) -> str:
        """What names of results get, where none is given."""
        return "_sweep" if self.sweep else "_compare" if self.compare else "_edited"

    def check(self) -> None:
        """Raise a ConfigError for what contradicts itself, before a bundle is opened."""
        if self.compare and self.sweep is not None:
            raise ConfigError("--compare and --sweep make different sheets.", "Use one of them.")
        if self.compare and not self:
            raise ConfigError("--compare has nothing to compare with.", "Say what to change: --set Smiling=1")
        parse_faces(self.faces)

    def edit(self, manifest: Manifest) -> Edit:
        """What the words mean for a bundle; a ConfigError or UnknownAttributeError for wrong ones."""
        known, where = manifest.attributes, f"the bundle {manifest.name}"
        values = parse_settings(self.settings, known, where)
        mode = parse_mode(self.mode, modes_of(manifest))
        sweep = None
        if self.sweep is not None:
            info = find_attribute(self.sweep, known, where)
            sweep = (info.name, sweep_values(info, self.steps, values))
        return Edit(values, parse_faces(self.faces), mode, sweep, self.compare)


@dataclass(frozen=True)
class Output:
    """How results are written, as `aif-edit --help` has it; `max_megapixels` None = no limit."""

    kind: Format | None = None
    quality: int | None = None
    max_megapixels: float | None = None
    copy_unedited: bool = False
    strip_location: bool = False

    def check(self) -> None:
        """Raise a ConfigError for a quality out of range."""
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise ConfigError(f"--quality must be 1 to 100, not {self.quality}.")


@dataclass(frozen=True)
class VideoChoices:
    """What was asked for of videos; None = not asked. `start` and `end` are in seconds from the start."""

    start: float | None = None
    end: float | None = None
    codec: str | None = None
    hardware: str | None = None
    fps: float | None = None


@dataclass(frozen=True)
class Show:
    """What to print: a table of attributes, a line of JSON a file, the time of each stage."""

    attributes: bool = False
    as_json: bool = False
    timings: bool = False


@dataclass(frozen=True)
class EditPlan:
    """What to do with every picture and video; `threads` of the networks, None = one a core."""

    edit: Edit
    output: Output = Output()
    video: VideoChoices = VideoChoices()
    threads: int | None = None

    def check(self, jobs: Sequence[Job]) -> None:
        """Raise a ConfigError or VideoError for what cannot work on these inputs, before anything loads."""
        videos, choices = [job for job in jobs if job.source.is_video], self.video
        if not videos:
            if given := [name for name, value in vars(choices).items() if value is not None]:
                raise ConfigError(f"--{given[0]} is for videos, and there is none among the inputs.")
            return
        if self.edit.sweep:
            raise ConfigError(f"--sweep is for pictures; {videos[0].source.label} is a video.")
        if choices.start is not None and choices.end is not None and choices.end <= choices.start:
            raise ConfigError(f"--end {choices.end:g} is not after --start {choices.start:g} (in seconds).")
        if choices.fps is not None and choices.fps <= 0:
            raise ConfigError(f"--fps must be above 0, not {choices.fps:g}.")
        sequences = [job.source.label for job in videos if job.source.path and is_sequence(job.source.path)]
        if sequences and choices.fps is None:
            raise ConfigError(f"How many frames a second has {sequences[0]}?", "Say it: --fps 25")
        if choices.fps is not None and len(sequences) < len(videos):
            raise ConfigError(
                "--fps is for numbered pictures (frame_%04d.png); a video has its own frame rate."
            )
        if self.edit:
            from aif.runtime.video.codecs import choose_encoding

            for job in videos:
                assert job.target is not None
                choose_encoding(job.target, choices.codec, self.output.quality, choices.hardware)


def parse_time(text: str | None, option: str) -> float | None:
    """Seconds, from "90", "90.5", "1:30" or "0:01:30.5"; None stays None. `option` is what to call it."""
    if text is None:
        return None
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{option} {text} is no time.", "Write seconds (90.5) or hh:mm:ss (0:01:30.5).")
    hours, minutes, seconds = found.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)
