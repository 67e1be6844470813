"""How fast a film is edited from file to file, what takes the time, and how fast the networks alone are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from aif.runtime.arrays import UInt8Array
from aif.runtime.bench.measure import NETWORKS, Progress, Row, Setup, Stopwatch, Turn, rows_of, take_turns
from aif.runtime.editing.editor import Editor
from aif.runtime.editing.path import FaceInputs
from aif.runtime.errors import ConfigError, NoFaceError
from aif.runtime.video.codecs import choose_encoding
from aif.runtime.video.editor import VideoEditor, face_view
from aif.runtime.video.kinds import VideoError
from aif.runtime.video.pipeline import run_pipeline
from aif.runtime.video.read import Frame, VideoSource
from aif.runtime.video.write import VideoSink

EDIT = ("track", "align", "encode", "decode_faces", "composite")
CODEC = ("read", "write")
STAGES = ("read", "to_bgr", *EDIT, "to_yuv", "write")

WARM_UP = 1.0
"""Seconds of the film that are edited before anything is timed."""


def bench_video(
    editors: Mapping[Setup, Editor],
    path: Path,
    edits: Mapping[str, float],
    seconds: float | None,
    rounds: int,
    progress: Progress | None = None,
) -> list[Row]:
    """Edit a film from file to file, as aif-edit does, and in between run the networks alone, and the codecs.

    Figures, in frames a second over the same frames: `film_per_second` from opening the film to the finished
    file, `edits_per_second` of the editing thread while it works, `networks_per_second` of encoder and
    decoder alone on the same faces as in the film, `copies_per_second` of the film decoded and encoded again
    without an edit. `renewed_share` is the share of the frames with faces in which encoder and decoder run.
    `ratio_to_networks` is the first over the third, `edit_ratio_to_networks` the second over the third.
    `networks_share_of_edit` and `networks_share_without_codec` say which part of the editing, and of all work
    but the codecs', the two networks are.

    The stages are timed where they happen, in three threads side by side: they add up to more than a frame's
    time, and each waits for a core where there are too few. `read` and `write` are the codecs with their
    containers, `to_bgr` and `to_yuv` the change of colours, `track` everything that finds faces.

    Args:
        editors: by setup; they take turns.
        path: of the film.
        edits: as for `VideoEditor`.
        seconds: how much of the film; None = all.
        rounds: turns of each.

    Raises:
        NoFaceError: no frame has a face.
        AifError: the film cannot be read, or written in its own kind of file or as MP4.
    """
    with TemporaryDirectory(prefix="aif-bench-") as folder:
        target = Path(folder) / f"film{_suffix(path)}"
        films = {
            setup: _Film(editor, setup, path, target, edits, seconds) for setup, editor in editors.items()
        }
        turns: dict[tuple[Setup | None, str], Callable[[], Turn]] = {
            (None, "copy"): partial(_copy, path, target, seconds)
        }
        for setup, film in films.items():
            film.warm_up()
            turns |= {(setup, "film"): film.edited_once, (setup, "networks"): film.networks_alone}
        turned = take_turns(turns, rounds, progress)
    copies = turned[None, "copy"]
    found = {setup: [*turned[setup, "film"], *turned[setup, "networks"], *copies] for setup in editors}
    rows = rows_of(editors, STAGES, found)
    for figures in (row.figures for row in rows):
        figures["ratio_to_networks"] = figures["film_per_second"] / figures["networks_per_second"]
        figures["edit_ratio_to_networks"] = figures["edits_per_second"] / figures["networks_per_second"]
    return rows


def _timed_frames(source: VideoSource, watch: Stopwatch) -> Iterator[Frame]:
    """Times decoding and the change of colours apart."""
    frames = iter(source)
    while True:
        start, before = time.perf_counter(), source.convert_s
        frame = next(frames, None)
        if frame is None:
            return
        convert_s = source.convert_s - before
        watch.add("to_bgr", convert_s)
        watch.add("read", time.perf_counter() - start - convert_s)
        yield frame


class _TimedSink:
    """Times encoding and the change of colours apart."""

    def __init__(self, sink: VideoSink, watch: Stopwatch) -> None:
        self._sink, self._watch, self.frames = sink, watch, 0

    def write(self, image_hwc_bgr: UInt8Array, frame: Frame) -> None:
        start, before = time.perf_counter(), self._sink.convert_s
        self._sink.write(image_hwc_bgr, frame)
        convert_s = self._sink.convert_s - before
        self._watch.add("to_yuv", convert_s)
        self._watch.add("write", time.perf_counter() - start - convert_s)


class _Film:
    """A film in one setup: edited from file to file, and the networks alone on the faces of the last time."""

    def __init__(
        self,
        editor: Editor,
        setup: Setup,
        path: Path,
        target: Path,
        edits: Mapping[str, float],
        seconds: float | None,
    ) -> None:
        self._editor, self._threads, self._path, self._target = editor, setup.threads, path, target
        self._edits, self._seconds = edits, seconds
        self._renewed: list[int] = []  # at how many faces of each frame the networks looked
        self._inputs: dict[int, FaceInputs] = {}  # as many faces to run the networks on alone

    def warm_up(self) -> None:
        """Edit a little of it, untimed."""
        self._edit_once(min(self._seconds or WARM_UP, WARM_UP))

    def edited_once(self) -> Turn:
        """The film once, from file to file."""
        own, edited, whole = self._edit_once(self._seconds)
        count, networks, editing = len(edited), own.total(NETWORKS), own.total(EDIT)
        with_faces, renewed = (float(np.count_nonzero(each)) for each in (edited, self._renewed))
        figures = {
            "frames": float(count),
            "frames_with_faces": with_faces,
            "renewed_share": renewed / max(with_faces, 1),
            "film_per_second": count / whole,
            "edits_per_second": count / editing,
            "networks_share_of_edit": networks / editing,
            "networks_share_without_codec": networks / (own.total() - own.total(CODEC)),
        }
        return Turn(figures, own)

    def _edit_once(self, seconds: float | None) -> tuple[Stopwatch, list[int], float]:
        """Times by stage, how many faces each frame has, and seconds from file to file."""
        own, edited, self._renewed = Stopwatch(), [], []
        path = self._editor.path
        with VideoEditor(self._editor, self._edits, threads=self._threads) as frames:

            def edit(image_hwc_bgr: UInt8Array, time_s: float) -> UInt8Array:
                result = frames.process(image_hwc_bgr, time_s)
                own.add_edit(result.timings)
                edited.append(len(result.y))
                self._renewed.append(len(result.renewed))
                if len(result.renewed) not in self._inputs:
                    seen = [face_view(path, face) for face in result.faces if face.id in result.renewed]
                    self._inputs[len(seen)] = path.cut(image_hwc_bgr, seen)
                return result.image_hwc_bgr

            return own, edited, _run(self._path, self._target, seconds, edit, own)

    def networks_alone(self) -> Turn:
        """Encoder and decoder alone, on as many faces a frame as they looked at in the film."""
        if not any(self._renewed):
            raise NoFaceError(f"{self._path} shows no face that could be edited.", "Choose another film.")
        begin = time.perf_counter()
        for count in self._renewed:
            if count:
                encoding = self._editor.path.encode(self._inputs[count]).encoding
                self._editor.model.decode_both(encoding, encoding.y, encoding.y)
        return Turn({"networks_per_second": len(self._renewed) / (time.perf_counter() - begin)})


def _copy(path: Path, target: Path, seconds: float | None) -> Turn:
    """The same film with every frame as it was: what codecs and colours alone would allow."""
    watch = Stopwatch()
    whole = _run(path, target, seconds, lambda image, time_s: image, watch)
    return Turn({"copies_per_second": len(watch.seconds["to_bgr"]) / whole})


def _run(
    path: Path,
    target: Path,
    seconds: float | None,
    edit: Callable[[UInt8Array, float], UInt8Array],
    watch: Stopwatch,
) -> float:
    """Seconds from opening the film to the finished file."""
    begin = time.perf_counter()
    with VideoSource(path, None, seconds) as source:
        with VideoSink(target, source) as sink:
            run_pipeline(_timed_frames(source, watch), edit, _TimedSink(sink, watch))
        return time.perf_counter() - begin


def _suffix(path: Path) -> str:
    """The film's own suffix where such a file can be written, else MP4's."""
    try:
        choose_encoding(path)
    except (ConfigError, VideoError):
        return ".mp4"
    return path.suffix if path.suffix.lower() != ".gif" and "%" not in path.name else ".mp4"
