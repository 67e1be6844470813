"""How fast a film is edited from file to file, and how fast the networks alone and the codecs alone are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from aif.runtime.arrays import UInt8Array
from aif.runtime.bench.measure import NETWORKS, Rounds, Row, Setup, Stopwatch, Turn, editor_row
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import NoFaceError
from aif.runtime.model.codes import FaceInputs
from aif.runtime.threads import shared_cores
from aif.runtime.video.editor import VideoEditor, VideoFrameResult, face_view
from aif.runtime.video.kinds import WRITTEN_SUFFIXES
from aif.runtime.video.pipeline import Making, run_pipeline
from aif.runtime.video.read import VideoFrame, VideoSource
from aif.runtime.video.write import VideoSink

EDIT = ("track", "align", *NETWORKS, "composite")
STAGES = ("read", "to_bgr", *EDIT, "to_yuv", "write")

WARM_UP = 1.0
"""Seconds of the film that are edited before anything is timed."""

Edit = Callable[[UInt8Array, float], Making]


def bench_video(
    editors: Mapping[Setup, Editor], path: Path, edits: Mapping[str, float], rounds: Rounds
) -> list[Row]:
    """Edit a film from file to file, as aif-edit does, and in between run the networks alone, and the codecs.

    docs/benchmarks.md has the figures. The stages are timed where they happen, in four threads side by side:
    they add up to more than a frame's time, and each waits for a core where there are too few. The seconds
    of `rounds` are how much of the film, None = all.
    """
    with TemporaryDirectory(prefix="aif-bench-") as folder:
        known = path.suffix.lower() in WRITTEN_SUFFIXES and path.suffix.lower() != ".gif"
        target = Path(folder) / f"film{path.suffix if known else '.mp4'}"
        film = partial(_run, path, target)
        turns: dict[tuple[Setup | None, str], Callable[[], Turn]] = {
            (None, "copy"): partial(_copy, film, rounds.seconds)
        }
        for setup, editor in editors.items():
            of = _Film(editor, setup, film, edits)
            of.edited(min(rounds.seconds or WARM_UP, WARM_UP))
            turns[setup, "film"] = partial(of.edited, rounds.seconds)
            turns[setup, "networks"] = of.networks_alone
        found = rounds.take_turns(turns)
    rows = []
    for setup, editor in editors.items():
        turned = [*found[setup, "film"], *found[setup, "networks"], *found[None, "copy"]]
        row = editor_row(setup, editor, STAGES, turned)
        figures = row.figures
        figures["ratio_to_networks"] = figures["film_per_second"] / figures["networks_per_second"]
        figures["edit_ratio_to_networks"] = figures["edits_per_second"] / figures["networks_per_second"]
        rows.append(row)
    return rows


class _Film:
    """A film in one setup: edited from file to file, and the networks alone on the faces of the last time."""

    def __init__(
        self, editor: Editor, setup: Setup, film: Callable[..., float], edits: Mapping[str, float]
    ) -> None:
        self._editor, self._threads, self._film, self._edits = editor, setup.threads, film, edits
        self._renewed: list[int] = []  # at how many faces of each frame the networks looked
        self._inputs: dict[int, FaceInputs] = {}  # as many faces to run the networks on alone

    def edited(self, seconds: float | None) -> Turn:
        """The film once, from file to file."""
        watch, path = Stopwatch(), self._editor.path
        faces: list[int] = []
        self._renewed = []

        def edit(image_hwc_bgr: UInt8Array, time_s: float) -> Callable[[], UInt8Array]:
            return partial(made, frames.begin(image_hwc_bgr, time_s), image_hwc_bgr)

        def made(make: Callable[[], VideoFrameResult], image_hwc_bgr: UInt8Array) -> UInt8Array:
            result = make()
            watch.add_edit(result.timings)
            faces.append(len(result.y))
            self._renewed.append(len(result.renewed))
            if len(result.renewed) not in self._inputs:
                seen = [face_view(path, face) for face in result.faces if face.id in result.renewed]
                self._inputs[len(seen)] = path.cut(image_hwc_bgr, seen)
            return result.image_hwc_bgr

        with (
            shared_cores(self._threads),
            VideoEditor(self._editor, self._edits, threads=self._threads) as frames,
        ):
            whole = self._film(seconds, edit, watch)
        with_faces = float(np.count_nonzero(faces))
        figures = {
            "frames": float(len(faces)),
            "frames_with_faces": with_faces,
            "renewed_share": float(np.count_nonzero(self._renewed)) / max(with_faces, 1),
            "film_per_second": len(faces) / whole,
            "edits_per_second": len(faces) / watch.total(EDIT),
        }
        return Turn(figures, watch)

    def networks_alone(self) -> Turn:
        """Encoder and decoder alone, on as many faces a frame as they looked at in the film."""
        if not any(self._renewed):
            raise NoFaceError("The film shows no face that could be edited.", "Choose another film.")
        begin = time.perf_counter()
        for count in filter(None, self._renewed):
            encoding = self._editor.path.encode(self._inputs[count]).encoding
            self._editor.model.decode_both(encoding, encoding.y, encoding.y)
        return Turn({"networks_per_second": len(self._renewed) / (time.perf_counter() - begin)})


def _copy(film: Callable[..., float], seconds: float | None) -> Turn:
    """The same film with every frame as it was: what codecs and colours alone would allow."""
    watch = Stopwatch()
    whole = film(seconds, lambda image, time_s: image, watch)
    return Turn({"copies_per_second": len(watch.seconds["to_bgr"]) / whole})


def _run(path: Path, target: Path, seconds: float | None, edit: Edit, watch: Stopwatch) -> float:
    """Seconds from opening the film to the finished file."""
    begin = time.perf_counter()
    with VideoSource(path, None, seconds) as source:
        with VideoSink(target, source) as sink:
            run_pipeline(_timed_frames(source, watch), edit, _TimedSink(sink, watch))
        return time.perf_counter() - begin


def _timed_frames(source: VideoSource, watch: Stopwatch) -> Iterator[VideoFrame]:
    """Times decoding and the change of colours apart."""
    frames = iter(source)
    while True:
        start, before = time.perf_counter(), source.convert_s
        frame = next(frames, None)
        if frame is None:
            return
        convert_s = source.convert_s - before
        watch.seconds["to_bgr"].append(convert_s)
        watch.seconds["read"].append(time.perf_counter() - start - convert_s)
        yield frame


class _TimedSink:
    """Times encoding and the change of colours apart."""

    def __init__(self, sink: VideoSink, watch: Stopwatch) -> None:
        self._sink, self._watch, self.frames = sink, watch, 0

    def write(self, image_hwc_bgr: UInt8Array, frame: VideoFrame) -> None:
        start, before = time.perf_counter(), self._sink.convert_s
        self._sink.write(image_hwc_bgr, frame)
        convert_s = self._sink.convert_s - before
        self._watch.seconds["to_yuv"].append(convert_s)
        self._watch.seconds["write"].append(time.perf_counter() - start - convert_s)
